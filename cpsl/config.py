"""Where the token and the gateway's addresses come from."""

from __future__ import annotations

import configparser
import contextlib
import ipaddress
import os
import re
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from cpsl import config_file as ini
from cpsl.errors import CredentialsError, InvalidRequestError

__all__ = ["Settings", "Token", "config_path", "insecure_allowed", "is_loopback", "load"]

PRODUCTION_GRPC = "gateway.capsule.new:443"
PRODUCTION_HTTP = "https://api.capsule.new"
# Narrower than what a URL may be: parsers of URLs disagree on the host of the rest.
_HOST = r"[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\]"
_ADDRESS = re.compile(rf"({_HOST})(?::(\d{{1,5}}))?")
_URL = re.compile(rf"https?://(?:{_HOST})(?::(\d{{1,5}}))?(?:/[!$&-;=A-Z_a-z~%]*)?")
_VARIABLES = ("CAPSULE_TOKEN", "CAPSULE_GATEWAY_URL", "CAPSULE_HTTP_URL", "CAPSULE_HTTP_PORT")


class Token(str):
    """A secret: a string whose ``repr`` does not show it, as a traceback with locals would."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "'[token]'"


@dataclass(frozen=True)
class Settings:
    """One workspace's credentials: a token and the gateway that it belongs to.

    Attributes
    ----------
    token
        The workspace token; never shown in a ``repr``.
    http_url
        Base URL of the HTTP API, without a slash at its end.
    grpc_target
        ``host:port`` of the gRPC gateway.
    source
        Where they came from, in words, for error messages.
    """

    token: str = field(repr=False)
    http_url: str
    grpc_target: str
    source: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "token", Token(self.token))

    def without_token(self, text: str) -> str:
        """Return a foreign text without the token, should it repeat it."""
        return text.replace(self.token, "[token]") if self.token else text


def config_path(environ: Mapping[str, str] | None = None) -> Path:
    """Return the path of ``config.ini``: ``CONFIG_PATH``, else ``~/.capsule/config.ini``.

    Raises
    ------
    CredentialsError
        The user of this process has no home.
    """
    # The environment is never a variable here: a traceback with locals would show what it holds.
    named = (os.environ if environ is None else environ).get("CONFIG_PATH")
    with contextlib.suppress(RuntimeError):
        return Path(named or "~/.capsule/config.ini").expanduser()
    raise CredentialsError(
        "There is no home folder to keep config.ini in: set CONFIG_PATH to a file."
    )


def insecure_allowed(asked: bool | None) -> bool:
    """Say whether a token may travel in the clear: as asked, else as the environment says."""
    return os.environ.get("CAPSULE_ALLOW_INSECURE") == "1" if asked is None else asked


def is_loopback(host: str | None) -> bool:
    """Say whether a host name, as it stands in a URL, can only be this machine."""
    if not host:
        return False
    if host.lower().rstrip(".") == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def load(
    token: str | None = None,
    gateway_url: str | None = None,
    environ: Mapping[str, str] | None = None,
    *,
    grpc_target: str | None = None,
) -> Settings:
    """Find the token and the gateway: the arguments, else the environment, else ``config.ini``.

    A token is only ever used with the gateway of its own source, so that no setting of one source
    can send the token of another one elsewhere. A token whose source names no gateway belongs to
    the live service, and is refused where another source names a different gateway.

    Parameters
    ----------
    token
        A workspace token.
    gateway_url
        The HTTP base URL of the gateway.
    environ
        The environment to read ``CAPSULE_TOKEN``, ``CAPSULE_GATEWAY_URL``, ``CAPSULE_HTTP_URL``,
        ``CAPSULE_HTTP_PORT`` and ``CONFIG_PATH`` from; by default that of the process.
    grpc_target
        ``host:port`` of the gRPC gateway; by default derived from ``gateway_url``: on other hosts
        than the live service the port below, or the same one where it is 443 or 80.

    Raises
    ------
    CredentialsError
        There is no token, or the only token belongs to another gateway.
    InvalidRequestError
        An address is none.

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
    heavier: list[_Source] = []  # those that say nothing of a token, and may mean another gateway
    for chosen in sources:
        if chosen.token:
            break
        heavier.append(chosen)
    else:
        raise CredentialsError(
            "No credentials: run `cpsl login`, set CAPSULE_TOKEN, or pass token=."
        )
    http_url = chosen.http_url or PRODUCTION_HTTP
    target = chosen.grpc_target or _derived(http_url)
    # A token that came without a gateway is not sent past any that was named, by whomever.
    for other in [*heavier, *([] if chosen.http_url else sources)]:
        if other.http_url not in ("", http_url) or other.grpc_target not in ("", target):
            raise CredentialsError(
                f"The token comes from {chosen.name} and belongs to {http_url}, but {other.name} "
                f"name the gateway {other.http_url}: give the token and the gateway together."
            )
    if not re.fullmatch("[!-~]+", chosen.token):
        raise CredentialsError(
            f"The token from {chosen.name} has a space or a character beyond ASCII in it: copy it "
            "again, or run `cpsl login`."
        )
    return Settings(chosen.token, http_url, target, chosen.name)


