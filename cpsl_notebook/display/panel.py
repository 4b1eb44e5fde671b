"""The panel that shows a reply while it streams.

What is settled is sent once, as a widget of its own; only what still grows or changes is sent again.
So the traffic is proportional to the reply, however long it gets.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import ipykernel
import ipywidgets as widgets
from ipywidgets.widgets.widget_string import HTMLStyle

from cpsl_notebook.reply.blocks import block_html, quiet_line
from cpsl_notebook.reply.markdown import STYLE, settled, to_html
from cpsl_notebook.reply.model import Reply
from cpsl_notebook.reply.rendering import framed
from cpsl_notebook.sanitize import clean, split_complete

__all__ = ["Growing", "Panel"]

_PIECE = 2_000  # characters that are worth a widget of their own
_LARGE = 4_000  # characters of a growing block that are worth some patience
_PATIENCE = 0.25  # seconds for which a large block may wait to be painted again
_GROWTH = 1.1
_SHARE = 4  # of the time at most one part in so many goes into painting
_SPARING = 40  # and no more than this, where it need not wait for longer than …
_PAUSE = 0.2  # seconds


class Growing:
    r"""Markdown that grows at its end, in pieces that are settled and a rest that is not.

    Examples
    --------
    >>> growing = Growing()
    >>> growing.add("First.\n\nSecond.\n\nThi")
    >>> growing.settle(at_least=1), growing.rest
    ('First.\n\n', 'Second.\n\nThi')
    """

    def __init__(self) -> None:
        self.rest = ""
        self._held = ""

    def add(self, text: str) -> None:
        """Add what has arrived."""
        whole, self._held = split_complete(self._held + text)
        self.rest += clean(whole)

    def settle(self, at_least: int = _PIECE) -> str:
        """Take away the part that no longer changes, where it has that many characters."""
        if len(self.rest) < at_least:
            return ""
        cut = settled(self.rest)
        if cut < at_least:
            return ""
        piece, self.rest = self.rest[:cut], self.rest[cut:]
        return piece


class Gathered:
    """The reply's blocks as HTML, a few of them together: what has not changed is not made again."""

    def __init__(self) -> None:
        self._blocks: list[Any] = []
        self._shown: list[str] = []  # the HTML of each
        self._groups: list[list[int]] = []  # which of them are shown together

    def pages(self, reply: Reply) -> list[str]:
        """Return the HTML of the blocks in groups: a block stays in its own, and the last one grows."""
        for place, block in enumerate(list(reply.blocks)):
            is_new = place == len(self._blocks)
            if not is_new and self._blocks[place] is block:
                continue
            shown = block_html(block, reply.app, remote_images=reply.remote_images)
            self._blocks[place : place + 1] = [block]
            self._shown[place : place + 1] = [shown]
            if is_new:
                self._add(place)
        return ["".join(self._shown[place] for place in group) for group in self._groups]

    def _add(self, place: int) -> None:
        last = self._groups[-1] if self._groups else []
        if not last or sum(len(self._shown[n]) for n in (*last, place)) > _PIECE:
            self._groups.append([])
        self._groups[-1].append(place)


