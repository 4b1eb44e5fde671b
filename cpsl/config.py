"""Settings from arguments, the environment and ``config.ini``: token, gateway, certificates."""

from __future__ import annotations

import contextlib
import functools
import ipaddress
import os
import re
import shlex
import ssl
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from urllib3.exceptions import LocationParseError
from urllib3.util import parse_url

from cpsl import config_file
from cpsl.errors import CannotConnectError, CredentialsError, InvalidRequestError, TLSError

__all__ = [
    "Settings",
    "Token",
    "ca_bundle",
    "config_path",
    "insecure_allowed",
    "is_loopback",
    "load",
    "proxy_refused",
    "require_token_type",
]

STANDARD_INPUT = "standard input"
"""The source of a token that ``cpsl login --token-stdin`` reads."""

PRODUCTION_GRPC = "gateway.capsule.new:443"
PRODUCTION_HTTP = "https://api.capsule.new"
# Stricter than the URL standards: parsers disagree about the host of URLs that this rejects.
_HOST = r"[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\]"
_ADDRESS = re.compile(rf"({_HOST})(?::(\d{{1,5}}))?")
_URL = re.compile(rf"https?://(?:{_HOST})(?::(\d{{1,5}}))?(?:/[!$&-;=A-Z_a-z~%]*)?")
_ADDRESS_VARIABLES = ("CAPSULE_GATEWAY_URL", "CAPSULE_HTTP_URL", "CAPSULE_HTTP_PORT")
_VARIABLES = ("CAPSULE_TOKEN", *_ADDRESS_VARIABLES)
_CA_VARIABLES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE", "SSL_CERT_DIR")
_MAX_PORT = 65535
_ARGUMENTS_NAME = "the arguments"
_VARIABLES_NAME = "the CAPSULE_* variables"


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

    @property
    def advice(self) -> str:
        """How to replace the token if the gateway refuses it."""
        if self.source == _VARIABLES_NAME:
            return "set CAPSULE_TOKEN to another token"
        if self.source in (_ARGUMENTS_NAME, STANDARD_INPUT):
            return "pass another token"
        if self.grpc_target == PRODUCTION_GRPC:
            return "run `cpsl login`"
        if self.http_url == _addresses(("", "", ""), self.grpc_target, "", "")[0]:
            return f"run `cpsl login --gateway {shlex.quote(self.grpc_target)}`"
        return "log in to that gateway again"

    def redact(self, text: str) -> str:
        """Return text from the service with the token replaced, if the text repeats it."""
        return text.replace(self.token, "[token]") if self.token else text


def require_token_type(kind: type) -> None:
    """Raise `CredentialsError` unless the type of a token is str."""
    # Only the type is passed, so that no traceback shows the token.
    if not issubclass(kind, str):
        advice = "pass token.decode()" if kind is bytes else "pass a str"
        raise CredentialsError(f"The token must be a str, not {kind.__name__}: {advice}.")


