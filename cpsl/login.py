"""Logging in and out: the browser login, and the token that it leaves behind."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

from cpsl import config_file as ini
from cpsl.config import Settings, config_path, insecure_allowed, load
from cpsl.errors import (
    CannotConnectError,
    CapsuleError,
    CredentialsError,
    GatewayError,
    ProtocolError,
    TimedOutError,
)
from cpsl.grpc_client import call
from cpsl.network import Timeout
from cpsl.responses import refused_token
from cpsl.sanitize import brief

__all__ = ["Login", "authorize", "begin", "forget", "store_token"]

INTERVAL = 2.0  # seconds between two questions whether the login was confirmed
PATIENCE = 300.0  # seconds for a person to confirm it
_TROUBLES = 5  # failed questions in a row after which the gateway counts as gone
_WAITS = Timeout(connect=5.0, read=10.0)
_KEYS = ("token", "gateway_host", "gateway_port", "gateway_http_port")


class Login:
    """A browser login that is under way; `begin` makes it.

    Attributes
    ----------
    url
        The link for the person to open; always ``http`` or ``https``.
    gateway
        ``host:port`` of the gateway that is logged in to.
    """

    def __init__(self, settings: Settings, login_id: str, url: str, allow_insecure: bool) -> None:
        self.url = url
        self.gateway = settings.grpc_target
        self._settings = settings
        self._id = login_id
        self._allow_insecure = allow_insecure

    def __repr__(self) -> str:
        return f"<login to {self.gateway}>"

    def wait(
        self,
        on_tick: Callable[[float], None] | None = None,
        *,
        interval: float = INTERVAL,
        patience: float = PATIENCE,
    ) -> Path:
        """Wait until the person has confirmed, and store the token.

        Parameters
        ----------
        on_tick
            Called before each pause with the seconds that are left, to show that time passes.
        interval
            Seconds between two questions to the gateway.
        patience
            Seconds until the login is given up.

        Returns
        -------
        pathlib.Path
            The ``config.ini`` that the token is in now.

        Raises
        ------
        TimedOutError
            Nobody confirmed in time.
        GatewayError
            The gateway ended the login.
        CapsuleError
            The gateway has gone, or the file cannot be written.

        Notes
        -----
        An interrupt ends it at once and leaves the stored login as it was.
        """
        deadline = time.monotonic() + patience
        troubles = 0
        while True:
            error, path = self._ask()
            if path is not None:
                return path
            # A network that comes and goes must not cost the person a new login.
            passing = isinstance(error, CannotConnectError | TimedOutError)
            troubles = troubles + 1 if passing else 0
            if error is not None and (not passing or troubles >= _TROUBLES):
                raise error
            left = deadline - time.monotonic()
            if left <= 0:
                raise TimedOutError(
                    f"Nobody confirmed the login within {patience:g} s: run `cpsl login` again."
                )
            if on_tick is not None:
                on_tick(left)
            time.sleep(min(interval, left))

    def _ask(self) -> tuple[CapsuleError | None, Path | None]:
        """Ask once; return what went wrong, the file where it is done, or neither.

        The token never leaves this function, so that no traceback of `wait` can show it.
        """
        fields = {"login_id": self._id}
        error, answer = call(self._settings, "ConfirmLogin", fields, _WAITS, self._allow_insecure)
        if error is not None:
            return error, None
        if answer.ok:
            if not _is_token(answer.token):
                return ProtocolError(
                    "The gateway gave no valid token: run `cpsl login` again."
                ), None
            return _stored(replace(self._settings, token=answer.token))
        if answer.err_msg == "pending":
            return None, None
        said = brief(answer.err_msg) or "no reason was given"
        return GatewayError(f"The login failed: {said}. Run `cpsl login` again."), None


def begin(gateway: str = "", *, allow_insecure: bool | None = None) -> Login:
    """Ask the gateway for a browser login.

    No stored token is read or sent.

    Parameters
    ----------
    gateway
        ``host`` or ``host:port`` of the gateway's gRPC side; by default what
        ``CAPSULE_GATEWAY_URL`` and ``CAPSULE_HTTP_PORT`` say, else the live service.
    allow_insecure
        Receive the token in the clear from another machine than this one; by default what
        ``CAPSULE_ALLOW_INSECURE=1`` says.

    Raises
    ------
    CredentialsError
        The token would travel in the clear, or the file cannot be read or written.
    CapsuleError
        The gateway cannot be reached, or offers no login.

    Examples
    --------
    ::

        login = cpsl.login.begin()
        print("Open", login.url)
        path = login.wait(on_tick=lambda left: print(f"{left:.0f} s left"))
    """
    path = config_path()
    ini.read(path)  # a file that cannot be kept is a reason not to bother anybody
    if (unwritable := ini.unwritable(path)) is not None:
        raise unwritable
    settings = _settings(gateway)
    insecure = insecure_allowed(allow_insecure)
    error, answer = call(settings, "RequestLogin", {}, _WAITS, insecure)
    if error is not None:
        raise error
    if not answer.ok:
        raise GatewayError(f"The gateway gave no login: {brief(answer.err_msg)}")
    if not answer.login_id or not _is_web_link(answer.login_url):
        raise ProtocolError(
            f"{settings.grpc_target} gave no web link to log in with: check the gateway's address."
        )
    return Login(settings, answer.login_id, answer.login_url, insecure)


def store_token(token: str, gateway: str = "", *, allow_insecure: bool | None = None) -> Path:
    """Store a token that the gateway accepts, for machines without a browser.

    Parameters
    ----------
    token
        The token; white space around it is left out.
    gateway, allow_insecure
        As for `begin`.

    Returns
    -------
    pathlib.Path
        The ``config.ini`` that the token is in now.

    Raises
    ------
    AuthenticationError
        The gateway refused the token; what was stored before stays.
    CapsuleError
        The gateway cannot be asked, or the file cannot be written.
    """
    settings = replace(_settings(gateway), token=token.strip(), source="standard input")
    del token  # below, whatever is raised has no frame that shows it
    if not _is_token(settings.token):
        raise CredentialsError("That is no token: give one line of printable ASCII, no spaces.")
    error, _ = authorize(settings, allow_insecure)
    if error is None:
        error, path = _stored(settings)
        if path is not None:
            return path
    assert error is not None  # noqa: S101 - one of the two is given
    raise error


def authorize(
    settings: Settings, allow_insecure: bool | None = None
) -> tuple[CapsuleError | None, str]:
    """Ask the gateway about the token; return what is wrong with it, or the workspace's id."""
    error, answer = call(settings, "Authorize", {}, _WAITS, insecure_allowed(allow_insecure))
    if error is None and not answer.ok:
        error = refused_token(settings)
    return error, "" if error else brief(answer.workspace_id)