class Panel:
    """A status, a Stop button, and the reply so far.

    Parameters
    ----------
    reply
        The reply; another thread adds to it.
    stop
        What the button does.
    """

    def __init__(self, reply: Reply, stop: Callable[[], None]) -> None:
        self._reply = reply
        self._began = time.monotonic()
        self._growing = Growing()
        self._taken = 0  # pieces of the reply
        self._painted = ""  # the rest, as it was painted last
        self._painted_at = self._paid = 0.0  # and when; until when painting is paid for
        self._blocks: list[Any] = []
        self._gathered = Gathered()
        # Shared by all pieces: a layout and a style for each would be two more widgets.
        self._shared = {"layout": widgets.Layout(margin="0"), "style": HTMLStyle()}
        self._status = self._html(self._state())
        self._tail = self._html()
        self._body = widgets.VBox([self._tail], layout=self._shared["layout"])
        self._below = widgets.VBox(layout=self._shared["layout"])
        parts = [self._top(stop), self._html(STYLE), self._body, self._below]
        self._view = widgets.VBox(parts, layout=self._shared["layout"])

    @property
    def bundle(self) -> dict[str, Any]:
        """What a front end shows: the panel, or a word where it has no widgets."""
        view = {"model_id": self._view.model_id, "version_major": 2, "version_minor": 0}
        return {"application/vnd.jupyter.widget-view+json": view, "text/plain": "…"}

    def paint(self) -> None:
        """Show what has arrived, unless it is not yet worth it; called several times a second."""
        self._status.value = self._state()
        pieces = self._reply.pieces[self._taken :]
        self._taken += len(pieces)
        self._growing.add("".join(pieces))
        began = time.monotonic()
        if began < self._paid:
            return
        if self._growing.rest != self._painted and self._is_worth_it(began):
            self._paint_text()
        if self._reply.blocks != self._blocks:
            self._blocks = list(self._reply.blocks)
            self._paint_blocks()
        cost = time.monotonic() - began
        self._paid = began + max(_SHARE * cost, min(_SPARING * cost, _PAUSE))

    def close(self) -> None:
        """Close every widget, so that nothing of the panel is left in the kernel."""
        _close(self._view)

    def _is_worth_it(self, now: float) -> bool:
        large = len(self._growing.rest) > _LARGE
        grown = len(self._growing.rest) >= len(self._painted) * _GROWTH
        return grown or not large or now - self._painted_at > _PATIENCE

    def _paint_text(self) -> None:
        piece = self._growing.settle()
        if piece:
            shown = self._html(_page(self._markdown(piece)))
            self._body.children = (*self._body.children[:-1], shown, self._tail)
        self._painted, self._painted_at = self._growing.rest, time.monotonic()
        self._tail.value = _page(self._markdown(self._painted), ' role="status"')

    def _paint_blocks(self) -> None:
        pages = [_page(page, ' role="status"') for page in self._gathered.pages(self._reply)]
        shown = list(self._below.children)
        for widget, page in zip(shown, pages, strict=False):
            widget.value = page  # sends nothing where it is what it was
        if len(pages) > len(shown):
            self._below.children = (*shown, *map(self._html, pages[len(shown) :]))

    def _markdown(self, text: str) -> str:
        return to_html(text, remote_images=self._reply.remote_images)

    def _top(self, stop: Callable[[], None]) -> Any:
        button = widgets.Button(
            description="Stop",
            icon="stop",
            tooltip="Stop the reply and keep what has arrived",
            layout=widgets.Layout(width="auto", margin="2px 10px 2px 0"),
        )
        button.on_click(lambda _: stop())
        if not _deliver_at_once(button.comm):
            return self._status
        middle = widgets.Layout(align_items="center")
        return widgets.HBox([button, self._status], layout=middle)

    def _state(self) -> str:
        reply = self._reply
        begun = reply.pieces or reply.blocks
        doing = f"{reply.app} is replying" if begun else f"Connecting to {reply.app}…"
        seconds = int(time.monotonic() - self._began)
        said = quiet_line(reply.notification or doing, 'role="status"')
        # The seconds are no news to be read aloud.
        return f'<div style="display:flex;gap:.6em">{said}{quiet_line(f"{seconds} s")}</div>'

    def _html(self, value: str = "") -> Any:
        return widgets.HTML(value, **self._shared)


def _page(inner: str, attributes: str = "") -> str:
    """Return HTML that looks within a widget as it will in an output."""
    look = ' style="line-height:var(--jp-content-line-height,1.6)"'
    return f'<div class="jp-RenderedHTMLCommon"{look}>{framed(inner, attributes)}</div>'


def _deliver_at_once(comm: Any) -> bool:
    """Let clicks arrive while the cell runs; return whether they can."""
    if ipykernel.version_info < (7,):  # type: ignore[attr-defined]
        return False
    # ipykernel 7.4 sends what comes in on a comm to the shell that last wrote to it: to the one
    # that is busy with the cell.
    if hasattr(comm, "_reply_subshell_for"):
        comm._reply_subshell_for = lambda data, default: default
    return True


def _close(widget: Any) -> None:
    """Close a widget and all that belongs to it."""
    for name in ("layout", "style"):
        if hasattr(widget, name):
            getattr(widget, name).close()
    for child in getattr(widget, "children", ()):
        _close(child)
    widget.close()
