"""The local workspace's gRPC server: listing apps, and the login."""

from __future__ import annotations

import hmac
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from cpsl_notebook.local.apps import Apps
from cpsl_notebook.local.database import Database
from cpsl_notebook.local.forks import no_grpc_fork_handlers
from cpsl_notebook.local.messages import SERVICE, message
from cpsl_notebook.local.pending_logins import PendingLogins

with no_grpc_fork_handlers():
    import grpc

__all__ = ["make_server"]

_OPEN = ("RequestLogin", "ConfirmLogin")  # called before the client has a token


def make_server(
    database: Database,
    apps: Apps,
    logins: PendingLogins,
    token: str,
    login_url: Callable[[str], str],
) -> Any:
    """Build the gRPC server, without a port and not started."""
    service = _Service(database, apps, logins, token, login_url)
    methods = {
        "ListApps": service.list_apps,
        "Authorize": service.authorize,
        "RequestLogin": service.request_login,
        "ConfirmLogin": service.confirm_login,
    }
    handlers: dict[str, Any] = {
        name: grpc.unary_unary_rpc_method_handler(
            _checked(name, answer, token),
            request_deserializer=message(f"{name}Request").FromString,
            response_serializer=lambda answer: answer.SerializeToString(),
        )
        for name, answer in methods.items()
    }
    threads = ThreadPoolExecutor(4, "capsule-local-grpc")
    with no_grpc_fork_handlers():
        # Without the option, two servers could listen on one port without an error.
        server = grpc.server(threads, options=[("grpc.so_reuseport", 0)])
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers),))
    return server


def _checked(name: str, answer: Callable[[Any], Any], token: str) -> Callable[[Any, Any], Any]:
    """Require the token, except for a login."""

    def handle(request: Any, context: Any) -> Any:
        given = dict(context.invocation_metadata()).get("authorization", "")
        if name not in _OPEN and not hmac.compare_digest(
            given.encode(), f"Bearer {token}".encode()
        ):
            context.abort(
                grpc.StatusCode.UNAUTHENTICATED, "the token of this workspace is required"
            )
        return answer(request)

    return handle


class _Service:
    def __init__(
        self,
        database: Database,
        apps: Apps,
        logins: PendingLogins,
        token: str,
        login_url: Callable[[str], str],
    ) -> None:
        self._database = database
        self._apps = apps
        self._logins = logins
        self._token = token
        self._login_url = login_url

    def list_apps(self, request: Any) -> Any:
        apps = [message("App")(**app) for app in self._apps.all()]
        return message("ListAppsResponse")(ok=True, apps=apps)

    def authorize(self, request: Any) -> Any:
        return message("AuthorizeResponse")(ok=True, workspace_id=self._database.workspace_id)

    def request_login(self, request: Any) -> Any:
        login_id = self._logins.begin()
        return message("RequestLoginResponse")(
            ok=True, login_id=login_id, login_url=self._login_url(login_id)
        )

    def confirm_login(self, request: Any) -> Any:
        taken = self._logins.take(request.login_id)
        if taken:
            return message("ConfirmLoginResponse")(
                ok=True, token=self._token, workspace_id=self._database.workspace_id
            )
        reason = "pending" if taken is False else "this login has expired: request a new one"
        return message("ConfirmLoginResponse")(ok=False, err_msg=reason)
