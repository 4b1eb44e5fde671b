"""The panel of widgets that shows a reply while it streams.

Final text is sent once, in a widget of its own; only what still grows or changes is sent again. So
the traffic is proportional to the length of the reply. The status and the Stop button are below the
text, where the front end keeps them in view while the text grows.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import ipywidgets as widgets

from cpsl_notebook.compat import deliver_at_once, delivers_clicks, html_style
from cpsl_notebook.display.incremental import GrowingReply
from cpsl_notebook.reply.style import framed, quiet_line

if TYPE_CHECKING:
    from cpsl_notebook.reply.model import Reply

__all__ = ["Panel"]

# A large growing text is repainted when it has grown by a tenth, or after a delay.
_LARGE_TEXT = 4_000  # characters
_MIN_GROWTH = 1.1
_MAX_DELAY = 0.25  # seconds
# After a repaint that took t seconds, the next one waits max(4 t, min(40 t, 0.2 s)): painting takes
# at most a quarter of the time, and much less when it is fast.
_MIN_IDLE_FACTOR, _MAX_IDLE_FACTOR = 4, 40
_IDLE_LIMIT = 0.2  # seconds


class Panel:
    """The reply so far, a Stop button, and a status line.

    Parameters
    ----------
    reply : Reply
        The reply; another thread adds to it.
    stop : callable
        What the button calls.
    """

    def __init__(self, reply: Reply, stop: Callable[[], None]) -> None:
        self._reply = reply
        self._started = time.monotonic()
        self._growing = GrowingReply(reply)
        self._painted_rest = ""
        self._painted_at = self._next_paint = 0.0
        # Shared by all widgets: a layout and a style of its own would be two more widgets for each.
        self._shared = {"layout": widgets.Layout(margin="0"), "style": html_style()}
        self._status = self._html_widget(self._status_html())
        self._rest = self._html_widget()
        self._pages = widgets.VBox([self._rest], layout=self._shared["layout"])
        parts = [self._pages, self._bottom_row(stop)]
        self._view = widgets.VBox(parts, layout=self._shared["layout"])

    @property
    def bundle(self) -> dict[str, Any]:
        """The MIME bundle that shows the panel, with a fallback text."""
        view = {"model_id": self._view.model_id, "version_major": 2, "version_minor": 0}
        return {"application/vnd.jupyter.widget-view+json": view, "text/plain": "…"}

    def paint(self) -> None:
        """Show what has arrived, unless the last repaint was too recent."""
        self._status.value = self._status_html()
        started = time.monotonic()
        if started < self._next_paint:
            return
        self._growing.update()
        if self._is_text_due(started):
            self._paint_pages()
        cost = time.monotonic() - started
        idle = max(_MIN_IDLE_FACTOR * cost, min(_MAX_IDLE_FACTOR * cost, _IDLE_LIMIT))
        self._next_paint = started + idle

    def close(self) -> None:
        """Close every widget of the panel, so that none stays in the kernel."""
        _close(self._view)

    def _is_text_due(self, now: float) -> bool:
        is_large = len(self._growing.rest) > _LARGE_TEXT
        has_grown = len(self._growing.rest) >= len(self._painted_rest) * _MIN_GROWTH
        return has_grown or not is_large or now - self._painted_at > _MAX_DELAY

    def _paint_pages(self) -> None:
        pages = [_page(html, " role=status") for html in self._growing.pages()]
        shown = list(self._pages.children[:-1])
        for widget, page in zip(shown, pages, strict=False):
            widget.value = page  # sends nothing if the value is the same
        if len(pages) > len(shown):
            added = map(self._html_widget, pages[len(shown) :])
            self._pages.children = (*shown, *added, self._rest)
        if self._growing.rest != self._painted_rest:
            self._painted_rest, self._painted_at = self._growing.rest, time.monotonic()
            self._rest.value = _page(self._growing.rest_html(), " role=status")

    def _bottom_row(self, stop: Callable[[], None]) -> Any:
        if not delivers_clicks():
            return self._status
        button = widgets.Button(
            description="Stop",
            icon="stop",
            tooltip="Stop the reply and keep the text received so far",
            layout=widgets.Layout(width="auto", flex="0 0 auto", margin="2px 10px 2px 0"),
        )
        button.on_click(lambda _: stop())
        deliver_at_once(button.comm)
        return widgets.HBox([button, self._status], layout=widgets.Layout(align_items="center"))

    def _status_html(self) -> str:
        reply = self._reply
        doing = f"{reply.app} is replying" if reply.pieces else f"Connecting to {reply.app}…"
        seconds = int(time.monotonic() - self._started)
        # The seconds are outside the status, so that a screen reader does not read each of them.
        status = quiet_line(reply.notification or doing, "role=status")
        return f'<div style="display:flex;gap:.6em">{status}{quiet_line(f"{seconds} s")}</div>'

    def _html_widget(self, value: str = "") -> Any:
        return widgets.HTML(value, **self._shared)


def _page(content: str, attributes: str = "") -> str:
    """Return HTML that looks the same in a widget as in an output."""
    # Without the widths, a long line of code makes the whole panel wider than the window.
    style = ' style="width:0;min-width:100%;line-height:var(--jp-content-line-height,1.6)"'
    return f'<div class="jp-RenderedHTMLCommon"{style}>{framed(content, attributes)}</div>'


def _close(widget: Any) -> None:
    """Close a widget, its layout, its style and its children."""
    for name in ("layout", "style"):
        if hasattr(widget, name):
            getattr(widget, name).close()
    for child in getattr(widget, "children", ()):
        _close(child)
    widget.close()
