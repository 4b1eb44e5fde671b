"""Where the token and the gateway's addresses come from."""

from __future__ import annotations

import configparser
import ipaddress
import os
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from cpsl.errors import CredentialsError, InvalidRequestError

__all__ = ["Settings", "config_path", "is_loopback", "load"]

PRODUCTION_GRPC = "gateway.capsule.new:443"
PRODUCTION_HTTP = "https://api.capsule.new"


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


def config_path(environ: Mapping[str, str] = os.environ) -> Path:
    """Return the path of ``config.ini``: ``CONFIG_PATH``, else ``~/.capsule/config.ini``."""
    named = environ.get("CONFIG_PATH")
    return Path(named).expanduser() if named else Path.home() / ".capsule" / "config.ini"


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
    environ: Mapping[str, str] = os.environ,
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
        ``CAPSULE_HTTP_PORT`` and ``CONFIG_PATH`` from.

    Raises
    ------
    CredentialsError
        There is no token, or the only token belongs to another gateway.

    Examples
    --------
    >>> settings = load("a-token", "http://127.0.0.1:8081", environ={})
    >>> settings.grpc_target
    '127.0.0.1:8080'
    >>> "a-token" in repr(settings)
    False
    """
    arguments = _Source("the arguments", token or "", *_from_url(gateway_url))
    sources = [arguments, _from_environment(environ), _from_file(config_path(environ))]
    chosen = next((source for source in sources if source.token), None)
    if chosen is None:
        raise CredentialsError(
            "No credentials: run `capsule login`, set CAPSULE_TOKEN, or pass token=."
        )
    http_url = chosen.http_url or PRODUCTION_HTTP
    for other in sources:
        # Another gateway was meant if it was named with more weight than the token,
        # or if the token came without any.
        meant = other.token == "" and sources.index(other) < sources.index(chosen)
        if other.http_url not in ("", http_url) and (meant or not chosen.http_url):
            raise CredentialsError(
                f"The token comes from {chosen.name} and belongs to {http_url}, but {other.name} "
                f"name the gateway {other.http_url}: give the token and the gateway together."
            )
    return Settings(
        token=chosen.token,
        http_url=http_url,
        grpc_target=chosen.grpc_target or PRODUCTION_GRPC,
        source=chosen.name,
    )


@dataclass(frozen=True)
class _Source:
    """What one source says; an empty string is what it leaves open."""

    name: str
    token: str = ""
    http_url: str = ""
    grpc_target: str = ""


def _from_environment(environ: Mapping[str, str]) -> _Source:
    http_url, target = _addresses(
        environ.get("CAPSULE_GATEWAY_URL", ""),
        environ.get("CAPSULE_HTTP_URL", ""),
        environ.get("CAPSULE_HTTP_PORT", ""),
    )
    return _Source("the CAPSULE_… variables", environ.get("CAPSULE_TOKEN", ""), http_url, target)


def _from_file(path: Path) -> _Source:
    # The section `[default]` is configparser's default section, as the official CLI writes it.
    parser = configparser.ConfigParser(default_section="default", interpolation=None)
    try:
        parser.read_string(path.read_text(encoding="utf-8"))
        open_to_others = os.name == "posix" and path.stat().st_mode & 0o077
    except (FileNotFoundError, NotADirectoryError):
        return _Source(str(path))
    except (OSError, UnicodeDecodeError, configparser.Error) as error:
        raise CredentialsError(
            f"{path} cannot be read ({type(error).__name__}): mend it or run `capsule login`."
        ) from None
    values = parser["default"]
    if open_to_others and values.get("token"):
        warnings.warn(
            f"{path} holds a token and others can read it: run `chmod 600 {path}`.", stacklevel=4
        )
    host, port = values.get("gateway_host", ""), values.get("gateway_port", "")
    gateway = f"{host}:{port}" if host and port else host
    http_url, target = _addresses(gateway, "", values.get("gateway_http_port", ""))
    return _Source(f"the settings in {path}", values.get("token", ""), http_url, target)


def _from_url(url: str | None) -> tuple[str, str]:
    """Derive both addresses from the HTTP one."""
    if not url:
        return "", ""
    url = _checked(url)
    if url == PRODUCTION_HTTP:
        return url, PRODUCTION_GRPC
    parts = urlsplit(url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    return url, f"{_host(parts.hostname)}:{port if port in (80, 443) else port - 1}"


def _addresses(gateway: str, http_url: str, http_port: str) -> tuple[str, str]:
    """Derive the HTTP base URL and the gRPC target from whichever of them is set."""
    if not gateway and http_port and not http_url:
        gateway = PRODUCTION_GRPC
    if not gateway:
        return _from_url(http_url)
    parts = urlsplit(f"//{gateway}")
    try:
        host, port = _host(parts.hostname), parts.port or 443
        web_port = int(http_port) if http_port else port if port in (80, 443) else port + 1
    except ValueError:
        raise InvalidRequestError(
            f"{gateway!r} with HTTP port {http_port!r} is no gateway address: give host:port."
        ) from None
    target = f"{host}:{port}"
    if http_url:
        return _checked(http_url), target
    if target == PRODUCTION_GRPC and not http_port:
        return PRODUCTION_HTTP, target
    scheme = "https" if web_port == 443 else "http"
    default = web_port in (80, 443)
    return (f"{scheme}://{host}" if default else f"{scheme}://{host}:{web_port}"), target


def _checked(url: str) -> str:
    try:
        parts = urlsplit(url)
        valid = parts.scheme in ("http", "https") and parts.hostname and (parts.port or 1)
    except ValueError:
        valid = False
    if not valid or parts.username or parts.query or parts.fragment:
        raise InvalidRequestError(
            f"{url!r} is no gateway URL: give its base address, such as {PRODUCTION_HTTP}."
        )
    return url.rstrip("/")


def _host(host: str | None) -> str:
    """Return a host as it stands in an address, an IPv6 one in brackets."""
    host = host or ""
    return f"[{host}]" if ":" in host else host
