"""The panel of widgets that shows a reply while it streams.

Final text is sent once, in a widget of its own; only what still grows or changes is sent again. The
traffic is therefore proportional to the length of the reply, unless it is one long list or paragraph.
The status and the Stop button are below the text, where the front end keeps them in view while the
text grows.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import ipywidgets as widgets

from cpsl_notebook.compat import deliver_at_once, delivers_clicks, html_style
from cpsl_notebook.display.incremental import GrowingReply
from cpsl_notebook.reply.style import CODE, TABLE, quiet_line, sheet

if TYPE_CHECKING:
    from cpsl_notebook.reply.model import Reply

__all__ = ["Panel"]

# A large growing text is repainted when it has grown by a tenth, or after a delay.
_LARGE_TEXT = 4_000  # characters
_MIN_GROWTH = 1.1
_MAX_DELAY = 0.25  # seconds
# A growing fence or table is repainted when lines have been added, or after a delay: often at first,
# and less often when lines are on pages already, because a long one would need very many messages.
_MIN_LINES, _MIN_FURTHER_LINES = 300, 1_300  # characters
_MAX_LINES_DELAY, _MAX_FURTHER_LINES_DELAY = 0.8, 2.6  # seconds; half of it if few lines arrive
# After a repaint that took t seconds, the next one waits max(4 t, min(40 t, 0.2 s)): painting takes
# at most a quarter of the time, and much less when it is fast.
_MIN_IDLE_FACTOR, _MAX_IDLE_FACTOR = 4, 40
_IDLE_LIMIT = 0.2  # seconds
# While text arrives, the seconds are shown in steps: each change is a message of a kilobyte.
_FIRST_STEP, _STEP = 5, 10  # seconds
_PAUSE = 2.0  # seconds without new text, after which each second is shown
# The widths make sure that a long line of code does not make the panel wider than the window. The
# rules after them join the parts of a fence or table. The last two replace layouts, which are widgets.
_COLOURED = re.compile("<span ([a-z])>([^<]*)</span>")
_LIVE_SHEET = (
    f"<style>{sheet('i[{}]')}.capsule-live i{{font-style:normal}}.capsule-live{{width:0;min-width:100%;"
    "overflow-wrap:anywhere;line-height:var(--jp-content-line-height,1.6)}"
    f".capsule-live table{{margin-left:0;{TABLE}}}.capsule-live pre:not([style]){{{CODE}}}"
    ".capsule-more>pre:first-child{margin-top:0!important;padding-top:0!important}"
    ".capsule-open>:last-child,.capsule-live>:has(>.capsule-open:last-child){margin-bottom:0!important}"
    ".capsule-open>pre:last-child{padding-bottom:0!important;scrollbar-width:none}"
    ".capsule-bottom{align-items:center!important}"
    ".capsule-stop{width:auto!important;flex:0 0 auto!important;margin:2px 10px 2px 0!important}"
    "</style>"
)


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
        self._length, self._grown_at = 0, self._started
        self._seconds = 0
        # Shared by all widgets: a layout and a style of its own would be two more widgets for each.
        self._shared = {"layout": widgets.Layout(margin="0"), "style": html_style()}
        self._status = self._html_widget(self._status_html())
        # The style sheet, each page, and the rest.
        self._texts = [self._html_widget(_LIVE_SHEET), self._html_widget()]
        self._bottom = self._bottom_row(stop)
        parts = [*self._texts, self._bottom]
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
        grown, delay = len(self._growing.rest) - len(self._painted_rest), now - self._painted_at
        if self._growing.is_continued:
            is_slow = grown < _MIN_FURTHER_LINES / 4
            longest = _MAX_FURTHER_LINES_DELAY / (2 if is_slow else 1)
            return grown >= _MIN_FURTHER_LINES or delay > longest
        if self._growing.has_lines:
            return grown >= _MIN_LINES or delay > _MAX_LINES_DELAY
        is_large = len(self._growing.rest) > _LARGE_TEXT
        has_grown = len(self._growing.rest) >= len(self._painted_rest) * _MIN_GROWTH
        return has_grown or not is_large or delay > _MAX_DELAY

    def _paint_pages(self) -> None:
        pages = self._growing.pages()
        if self._growing.rest != self._painted_rest:
            self._painted_rest, self._painted_at = self._growing.rest, time.monotonic()
        values = [_LIVE_SHEET, *map(_page, [*pages, self._growing.rest_html()])]
        # The widget of the rest becomes that of the next page, so the rest is not sent twice.
        for widget, value in zip(self._texts, values, strict=False):
            widget.value = value  # sends nothing if the value is the same
        if len(values) > len(self._texts):
            # One more widget than needed, because each change of the children sends all names.
            added = [*values[len(self._texts) :], ""]
            self._texts += map(self._html_widget, added)
            self._view.children = [*self._texts, self._bottom]

    def _bottom_row(self, stop: Callable[[], None]) -> Any:
        if not delivers_clicks():
            return self._status
        button = widgets.Button(
            description="Stop",
            icon="stop",
            tooltip="Stop the reply and keep the text received so far",
            layout=self._shared["layout"],
        )
        button.add_class("capsule-stop")
        button.on_click(lambda _: stop())
        deliver_at_once(button.comm)
        row = widgets.HBox([button, self._status], layout=self._shared["layout"])
        row.add_class("capsule-bottom")
        return row

    def _status_html(self) -> str:
        reply = self._reply
        doing = f"{reply.app} is replying" if reply.pieces else f"Connecting to {reply.app}…"
        now = time.monotonic()
        if len(reply.pieces) != self._length:
            self._length, self._grown_at = len(reply.pieces), now
        seconds = int(now - self._started)
        if reply.pieces and now - self._grown_at < _PAUSE:
            step = _STEP if seconds >= _STEP else _FIRST_STEP
            seconds = max(self._seconds, seconds // step * step)
        self._seconds = seconds
        # The seconds are outside the status, so that a screen reader does not read each of them.
        status = quiet_line(reply.notification or doing, "role=status")
        return f'<div style="display:flex;gap:.6em">{status}{quiet_line(f"{seconds} s")}</div>'

    def _html_widget(self, value: str = "") -> Any:
        return widgets.HTML(value, **self._shared)


def _page(content: str) -> str:
    """Return HTML that looks the same in a widget as in an output."""
    if not content:
        return ""
    # Shorter; the style sheet of the panel has rules for these elements.
    content = _COLOURED.sub(r"<i \1>\2</i>", content).replace("&#10;", "\n")
    content = content.replace(f"<table style={TABLE}>", "<table>").replace(
        f"<pre style={CODE}>", "<pre>"
    )
    opening = '<div dir=ltr class="capsule-reply mathjax_ignore tex2jax_ignore" role=status>'
    return f'<div class="jp-RenderedHTMLCommon capsule-live">{opening}{content}</div></div>'


def _close(widget: Any) -> None:
    """Close a widget, its layout, its style and its children."""
    for name in ("layout", "style"):
        if hasattr(widget, name):
            getattr(widget, name).close()
    for child in getattr(widget, "children", ()):
        _close(child)
    widget.close()
