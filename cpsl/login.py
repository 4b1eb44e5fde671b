"""Log in with the browser or with a token, and log out."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

from cpsl import config_file
from cpsl.config import (
    STANDARD_INPUT,
    Settings,
    Token,
    config_path,
    insecure_allowed,
    load,
    require_token_type,
)
from cpsl.errors import (
    CannotConnectError,
    CapsuleError,
    CredentialsError,
    GatewayError,
    InvalidRequestError,
    ProtocolError,
    TimedOutError,
)
from cpsl.grpc_client import call
from cpsl.responses import refused_token
from cpsl.sanitize import brief
from cpsl.timeouts import Timeout, check_seconds

__all__ = ["Login", "authorize", "begin", "forget", "store_token"]

INTERVAL = 2.0  # seconds between two polls
LOGIN_TIMEOUT = 300.0  # seconds for the user to confirm the login
_MAX_FAILED_POLLS = 5  # consecutive polls without a response after which the login fails
_TIMEOUT = Timeout(connect=5.0, read=10.0)
_KEYS = ("token", "gateway_host", "gateway_port", "gateway_http_port")


class Login:
    """A browser login that has not been confirmed yet; created by `begin`.

    Attributes
    ----------
    url : str
        The link for the user to open; always ``http`` or ``https``.
    gateway : str
        ``host:port`` of the gateway.
    """

    def __init__(self, settings: Settings, login_id: str, url: str, allow_insecure: bool) -> None:
        self.url = url
        self.gateway: str = settings.grpc_target
        self._settings = settings
        self._id = login_id
        self._allow_insecure = allow_insecure

    def __repr__(self) -> str:
        return f"<Login to {self.gateway}>"

    def wait(
        self,
        on_tick: Callable[[float], None] | None = None,
        *,
        interval: float = INTERVAL,
        timeout: float = LOGIN_TIMEOUT,
    ) -> Path:
        """Wait until the user has confirmed the login, and store the token.

        An interrupt ends the wait and leaves the stored login unchanged.

        Parameters
        ----------
        on_tick : callable, optional
            Called after each poll with the number of seconds left.
        interval : float
            Seconds between two polls.
        timeout : float
            Seconds to wait for the confirmation.

        Returns
        -------
        pathlib.Path
            The ``config.ini`` that now holds the token.

        Raises
        ------
        TimedOutError
            The login was not confirmed in time.
        GatewayError
            The gateway rejected the login.
        CapsuleError
            The gateway no longer responds, or the file cannot be written.

        Examples
        --------
        ::

            login = cpsl.login.begin()
            print("Open", login.url)
            path = login.wait(on_tick=lambda left: print(f"{left:.0f} s left"))
        """
        check_seconds("timeout", timeout)
        if interval != 0:
            check_seconds("interval", interval)
        if not (on_tick is None or callable(on_tick)):
            raise InvalidRequestError(f"Invalid on_tick {on_tick!r}: pass a function.")
        deadline = time.monotonic() + timeout
        failed_polls = 0
        while True:
            error, path = self._poll()
            if path is not None:
                return path
            # A short network failure must not force the user to start again.
            temporary = isinstance(error, CannotConnectError | TimedOutError)
            failed_polls = failed_polls + 1 if temporary else 0
            if error is not None and (not temporary or failed_polls >= _MAX_FAILED_POLLS):
                raise error
            left = deadline - time.monotonic()
            if left <= 0:
                raise TimedOutError(
                    f"The login was not confirmed within {timeout:g} s: log in again."
                )
            if on_tick is not None:
                on_tick(left)
            time.sleep(min(interval, left))

    def _poll(self) -> tuple[CapsuleError | None, Path | None]:
        """Poll once; return an error, the path of the file after the confirmation, or neither.

        The token does not leave this function, so that no traceback of `wait` shows it.
        """
        fields = {"login_id": self._id}
        error, response = call(
            self._settings, "ConfirmLogin", fields, _TIMEOUT, self._allow_insecure
        )
        if error is not None:
            return error, None
        if response.ok:
            if not _is_token(response.token):
                return ProtocolError("The gateway did not send a valid token: log in again."), None
            return _store(replace(self._settings, token=response.token))
        if response.err_msg == "pending":
            return None, None
        reason = brief(response.err_msg) or "no reason was given"
        return GatewayError(f"The login failed: {reason}. Log in again."), None


def begin(gateway: str = "", *, allow_insecure: bool | None = None) -> Login:
    """Start a browser login.

    No stored token is read or sent.

    Parameters
    ----------
    gateway : str
        ``host`` or ``host:port`` of the gRPC gateway; by default ``CAPSULE_GATEWAY_URL`` and
        ``CAPSULE_HTTP_PORT``, else the live service.
    allow_insecure : bool, optional
        Whether the token may be received unencrypted from another machine. By default, it may
        if ``CAPSULE_ALLOW_INSECURE`` is ``1``.

    Returns
    -------
    Login
        The login, with the link to open.

    Raises
    ------
    CredentialsError
        The token would be sent unencrypted, or the file cannot be read or written.
    CapsuleError
        The gateway cannot be reached, or does not support logins.

    Examples
    --------
    ::

        login = cpsl.login.begin()
        print("Open", login.url)
        path = login.wait()
    """
    path = config_path()
    # Check the file first, so that no one confirms a login that cannot be stored.
    config_file.read(path)
    config_file.check_writable(path)
    settings = _gateway_settings(gateway)
    insecure = insecure_allowed(allow_insecure)
    error, response = call(settings, "RequestLogin", {}, _TIMEOUT, insecure)
    if error is not None:
        raise error
    if not response.ok:
        reason = brief(response.err_msg) or "no reason was given"
        raise GatewayError(f"The gateway could not start a login: {reason}. Try again later.")
    if not response.login_id or not _is_web_link(response.login_url):
        raise ProtocolError(
            f"{settings.grpc_target} did not send a web link for the login: check the gateway's "
            "address."
        )
    return Login(settings, response.login_id, response.login_url, insecure)


def store_token(token: str, gateway: str = "", *, allow_insecure: bool | None = None) -> Path:
    """Check a token with the gateway and store it; for machines without a browser.

    Parameters
    ----------
    token : str
        The token; surrounding white space is removed.
    gateway : str
        ``host`` or ``host:port`` of the gRPC gateway; by default ``CAPSULE_GATEWAY_URL`` and
        ``CAPSULE_HTTP_PORT``, else the live service.
    allow_insecure : bool, optional
        Whether the token may be sent unencrypted to another machine. By default, it may if
        ``CAPSULE_ALLOW_INSECURE`` is ``1``.

    Returns
    -------
    pathlib.Path
        The ``config.ini`` that now holds the token.

    Raises
    ------
    AuthenticationError
        The gateway refused the token; the file is unchanged.
    CapsuleError
        The gateway cannot be reached, or the file cannot be written.

    Examples
    --------
    ::

        path = cpsl.login.store_token(os.environ["MY_TOKEN"])
    """
    kind, text = type(token), Token(Token(token).strip())
    del token  # the frames of the errors raised below must not show it
    require_token_type(kind)
    settings = replace(_gateway_settings(gateway), token=text, source=STANDARD_INPUT)
    if not _is_token(settings.token):
        raise CredentialsError(
            "The token is invalid: it must be one line of printable ASCII without spaces. Copy it "
            "again."
        )
    error, _ = authorize(settings, allow_insecure)
    if error is None:
        error, path = _store(settings)
        if path is not None:
            return path
    assert error is not None  # noqa: S101 - either the error or the path is set
    raise error


def authorize(
    settings: Settings, allow_insecure: bool | None = None
) -> tuple[CapsuleError | None, str]:
    """Check a token with the gateway; return an error, or the workspace's id."""
    error, response = call(settings, "Authorize", {}, _TIMEOUT, insecure_allowed(allow_insecure))
    if error is None and not response.ok:
        error = refused_token(settings)
    return error, "" if error else brief(response.workspace_id)