@dataclass(frozen=True)
class _Source:
    """What one source says; an empty string is what it leaves open."""

    name: str
    token: Token = Token("")  # noqa: RUF009 - a string
    http_url: str = ""
    grpc_target: str = ""


def _sources(arguments: _Source, environ: Mapping[str, str] | None) -> Iterator[_Source]:
    """Give the sources by weight; a lighter one is not read before it is asked for."""
    yield arguments
    token, *addresses = _variables(environ)
    gateway, http_url, http_port = map(str, addresses)
    found = _addresses(gateway, http_url, http_port)
    yield _Source("the CAPSULE_… variables", Token(token.strip()), *found)
    try:
        path = config_path(environ)
    except CredentialsError:  # without a home there is no such file
        return
    yield _from_file(path)


def _variables(environ: Mapping[str, str] | None) -> list[Token]:
    # Copied in a function that cannot fail, wrapped: see `config_path`.
    return [Token((os.environ if environ is None else environ).get(n, "")) for n in _VARIABLES]


def _from_file(path: Path) -> _Source:
    try:
        values = ini.parsed(path.read_text(encoding="utf-8"))[ini.SECTION]
        open_to_others = os.name == "posix" and path.stat().st_mode & 0o077
    except (FileNotFoundError, NotADirectoryError):
        return _Source(str(path))
    except (OSError, UnicodeDecodeError, configparser.Error) as error:
        wrong = type(error).__name__
    else:
        wrong = ""
    if wrong:  # raised here, as the parser's own frames hold the lines of the file
        raise CredentialsError(f"{path} cannot be read ({wrong}): mend it, or move it away.")
    token = Token(values.get("token", ""))
    if open_to_others and token:
        warnings.warn(
            f"{path} holds a token and others can read it: run `chmod 600 {path}`.", stacklevel=5
        )
    host, port = _bracketed(values.get("gateway_host", "")), values.get("gateway_port", "")
    gateway = f"{host}:{port}" if host and port else host
    addresses = _addresses(gateway, "", values.get("gateway_http_port", ""))
    return _Source(f"the settings in {path}", token, *addresses)


def _derived(http_url: str) -> str:
    """Return the gRPC target that belongs to an HTTP base URL."""
    if http_url == PRODUCTION_HTTP:
        return PRODUCTION_GRPC
    parts = urlsplit(http_url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    return f"{_bracketed(parts.hostname or '')}:{port if port in (80, 443) else port - 1}"


def _addresses(gateway: str, http_url: str, http_port: str) -> tuple[str, str]:
    """Return the HTTP base URL and the gRPC target as far as one of them is set."""
    if not gateway and http_port and not http_url:
        gateway = PRODUCTION_GRPC
    if not gateway:
        return (_checked(http_url) if http_url else ""), ""
    parts = _ADDRESS.fullmatch(gateway)
    if not parts or not re.fullmatch(r"\d{0,5}", http_port):
        raise InvalidRequestError(
            f"{gateway!r} with HTTP port {http_port!r} is no gateway address: give host:port."
        )
    host, port = parts[1], int(parts[2] or 443)
    web_port = int(http_port) if http_port else port if port in (80, 443) else port + 1
    target = f"{host}:{port}"
    if http_url:
        return _checked(http_url), target
    if target == PRODUCTION_GRPC and not http_port:
        return PRODUCTION_HTTP, target
    scheme = "https" if web_port == 443 else "http"
    return f"{scheme}://{host}" + ("" if web_port in (80, 443) else f":{web_port}"), target


def _checked(url: str) -> str:
    parts = _URL.fullmatch(url)
    if not parts or not 0 < int(parts[1] or 80) < 65536:
        shown = url.rpartition("@")[2]  # what comes before may be a secret
        raise InvalidRequestError(
            f"{shown!r} is no gateway URL: give its base address, such as {PRODUCTION_HTTP}."
        )
    return url.rstrip("/")


def _bracketed(host: str) -> str:
    """Return a host as it stands in an address, an IPv6 one in brackets."""
    return f"[{host}]" if ":" in host and not host.startswith("[") else host