def config_path(environ: Mapping[str, str] | None = None) -> Path:
    """Return the path of ``config.ini``: ``CONFIG_PATH``, else ``~/.capsule/config.ini``.

    Parameters
    ----------
    environ : mapping, optional
        The environment; by default, the process's own.

    Returns
    -------
    pathlib.Path
        The path; the file may not exist.

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
    """Return the path of the CA certificates that are set in the environment, if any.

    Returns
    -------
    str or None
        The file or folder of ``REQUESTS_CA_BUNDLE``, ``CURL_CA_BUNDLE``, ``SSL_CERT_FILE`` or
        ``SSL_CERT_DIR``.

    Raises
    ------
    TLSError
        The path does not exist, or the file has no valid certificates.
    """
    for name in _CA_VARIABLES:
        path = os.environ.get(name)
        if path and not os.access(path, os.R_OK):
            raise TLSError(
                f"{name} is set to {path}, which does not exist or cannot be read: correct or unset it."
            )
        if path and (problem := _certificate_problem(path, Path(path).stat().st_mtime_ns)):
            raise TLSError(
                f"{name} is set to {path}, which has no valid certificates ({problem}): correct "
                "or unset it."
            )
        if path:
            return path
    return None


@functools.lru_cache(maxsize=16)
def _certificate_problem(path: str, changed: int) -> str:
    """Return the reason why a certificate file cannot be loaded; empty if it can, or for a folder."""
    try:
        if not Path(path).is_dir():
            ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(path)
    except OSError as error:
        return getattr(error, "reason", "") or error.strerror or type(error).__name__
    return ""


def proxy_refused(url: str, where: str, reason: str) -> CannotConnectError:
    """Return the error of a proxy that requires a user and password (407).

    Parameters
    ----------
    url : str
        The URL for which the proxy was chosen.
    where : str
        The gateway, for the message.
    reason : str
        The proxy's status and message.

    Returns
    -------
    CannotConnectError
        The error, which names the variable that sets the proxy.
    """
    names = [f"{urlsplit(url).scheme.upper()}_PROXY", "ALL_PROXY"]
    # A variable in lower case takes precedence.
    spellings = [spelling for name in names for spelling in (name.lower(), name)]
    name = next((spelling for spelling in spellings if os.environ.get(spelling)), names[0])
    return CannotConnectError(
        f"The proxy refused to connect to {where} ({reason}): add the user and password to "
        f"{name}, as in http://USER:PASSWORD@HOST:PORT.",
        status=407,
    )


def load(
    token: str | Callable[[], str] | None = None,
    gateway_url: str | None = None,
    environ: Mapping[str, str] | None = None,
    *,
    grpc_target: str | None = None,
) -> Settings:
    """Find the token and the gateway in the arguments, the environment and ``config.ini``.

    A token is used only with the gateway of its own source, so that no setting can send the token
    of another source elsewhere. A token whose source has no gateway belongs to the live service;
    it is refused if another source names a different gateway.

    Parameters
    ----------
    token : str or callable, optional
        A workspace token, or a function that returns it.
    gateway_url : str, optional
        The HTTP base URL of the gateway.
    environ : mapping, optional
        The environment with ``CAPSULE_TOKEN``, ``CAPSULE_GATEWAY_URL``, ``CAPSULE_HTTP_URL``,
        ``CAPSULE_HTTP_PORT`` and ``CONFIG_PATH``; by default, the process's own.
    grpc_target : str, optional
        ``host:port`` of the gRPC gateway. By default it is derived from ``gateway_url``: except
        for the live service, the same host with the port minus 1, or the same port if it is 443 or 80.

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
    if callable(token):
        token = _call(token)
        if token is None:
            raise CredentialsError(
                "The token function did not return a str: return the token as a str."
            )
        if not _clean_token(token):
            raise CredentialsError("The token function returned an empty str: return a token.")
    if token is not None and not _clean_token(token):
        raise CredentialsError(
            "The argument token is empty: pass a token, or omit it to use CAPSULE_TOKEN or the "
            "stored login."
        )
    addresses = _addresses(("", "", ""), grpc_target or "", gateway_url or "", "")
    sources = [_Source(_ARGUMENTS_NAME, _clean_token(token or ""), *addresses)]
    token = None
    for read in (_read_variables, _read_file):  # each source is read only if it is needed
        chosen = next((source for source in sources if source.token), None)
        if chosen is None or not chosen.http_url:
            sources.append(read(environ, chosen is None))
    chosen = next((source for source in sources if source.token), None)
    if chosen is None:
        arguments, variables, _ = sources
        # `cpsl login` logs in to the gateway of CAPSULE_GATEWAY_URL, not to those of other settings.
        gateway = arguments.http_url or ("" if variables.grpc_target else variables.http_url)
        if gateway not in ("", PRODUCTION_HTTP):
            raise CredentialsError(
                f"No credentials for {gateway}: set CAPSULE_TOKEN and CAPSULE_HTTP_URL={gateway}."
            )
        raise CredentialsError("No credentials: run `cpsl login`, or set CAPSULE_TOKEN.")
    http_url = chosen.http_url or PRODUCTION_HTTP
    target = chosen.grpc_target or _derive_target(http_url)
    for other in sources:
        pairs = ((http_url, other.http_url), (target, other.grpc_target))
        for ours, theirs in pairs:
            if theirs not in ("", ours):
                raise CredentialsError(
                    f"The token from {chosen.name} belongs to {ours}, but the gateway from "
                    f"{other.name} is {theirs}: set both in the same place (the arguments, the "
                    "CAPSULE_* variables or config.ini)."
                )
    settings = Settings(chosen.token, http_url, target, chosen.name)
    if not re.fullmatch("[!-~]+", chosen.token):
        raise CredentialsError(
            f"The token from {chosen.name} contains a space or a character outside ASCII: copy it "
            f"again, or {settings.advice}."
        )
    return settings


@dataclass(frozen=True)
class _Source:
    """The settings of one source; an empty string is not set."""

    name: str
    token: Token = Token("")  # noqa: RUF009 - immutable
    http_url: str = ""
    grpc_target: str = ""


def _call(source: Callable[[], object]) -> Token | None:
    """Return the token that a function returns, ``None`` if it is not a str."""
    token = source()
    return Token(token) if isinstance(token, str) else None


def _clean_token(text: str) -> Token:
    """Strip white space and quotes, which copied tokens and env files may have."""
    # In a function that cannot fail, so that no traceback shows the text.
    text = text.strip()
    quoted = len(text) > 1 and text[0] == text[-1] and text[0] in "'\""
    return Token(text[1:-1].strip() if quoted else text)