def forget() -> Path | None:
    """Remove the token and its gateway from ``config.ini``; other sections and keys are kept.

    Returns
    -------
    pathlib.Path or None
        The file, or ``None`` if no token was stored.

    Raises
    ------
    CredentialsError
        The file cannot be read or written.

    Examples
    --------
    ::

        cpsl.login.forget()
    """
    path = config_path()
    parser = config_file.read(path)
    if not parser[config_file.SECTION].get("token"):
        return None
    parser[config_file.SECTION].update(dict.fromkeys(_KEYS, ""))
    error = config_file.write(path, parser)
    if error is not None:
        raise error
    return path


def _gateway_settings(gateway: str) -> Settings:
    """Return the settings of the gateway to log in to, without a token."""
    if not isinstance(gateway, str):
        raise InvalidRequestError(f"Invalid gateway {gateway!r}: use a str such as 'host:port'.")
    # A placeholder token and no file: a stored token and its gateway must not count here.
    environ = {"CONFIG_PATH": os.devnull}
    if gateway:
        settings = load("none", grpc_target=gateway, environ=environ)
    else:
        names = ("CAPSULE_GATEWAY_URL", "CAPSULE_HTTP_PORT")
        environ |= {name: os.environ.get(name, "") for name in names} | {"CAPSULE_TOKEN": "none"}
        settings = load(environ=environ)
    return replace(settings, token="")


def _is_token(text: str) -> bool:
    """Return whether a text can be sent in a header and stored on a line of the file."""
    return re.fullmatch("[!-~]+", text) is not None


def _is_web_link(url: str) -> bool:
    """Return whether a link is a web address that is safe to show and to open."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return bool(
        parts.scheme in ("http", "https") and parts.hostname and re.fullmatch(r"[!-~]{1,2000}", url)
    )


def _store(settings: Settings) -> tuple[CapsuleError | None, Path | None]:
    """Write a login to ``config.ini``; return an error or the file."""
    host, _, port = settings.grpc_target.rpartition(":")
    web = urlsplit(settings.http_url)
    web_port = str(web.port or (443 if web.scheme == "https" else 80))
    # The official CLI leaves the HTTP port empty if it follows from the gRPC port.
    implied = web_port == (port if port in ("80", "443") else str(int(port) + 1))
    values = (settings.token, host, port, "" if implied else web_port)
    path = config_path()
    try:
        parser = config_file.read(path)
    except CredentialsError as caught:
        return caught.with_traceback(None), None
    parser[config_file.SECTION].update(dict(zip(_KEYS, values, strict=True)))
    error = config_file.write(path, parser)
    return (error, None) if error else (None, path)
