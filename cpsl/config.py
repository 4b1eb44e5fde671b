"""Settings from arguments, the environment and ``config.ini``: token, gateway, certificates."""

from __future__ import annotations

import contextlib
import ipaddress
import os
import re
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from cpsl import config_file
from cpsl.errors import CredentialsError, InvalidRequestError, TLSError

__all__ = [
    "Settings",
    "Token",
    "ca_bundle",
    "config_path",
    "insecure_allowed",
    "is_loopback",
    "load",
]

PRODUCTION_GRPC = "gateway.capsule.new:443"
PRODUCTION_HTTP = "https://api.capsule.new"
# Stricter than the URL standards: parsers disagree about the host of URLs that this rejects.
_HOST = r"[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\]"
_ADDRESS = re.compile(rf"({_HOST})(?::(\d{{1,5}}))?")
_URL = re.compile(rf"https?://(?:{_HOST})(?::(\d{{1,5}}))?(?:/[!$&-;=A-Z_a-z~%]*)?")
_VARIABLES = ("CAPSULE_TOKEN", "CAPSULE_GATEWAY_URL", "CAPSULE_HTTP_URL", "CAPSULE_HTTP_PORT")
_CA_VARIABLES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE")


class Token(str):
    """A token whose ``repr`` does not show it, as tracebacks with local variables would."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "'[token]'"


@dataclass(frozen=True)
class Settings:
    """A token and the gateway that it belongs to.

    Attributes
    ----------
    token : str
        The workspace token; not shown in the ``repr``.
    http_url : str
        Base URL of the HTTP API, without a trailing slash.
    grpc_target : str
        ``host:port`` of the gRPC gateway.
    source : str
        Where the token comes from, for error messages.
    """

    token: str = field(repr=False)
    http_url: str
    grpc_target: str
    source: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "token", Token(self.token))

    def redact(self, text: str) -> str:
        """Return text from the service with the token replaced, if the text repeats it."""
        return text.replace(self.token, "[token]") if self.token else text


def config_path(environ: Mapping[str, str] | None = None) -> Path:
    """Return the path of ``config.ini``: ``CONFIG_PATH``, else ``~/.capsule/config.ini``.

    Parameters
    ----------
    environ : mapping, optional
        The environment; by default, the process's own.

    Returns
    -------
    pathlib.Path
        The path; the file need not exist.

    Raises
    ------
    CredentialsError
        There is no home folder.
    """
    # No local variable holds the environment: a traceback with local variables would show it.
    named = (os.environ if environ is None else environ).get("CONFIG_PATH")
    with contextlib.suppress(RuntimeError):
        return Path(named or "~/.capsule/config.ini").expanduser()
    raise CredentialsError("Cannot find the home folder for config.ini: set CONFIG_PATH to a file.")


def insecure_allowed(requested: bool | None) -> bool:
    """Return whether a token may be sent unencrypted, by argument, else by environment."""
    return os.environ.get("CAPSULE_ALLOW_INSECURE") == "1" if requested is None else requested


def is_loopback(host: str | None) -> bool:
    """Return whether a URL's host can only be this machine."""
    if not host:
        return False
    if host.lower().rstrip(".") == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def ca_bundle() -> str | None:
    """Return the path of the CA certificates that the environment names, if it does.

    Returns
    -------
    str or None
        The value of ``REQUESTS_CA_BUNDLE``, ``CURL_CA_BUNDLE`` or ``SSL_CERT_FILE``.

    Raises
    ------
    TLSError
        The path does not exist.
    """
    for name in _CA_VARIABLES:
        path = os.environ.get(name)
        if path and not Path(path).exists():
            raise TLSError(f"{name} is {path}, which does not exist: correct or unset it.")
        if path:
            return path
    return None


def load(
    token: str | None = None,
    gateway_url: str | None = None,
    environ: Mapping[str, str] | None = None,
    *,
    grpc_target: str | None = None,
) -> Settings:
    """Find the token and the gateway in the arguments, the environment and ``config.ini``.

    A token is used only with the gateway of its own source, so that no setting can send the token
    of another source elsewhere. A token whose source names no gateway belongs to the live service;
    it is refused if another source names a different gateway.

    Parameters
    ----------
    token : str, optional
        A workspace token.
    gateway_url : str, optional
        The HTTP base URL of the gateway.
    environ : mapping, optional
        The environment with ``CAPSULE_TOKEN``, ``CAPSULE_GATEWAY_URL``, ``CAPSULE_HTTP_URL``,
        ``CAPSULE_HTTP_PORT`` and ``CONFIG_PATH``; by default, the process's own.
    grpc_target : str, optional
        ``host:port`` of the gRPC gateway. By default it is derived from ``gateway_url``: outside
        the live service, the same host and the port below, or the same port if it is 443 or 80.

    Returns
    -------
    Settings
        The token and its gateway.

    Raises
    ------
    CredentialsError
        There is no token, or it belongs to another gateway.
    InvalidRequestError
        An address is invalid.

    Examples
    --------
    >>> settings = load("a-token", "http://127.0.0.1:8081", environ={})
    >>> settings.grpc_target
    '127.0.0.1:8080'
    >>> "a-token" in repr(settings)
    False
    """
    arguments = _Source(
        "the arguments",
        Token((token or "").strip()),
        *_addresses(grpc_target or "", gateway_url or "", ""),
    )
    token = None
    sources = _sources(arguments, environ)
    skipped: list[_Source] = []  # sources without a token, which may name a gateway
    for chosen in sources:
        if chosen.token:
            break
        skipped.append(chosen)
    else:
        raise CredentialsError("No credentials: run `cpsl login`, or set CAPSULE_TOKEN.")
    http_url = chosen.http_url or PRODUCTION_HTTP
    target = chosen.grpc_target or _derive_target(http_url)
    # If the token came without a gateway, the gateway of any other source may be meant.
    for other in [*skipped, *([] if chosen.http_url else sources)]:
        if other.http_url not in ("", http_url) or other.grpc_target not in ("", target):
            raise CredentialsError(
                f"The token from {chosen.name} belongs to {http_url}, but the gateway from "
                f"{other.name} is {other.http_url}: set both in the same place (the arguments, the "
                "CAPSULE_* variables or config.ini)."
            )
    if not re.fullmatch("[!-~]+", chosen.token):
        raise CredentialsError(
            f"The token from {chosen.name} contains a space or a character outside ASCII: copy it "
            "again, or run `cpsl login`."
        )
    return Settings(chosen.token, http_url, target, chosen.name)


