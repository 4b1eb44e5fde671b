"""The local workspace's HTTP server: the protocol's endpoints, and the login and checkout pages."""

from __future__ import annotations

import asyncio
import hmac
import json
from collections.abc import AsyncIterator
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import iterate_in_threadpool, run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from cpsl_notebook.local import pages
from cpsl_notebook.local.apps import Apps, Exchange
from cpsl_notebook.local.database import Database
from cpsl_notebook.local.pending_logins import PendingLogins

__all__ = ["make_app"]

_PAGES = ("/login/", "/checkout/")  # opened in a browser, without the token


class Guard:
    """Middleware that refuses requests from other sites and requests without the token.

    Checking Host and Origin keeps out web pages of other sites, also those whose domain name was
    made to point to 127.0.0.1 (DNS rebinding).
    """

    def __init__(self, app: ASGIApp, token: str, port: int) -> None:
        self._app = app
        self._bearer = f"Bearer {token}".encode()
        self._hosts = {f"{name}:{port}".encode() for name in ("127.0.0.1", "localhost")}
        self._origins = {b"http://" + host for host in self._hosts}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer 403 or 401, or forward the request."""
        if scope["type"] == "http":
            refusal = self._refusal(scope)
            if refusal is not None:
                await refusal(scope, receive, send)
                return
        await self._app(scope, receive, send)

    def _refusal(self, scope: Scope) -> Response | None:
        headers = dict(scope["headers"])
        if headers.get(b"host") not in self._hosts:
            return _error(403, "the Host header must be 127.0.0.1 or localhost")
        if headers.get(b"origin", b"") not in (self._origins | {b""}):
            return _error(403, "requests from pages of other sites are not allowed")
        if scope["path"].startswith(_PAGES):
            return None
        if not hmac.compare_digest(headers.get(b"authorization", b""), self._bearer):
            return _error(401, "the token of this workspace is required")
        return None


def make_app(
    database: Database, apps: Apps, logins: PendingLogins, token: str, port: int, pace: float
) -> Any:
    """Build the ASGI application.

    Parameters
    ----------
    database : Database
        The workspace's state.
    apps : Apps
        The functions that answer for the apps.
    logins : PendingLogins
        The login requests.
    token : str
        The token that requests must have.
    port : int
        The port of the server, for links and for the check of the Host header.
    pace : float
        Seconds between two words of a sample app's streamed reply.
    """
    endpoints = _Endpoints(database, apps, f"http://127.0.0.1:{port}", pace)
    login = pages.Login(logins)
    checkout = pages.Checkout(database)
    routes = [
        Route("/api/v1/apps/{id}", endpoints.app),
        Route("/api/v1/apps/{id}/payments", endpoints.payments),
        Route("/api/v1/apps/{id}/earnings", endpoints.earnings),
        Route("/api/v1/checkout/{id}", endpoints.checkout, methods=["POST"]),
        Route("/api/v1/app/{id}/chat", endpoints.chat, methods=["POST"]),
        Route("/api/v1/app/{id}/stream", endpoints.stream),
        Route("/login/{id}", login.show),
        Route("/login/{id}", login.confirm, methods=["POST"]),
        Route("/checkout/{id}", checkout.show),
    ]
    return Starlette(
        routes=routes,
        middleware=[Middleware(Guard, token=token, port=port)],
        exception_handlers={HTTPException: _http_error},
    )


class _Endpoints:
    def __init__(self, database: Database, apps: Apps, url: str, pace: float) -> None:
        self._database = database
        self._apps = apps
        self._url = url
        self._pace = pace

    def app(self, request: Request) -> Response:
        return JSONResponse(self._app(request))

    def payments(self, request: Request) -> Response:
        return JSONResponse(self._database.payments(self._app(request)["name"]))

    def earnings(self, request: Request) -> Response:
        return JSONResponse(self._database.earnings(self._app(request)["name"]))

    async def checkout(self, request: Request) -> Response:
        app = await run_in_threadpool(self._app, request)
        if not app["price_in_cents"]:
            raise HTTPException(422, f"{app['name']} is free")
        return_url = (await _body(request)).get("return_url") or ""
        checkout_id = await run_in_threadpool(
            self._database.add_checkout, app["id"], str(return_url)
        )
        return JSONResponse({"checkout_url": f"{self._url}/checkout/{checkout_id}"})

    async def chat(self, request: Request) -> Response:
        body = await _body(request)
        text, session_id = body.get("text"), body.get("session_id")
        exchange = await run_in_threadpool(self._begin, request, text, session_id)
        return await run_in_threadpool(_chat, exchange)

    async def stream(self, request: Request) -> Response:
        text, session_id = request.query_params.get("text"), request.query_params.get("session_id")
        exchange = await run_in_threadpool(self._begin, request, text, session_id)
        return StreamingResponse(
            _events(exchange, self._pace if exchange.paced else 0.0),
            media_type="text/event-stream",
            headers={"Cache-Control": "no-store", "X-Request-Id": exchange.request_id},
        )

    def _app(self, request: Request) -> dict[str, Any]:
        app = self._database.app(request.path_params["id"])
        if app is None:
            raise HTTPException(404, "no app has this id")
        return app

    def _begin(self, request: Request, text: Any, session_id: Any) -> Exchange:
        app = self._app(request)
        if not isinstance(text, str) or not text.strip():
            raise HTTPException(422, "text must be a string that is not empty")
        if session_id is not None and not isinstance(session_id, str):
            raise HTTPException(422, "session_id must be a string")
        exchange = self._apps.start_exchange(app["id"], text, session_id)
        if exchange is None:
            raise HTTPException(
                503,
                f"the app {app['name']!r} is not defined in this process: run its definition again",
            )
        return exchange


def _chat(exchange: Exchange) -> Response:
    try:
        pieces = list(exchange.pieces())
    except RuntimeError as error:
        return _error(500, str(error))
    blocks = [{"text": "", "block": piece} for piece in pieces if isinstance(piece, dict)]
    text = "".join(piece for piece in pieces if isinstance(piece, str))
    return JSONResponse(
        {
            "replies": [{"text": text}, *blocks],
            "session_id": exchange.session.id,
            "request_id": exchange.request_id,
        },
        headers={"X-Request-Id": exchange.request_id},
    )


async def _events(exchange: Exchange, pause: float) -> AsyncIterator[bytes]:
    ids = {"session_id": exchange.session.id, "request_id": exchange.request_id}
    yield _event("session", ids)
    pieces = exchange.pieces()
    try:
        async for piece in iterate_in_threadpool(pieces):
            if isinstance(piece, str):
                yield _event("message", {"text": piece})
                await asyncio.sleep(pause)
            else:
                yield _event("block", {"block": piece})
        yield _event("done", {"done": True, **ids})
    except RuntimeError as error:
        yield _event("error", {"error": str(error)})
    finally:
        # Closing records the turn, also when the reader has disconnected.
        pieces.close()  # type: ignore[attr-defined]


def _event(name: str, data: dict[str, Any]) -> bytes:
    return f"event: {name}\ndata: {json.dumps(data)}\n\n".encode()


async def _body(request: Request) -> dict[str, Any]:
    try:
        # The official client omits an empty body.
        body = json.loads(await request.body() or b"{}")
    except ValueError:
        body = None
    if not isinstance(body, dict):
        raise HTTPException(400, "the body must be a JSON object")
    return body


def _error(status: int, message: str) -> Response:
    return JSONResponse({"error": message}, status_code=status)


def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - registered for this class
    return _error(error.status_code, error.detail)
