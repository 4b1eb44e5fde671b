"""The two web pages of the local workspace: the login confirmation and the checkout."""

from __future__ import annotations

import html
from urllib.parse import parse_qs, urlsplit

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from cpsl_notebook.local.apps import Apps
from cpsl_notebook.local.bodies import read_body
from cpsl_notebook.local.database import Database
from cpsl_notebook.local.pending_logins import PendingLogins

__all__ = ["Checkout", "Login"]

_MAX_FORM_BYTES = 4_096

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title>
<meta name="viewport" content="width=device-width">
<style>
:root {{ color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif }}
main {{ max-width: 32rem; margin: 12vh auto; padding: 0 1rem }}
h1 {{ font-size: 1.4rem }}
input, button {{ font: inherit; padding: .5rem .8rem; border-radius: .4rem }}
input, button {{ border: 1px solid #888 }}
input {{ width: 100%; box-sizing: border-box; margin: .3rem 0 1rem }}
button {{ background: #1d5fd1; color: #fff; border-color: #1d5fd1; cursor: pointer }}
small {{ opacity: .75 }}
</style></head><body><main><h1>{title}</h1>{body}</main></body></html>"""

_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; "
    "frame-ancestors 'none'; base-uri 'none'",
    "Referrer-Policy": "same-origin",  # with "no-referrer", the form's POST has the origin "null"
    "Cache-Control": "no-store",
}

_LOGIN_FORM = """<p>A program on this computer wants to log in to this workspace.</p>
<form method="post"><label>Login secret
<input type="password" name="secret" value="{secret}" autocomplete="off" required></label>
<button>Confirm login</button></form>
<p><small>The secret is in the file <code>login-secret</code> in the workspace's folder. If you did
not request this login, close this page.</small></p>"""
_EXPIRED = ("This login has expired", "Start a new login from your program.")


class Login:
    """The page that confirms a login."""

    def __init__(self, logins: PendingLogins) -> None:
        self._logins = logins

    def show(self, request: Request) -> Response:
        """Show the form; the link that is printed for the owner fills in the secret."""
        if not self._logins.known(request.path_params["id"]):
            return _not_found(*_EXPIRED)
        secret = html.escape(request.query_params.get("secret", ""))
        return _page("Log in to the local workspace", _LOGIN_FORM.format(secret=secret))

    async def confirm(self, request: Request) -> Response:
        """Confirm the login if the secret is correct."""
        if not self._logins.known(request.path_params["id"]):
            return _not_found(*_EXPIRED)
        body = await read_body(request, _MAX_FORM_BYTES)
        fields = parse_qs(body.decode("utf-8", "replace"))
        if not self._logins.confirm(request.path_params["id"], fields.get("secret", [""])[0]):
            again = "<p>The login secret is wrong.</p>" + _LOGIN_FORM.format(secret="")
            return _page("Login not confirmed", again, 403)
        return _page("You are logged in", "<p>You can close this page.</p>")


class Checkout:
    """The page of a checkout."""

    def __init__(self, database: Database, apps: Apps) -> None:
        self._database = database
        self._apps = apps

    def show(self, request: Request) -> Response:
        """Show the price, and state that no money is charged."""
        app_id, return_url = self._database.checkout(request.path_params["id"]) or ("", "")
        app = self._apps.get(app_id)
        if app is None:
            return _not_found(
                "Checkout not found", "Create a checkout with <code>create_checkout()</code>."
            )
        price = f"${app['price_in_cents'] // 100}.{app['price_in_cents'] % 100:02d}"
        period = " per month" if app["pricing_type"] == "monthly" else ""
        name = html.escape(app["name"])
        body = (
            f"<p><strong>{name}</strong> costs {price}{period}.</p>"
            "<p><strong>No money is charged.</strong> This is the built-in local workspace. The live "
            "service shows a payment form here.</p>"
        )
        if _is_web_address(return_url):
            link = html.escape(return_url)
            body += f'<p><a href="{link}" rel="noreferrer">Back to the app</a></p>'
        return _page(f"Checkout for {name}", body)


def _is_web_address(url: str) -> bool:
    """Return whether a URL is a valid ``http`` or ``https`` address, not a script."""
    try:
        return urlsplit(url).scheme in ("http", "https")
    except ValueError:
        return False


def _page(title: str, body: str, status: int = 200) -> Response:
    return HTMLResponse(_PAGE.format(title=title, body=body), status, headers=_HEADERS)


def _not_found(title: str, body: str) -> Response:
    return _page(title, f"<p>{body}</p>", 404)