def forget() -> Path | None:
    """Remove the stored token and its gateway from ``config.ini``; the rest of the file stays.

    Returns
    -------
    pathlib.Path or None
        The file, or ``None`` where no token was stored.
    """
    path = config_path()
    text = ini.read(path)
    if not ini.parsed(text)[ini.SECTION].get("token"):
        return None
    error = ini.write(path, ini.with_values(text, dict.fromkeys(_KEYS, "")))
    if error is not None:
        raise error
    return path


def _settings(gateway: str) -> Settings:
    """Return the gateway to log in to, without a token."""
    names = ("CAPSULE_GATEWAY_URL", "CAPSULE_HTTP_PORT")
    chosen = {names[0]: gateway} if gateway else {name: os.environ.get(name, "") for name in names}
    # Only these variables count: neither the stored token nor its gateway has a say here.
    named = load(environ={**chosen, "CAPSULE_TOKEN": "none", "CONFIG_PATH": os.devnull})
    return replace(named, token="")


def _is_token(text: str) -> bool:
    """Say whether a text can stand in a header and on a line of the file."""
    return re.fullmatch("[!-~]+", text) is not None


def _is_web_link(url: str) -> bool:
    """Say whether a link can be shown and opened as a web address."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return bool(
        parts.scheme in ("http", "https") and parts.hostname and re.fullmatch(r"[!-~]{1,2000}", url)
    )


def _stored(settings: Settings) -> tuple[CapsuleError | None, Path | None]:
    """Write a login to ``config.ini``; return what went wrong, or the file."""
    host, _, port = settings.grpc_target.rpartition(":")
    web = urlsplit(settings.http_url)
    web_port = str(web.port or (443 if web.scheme == "https" else 80))
    # Left empty where readers derive it from the other port, as the official CLI leaves it.
    implied = web_port == (port if port in ("80", "443") else str(int(port) + 1))
    values = dict(
        zip(_KEYS, (settings.token, host, port, "" if implied else web_port), strict=True)
    )
    path = config_path()
    try:
        text = ini.read(path)
    except CredentialsError as caught:
        return caught.with_traceback(None), None
    error = ini.write(path, ini.with_values(text, values))
    return (error, None) if error else (None, path)
