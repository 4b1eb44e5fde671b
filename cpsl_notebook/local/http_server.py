"""The local workspace's HTTP server: the protocol's endpoints, and the login and checkout pages."""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import itertools
import json
import sqlite3
import threading
from collections.abc import AsyncGenerator, AsyncIterator
from concurrent.futures import Future
from queue import SimpleQueue
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from cpsl_notebook.local import pages
from cpsl_notebook.local.apps import AppError, Apps, Exchange
from cpsl_notebook.local.bodies import read_body
from cpsl_notebook.local.database import Database
from cpsl_notebook.local.payments import Payments
from cpsl_notebook.local.pending_logins import PendingLogins

__all__ = ["MAX_ANSWERS", "MAX_BODY_BYTES", "make_app"]

MAX_BODY_BYTES = 16 * 1024 * 1024  # for a request with the token
MAX_ANSWERS = 200  # messages processed at the same time, each in a thread; others wait

_PAGES = ("/login/", "/checkout/")  # opened in a browser, without the token


class Guard:
    """Middleware that refuses requests from other sites and requests without the token.

    Checking Host and Origin keeps out web pages of other sites, including those whose domain name
    resolves to 127.0.0.1 (DNS rebinding).
    """

    def __init__(self, app: ASGIApp, token: str, port: int) -> None:
        self._app = app
        self._bearer = f"Bearer {token}".encode()
        self._hosts = {f"{name}:{port}".encode() for name in ("127.0.0.1", "localhost")}
        self._origins = {b"http://" + host for host in self._hosts}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Return a 403 or 401, or forward the request."""
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
    database: Database,
    apps: Apps,
    payments: Payments,
    logins: PendingLogins,
    token: str,
    port: int,
    pace: float,
) -> Any:
    """Build the ASGI application.

    Parameters
    ----------
    database : Database
        The workspace's state.
    apps : Apps
        The apps and their functions.
    payments : Payments
        The payments of the sample apps.
    logins : PendingLogins
        The login requests.
    token : str
        The token that requests must have.
    port : int
        The port of the server, for links and for the check of the Host header.
    pace : float
        Seconds between two words of a sample app's streamed reply.
    """
    endpoints = _Endpoints(database, apps, payments, f"http://127.0.0.1:{port}", pace)
    login = pages.Login(logins)
    checkout = pages.Checkout(database, apps)
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
        exception_handlers={HTTPException: _http_error, sqlite3.Error: _storage_error},
    )


class _Endpoints:
    def __init__(
        self, database: Database, apps: Apps, payments: Payments, url: str, pace: float
    ) -> None:
        self._database = database
        self._apps = apps
        self._payments = payments
        self._url = url
        self._pace = pace
        self._answers = asyncio.Semaphore(MAX_ANSWERS)

    def app(self, request: Request) -> Response:
        return JSONResponse(self._app(request))

    def payments(self, request: Request) -> Response:
        return JSONResponse(self._payments.of_app(self._app(request)["name"]))

    def earnings(self, request: Request) -> Response:
        return JSONResponse(self._payments.earnings(self._app(request)["name"]))

    async def checkout(self, request: Request) -> Response:
        app = self._app(request)
        if not app["price_in_cents"]:
            raise HTTPException(422, f"{app['name']} is free")
        return_url = (await _json_body(request)).get("return_url") or ""
        _check_text("return_url", return_url)
        checkout_id = await run_in_threadpool(self._database.add_checkout, app["id"], return_url)
        return JSONResponse({"checkout_url": f"{self._url}/checkout/{checkout_id}"})

    async def chat(self, request: Request) -> Response:
        body = await _json_body(request)
        exchange = await self._start(request, body.get("text"), body.get("session_id"))
        exchange.paced = False
        try:
            pieces = [piece async for piece in self._pieces(exchange)]
        except AppError as error:
            return _error(500, str(error))
        return JSONResponse(
            {
                "replies": _replies(pieces),
                "session_id": exchange.session.id,
                "request_id": exchange.request_id,
            },
            headers={"X-Request-Id": exchange.request_id},
        )

    async def stream(self, request: Request) -> Response:
        query = request.query_params
        exchange = await self._start(request, query.get("text"), query.get("session_id"))
        return StreamingResponse(
            self._events(exchange),
            media_type="text/event-stream",
            headers={"Cache-Control": "no-store", "X-Request-Id": exchange.request_id},
        )

    def _app(self, request: Request) -> dict[str, Any]:
        app = self._apps.get(request.path_params["id"])
        if app is None:
            raise HTTPException(
                404, "no app has this id; if you added it with @workspace.app, add it again"
            )
        return app

    async def _start(self, request: Request, text: Any, session_id: Any) -> Exchange:
        app = self._app(request)
        _check_text("text", text)
        if not text.strip():
            raise HTTPException(422, "text must not be empty")
        if session_id is not None:
            _check_text("session_id", session_id)
        return await run_in_threadpool(self._apps.start_exchange, app["id"], text, session_id)

    async def _events(self, exchange: Exchange) -> AsyncIterator[bytes]:
        ids = {"session_id": exchange.session.id, "request_id": exchange.request_id}
        yield _event("session", ids)
        try:
            async with contextlib.aclosing(self._pieces(exchange)) as pieces:
                async for piece in pieces:
                    if isinstance(piece, str):
                        yield _event("message", {"text": piece})
                        await asyncio.sleep(self._pace if exchange.paced else 0.0)
                    else:
                        yield _event("block", {"block": piece})
            yield _event("done", {"done": True, **ids})
        except AppError as error:
            yield _event("error", {"error": str(error)})
        except sqlite3.Error as error:
            yield _event("error", {"error": _cannot_store(error)})

    async def _pieces(self, exchange: Exchange) -> AsyncGenerator[str | dict[str, Any]]:
        """Yield the pieces of a reply; the app runs in a separate thread, where it may block."""
        wanted: SimpleQueue[Future[Any] | None] = SimpleQueue()
        async with self._answers:
            # A daemon thread, because an app that blocks must not keep Python from exiting.
            threading.Thread(
                target=_answer, args=(exchange, wanted), name="capsule-local-app", daemon=True
            ).start()
            try:
                while True:
                    future: Future[Any] = Future()
                    wanted.put(future)
                    piece = await asyncio.wrap_future(future)
                    if piece is None:
                        return
                    yield piece
            finally:
                wanted.put(None)


def _answer(exchange: Exchange, wanted: SimpleQueue[Future[Any] | None]) -> None:
    """Set each future to the next piece, and to ``None`` at the end; ``None`` stops the app."""
    pieces = exchange.pieces()
    while (future := wanted.get()) is not None:
        if future.set_running_or_notify_cancel():
            try:
                future.set_result(next(pieces, None))
            except Exception as error:
                future.set_exception(error)
    with contextlib.suppress(sqlite3.Error):  # the reader has disconnected
        pieces.close()  # records the turn


def _replies(pieces: list[str | dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the messages of a whole reply: each has a text and then at most one block.

    A notification before the first text, which the text clears, is moved after it: the official
    client's ``text`` is the text of the first message only.
    """
    notes = list(itertools.takewhile(_is_notification, pieces))
    texts = list(itertools.takewhile(lambda piece: isinstance(piece, str), pieces[len(notes) :]))
    replies: list[dict[str, Any]] = [{"text": ""}]
    for piece in [*texts, *notes, *pieces[len(notes) + len(texts) :]]:
        if "block" in replies[-1]:
            replies.append({"text": ""})
        if isinstance(piece, str):
            replies[-1]["text"] += piece
        else:
            replies[-1]["block"] = piece
    return [reply | {"text": reply["text"].strip("\n")} for reply in replies]


def _is_notification(piece: str | dict[str, Any]) -> bool:
    return isinstance(piece, dict) and piece["type"] == "notification"


def _event(name: str, data: dict[str, Any]) -> bytes:
    return f"event: {name}\ndata: {json.dumps(data)}\n\n".encode()


def _check_text(name: str, value: Any) -> None:
    if not isinstance(value, str):
        raise HTTPException(422, f"{name} must be a string")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise HTTPException(422, f"{name} contains a lone surrogate") from None


async def _json_body(request: Request) -> dict[str, Any]:
    try:
        # The official client omits an empty body.
        body = json.loads(await read_body(request, MAX_BODY_BYTES) or b"{}")
    except (ValueError, RecursionError):
        body = None
    if not isinstance(body, dict):
        raise HTTPException(400, "the body must be a JSON object")
    return body


def _error(status: int, message: str) -> Response:
    return JSONResponse({"error": message}, status_code=status)


def _cannot_store(error: Exception) -> str:
    return f"cannot read or write the workspace: {error}"


def _storage_error(request: Request, error: Exception) -> Response:
    return _error(500, _cannot_store(error))


def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - registered for this class
    return _error(error.status_code, error.detail)