@dataclass(frozen=True)
class _Source:
    """The settings of one source; an empty string is not set."""

    name: str
    token: Token = Token("")  # noqa: RUF009 - immutable
    http_url: str = ""
    grpc_target: str = ""


def _sources(arguments: _Source, environ: Mapping[str, str] | None) -> Iterator[_Source]:
    """Yield the sources by precedence; a source is read only when it is needed."""
    yield arguments
    token, *addresses = _read_variables(environ)
    gateway, http_url, http_port = map(str, addresses)
    found = _addresses(gateway, http_url, http_port)
    yield _Source("the CAPSULE_* variables", Token(token.strip()), *found)
    try:
        path = config_path(environ)
    except CredentialsError:  # without a home folder there is no file
        return
    yield _read_file(path)


def _read_variables(environ: Mapping[str, str] | None) -> list[Token]:
    # As tokens and in a function that cannot fail, so that no traceback shows them.
    return [Token((os.environ if environ is None else environ).get(n, "")) for n in _VARIABLES]


def _read_file(path: Path) -> _Source:
    values = config_file.read(path)[config_file.SECTION]
    token = Token(values.get("token", ""))
    if token and os.name == "posix" and path.stat().st_mode & 0o077:
        warnings.warn(
            f"Other users can read the token in {path}: run `chmod 600 {path}`.", stacklevel=5
        )
    host, port = _bracketed(values.get("gateway_host", "")), values.get("gateway_port", "")
    gateway = f"{host}:{port}" if host and port else host
    addresses = _addresses(gateway, "", values.get("gateway_http_port", ""))
    return _Source(str(path), token, *addresses)


def _derive_target(http_url: str) -> str:
    """Return the gRPC target that belongs to an HTTP base URL."""
    if http_url == PRODUCTION_HTTP:
        return PRODUCTION_GRPC
    parts = urlsplit(http_url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    return f"{_bracketed(parts.hostname or '')}:{port if port in (80, 443) else port - 1}"


def _addresses(gateway: str, http_url: str, http_port: str) -> tuple[str, str]:
    """Return the HTTP base URL and the gRPC target; empty strings if nothing is set."""
    if not gateway and http_port and not http_url:
        gateway = PRODUCTION_GRPC
    if not gateway:
        return (_checked_url(http_url) if http_url else ""), ""
    parts = _ADDRESS.fullmatch(gateway)
    if not parts or not re.fullmatch(r"\d{0,5}", http_port):
        port_note = f" with HTTP port {http_port!r}" if http_port else ""
        raise InvalidRequestError(
            f"Invalid gateway address {gateway!r}{port_note}: use host:port, or set "
            "CAPSULE_HTTP_URL to a URL."
        )
    host, port = parts[1], int(parts[2] or 443)
    web_port = int(http_port) if http_port else port if port in (80, 443) else port + 1
    target = f"{host}:{port}"
    if http_url:
        return _checked_url(http_url), target
    if target == PRODUCTION_GRPC and not http_port:
        return PRODUCTION_HTTP, target
    scheme = "https" if web_port == 443 else "http"
    return f"{scheme}://{host}" + ("" if web_port in (80, 443) else f":{web_port}"), target


def _checked_url(url: str) -> str:
    parts = _URL.fullmatch(url)
    if not parts or not 0 < int(parts[1] or 80) < 65536:
        shown = url.rpartition("@")[2]  # the part before it may be a secret
        raise InvalidRequestError(
            f"Invalid gateway URL {shown!r}: use its base URL, such as {PRODUCTION_HTTP}."
        )
    return url.rstrip("/")


def _bracketed(host: str) -> str:
    """Return a host as in a URL: with brackets if it is an IPv6 address."""
    return f"[{host}]" if ":" in host and not host.startswith("[") else host