def _read_variables(environ: Mapping[str, str] | None, token_needed: bool) -> _Source:
    values = _variables(environ)
    token, *addresses = (value or "" for value in values)
    if values[0] is not None and not _clean_token(token) and token_needed:
        raise CredentialsError(
            "CAPSULE_TOKEN is set but empty: set it to a token, or unset it to use the stored login."
        )
    found = _addresses(_ADDRESS_VARIABLES, *map(str, addresses))
    return _Source(_VARIABLES_NAME, _clean_token(token), *found)


def _variables(environ: Mapping[str, str] | None) -> list[Token | None]:
    # As tokens and in a function that cannot fail, so that no traceback shows them.
    values = map((os.environ if environ is None else environ).get, _VARIABLES)
    return [None if value is None else Token(value) for value in values]


def _read_file(environ: Mapping[str, str] | None, token_needed: bool) -> _Source:
    try:
        path = config_path(environ)
    except CredentialsError:  # without a home folder there is no file
        return _Source("config.ini")
    values = config_file.read(path, optional=not token_needed)[config_file.SECTION]
    token = _clean_token(values.get("token", ""))
    if token and os.name == "posix" and (status := path.stat()).st_mode & 0o077:
        fixed = os.statvfs(path).f_flag & os.ST_RDONLY or os.geteuid() not in (0, status.st_uid)
        advice = f"run `chmod 600 {shlex.quote(str(path))}`"
        if fixed:
            advice = "restrict its permissions where it is created or mounted"
        warnings.warn(
            f"Other users can read the token in {path}: {advice}.",
            stacklevel=4,
        )
    host, port = _bracketed(values.get("gateway_host", "")), values.get("gateway_port", "")
    gateway = f"{host}:{port}" if host and port else host
    origins = (str(path), "", str(path))
    addresses = _addresses(origins, gateway, "", values.get("gateway_http_port", ""))
    return _Source(str(path), token, *addresses)


def _derive_target(http_url: str) -> str:
    """Return the gRPC target that belongs to an HTTP base URL."""
    if http_url == PRODUCTION_HTTP:
        return PRODUCTION_GRPC
    parts = urlsplit(http_url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    return f"{_bracketed(parts.hostname or '')}:{port if port in (80, 443) else port - 1}"


def _addresses(
    origins: tuple[str, str, str], gateway: str, http_url: str, http_port: str
) -> tuple[str, str]:
    """Return the HTTP base URL and the gRPC target; empty strings if nothing is set.

    *origins* are the names of the sources of the three values for messages; empty for arguments.
    """
    gateway, http_url, http_port = gateway.strip(), http_url.strip(), http_port.strip()
    if not gateway and http_port and not http_url:
        gateway = PRODUCTION_GRPC
    if not gateway:
        return (_checked_url(http_url, origins[1]) if http_url else ""), ""
    parts = _ADDRESS.fullmatch(gateway)
    port = int(parts[2] or 443) if parts else 0
    if not parts or not 0 < port <= _MAX_PORT or not _is_parsable(f"http://{gateway}"):
        raise _invalid(
            "gateway address", gateway, origins[0], f"host:port with a port of at most {_MAX_PORT}"
        )
    host = parts[1]
    target = f"{host}:{port}"
    if http_url:
        return _checked_url(http_url, origins[1]), target
    if http_port:
        web_port = int(http_port) if re.fullmatch("[0-9]{1,5}", http_port) else 0
        if not 0 < web_port <= _MAX_PORT:
            raise _invalid("HTTP port", http_port, origins[2], f"a number of at most {_MAX_PORT}")
    elif target == PRODUCTION_GRPC:
        return PRODUCTION_HTTP, target
    else:
        web_port = port if port in (80, 443) else port + 1
        if web_port > _MAX_PORT:
            raise _invalid(
                "gateway address",
                gateway,
                origins[0],
                f"a port below {_MAX_PORT}, because the HTTP port is one higher",
            )
    scheme = "https" if web_port == 443 else "http"
    return f"{scheme}://{host}" + ("" if web_port in (80, 443) else f":{web_port}"), target


def _checked_url(url: str, origin: str) -> str:
    parts = _URL.fullmatch(url)
    if not parts or not 0 < int(parts[1] or 80) <= _MAX_PORT or not _is_parsable(url):
        raise _invalid("gateway URL", url, origin, f"a base URL such as {PRODUCTION_HTTP}")
    return url.rstrip("/")


def _invalid(what: str, value: str, origin: str, valid: str) -> InvalidRequestError:
    shown = value.rpartition("@")[2]  # the part before the @ may be a secret
    where = f" in {origin}" if origin else ""
    return InvalidRequestError(f"Invalid {what} {shown!r}{where}: use {valid}.")


def _is_parsable(url: str) -> bool:
    """Return whether the network libraries accept a URL; they reject ``[::::]``, for example."""
    try:
        return bool(parse_url(url).host) and urlsplit(url).hostname is not None
    except (LocationParseError, ValueError):
        return False


def _bracketed(host: str) -> str:
    """Return a host as in a URL: with brackets if it is an IPv6 address."""
    return f"[{host}]" if ":" in host and not host.startswith("[") else host
