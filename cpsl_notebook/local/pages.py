"""The two pages of the local workspace that a person opens: confirm a login, look at a checkout."""

from __future__ import annotations

import html
from urllib.parse import parse_qs, urlsplit

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from cpsl_notebook.local.database import Database
from cpsl_notebook.local.pending_logins import PendingLogins

__all__ = ["Checkout", "Login"]

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
    "Referrer-Policy": "same-origin",  # with none at all, the form's own POST comes from "null"
    "Cache-Control": "no-store",
}

_LOGIN_FORM = """<p>A program on this machine asks for this workspace's token.</p>
<form method="post"><label>The workspace's login secret
<input type="password" name="secret" value="{secret}" autocomplete="off" required></label>
<button>Confirm the login</button></form>
<p><small>The secret is in the file <code>login-secret</code> of the workspace's folder, which only
its owner can read. Close this page if you did not ask for a login.</small></p>"""


class Login:
    """The page of the link that a login gives."""

    def __init__(self, logins: PendingLogins) -> None:
        self._logins = logins

    def show(self, request: Request) -> Response:
        """Show the button; the link that the workspace shows its owner carries the secret."""
        if not self._logins.known(request.path_params["id"]):
            return _gone("This login is over", "Ask for a new one in the program that you use.")
        secret = html.escape(request.query_params.get("secret", ""))
        return _page("Log in to the local workspace", _LOGIN_FORM.format(secret=secret))

    async def confirm(self, request: Request) -> Response:
        """Confirm, where the form shows the secret."""
        fields = parse_qs((await request.body()).decode("utf-8", "replace"))
        if not self._logins.known(request.path_params["id"]):
            return _gone("This login is over", "Ask for a new one in the program that you use.")
        if not self._logins.confirm(request.path_params["id"], fields.get("secret", [""])[0]):
            again = "<p>That is not this workspace's secret.</p>" + _LOGIN_FORM.format(secret="")
            return _page("Not confirmed", again, 403)
        return _page("You are logged in", "<p>You can close this page.</p>")


class Checkout:
    """The page that a checkout's URL opens."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def show(self, request: Request) -> Response:
        """Say what would be paid, and that nothing is."""
        checkout = self._database.checkout(request.path_params["id"])
        if checkout is None:
            return _gone("No such checkout", "Create one with <code>create_checkout()</code>.")
        price = f"${checkout['price_in_cents'] // 100}.{checkout['price_in_cents'] % 100:02d}"
        each = " a month" if checkout["pricing_type"] == "monthly" else ""
        name = html.escape(checkout["name"])
        body = (
            f"<p><strong>{name}</strong> costs {price}{each}.</p>"
            "<p><strong>No money moves here.</strong> This is the built-in local workspace: "
            "the page stands where the payment form of the live service would be.</p>"
        )
        back = checkout["return_url"]
        if urlsplit(back).scheme in ("http", "https"):
            body += f'<p><a href="{html.escape(back)}" rel="noreferrer">Back to the app</a></p>'
        return _page(f"Checkout of {name}", body)


def _page(title: str, body: str, status: int = 200) -> Response:
    return HTMLResponse(_PAGE.format(title=title, body=body), status, headers=_HEADERS)


def _gone(title: str, body: str) -> Response:
    return _page(title, f"<p>{body}</p>", 404)
