"""The widgets of the panel, without a kernel."""

import ipywidgets

from cpsl_notebook import Reply
from cpsl_notebook.display.panel import Panel
from cpsl_notebook.reply.style import STYLE

PARAGRAPH = "Some **bold** words of a paragraph that is not very long.\n\n"


def html_values(panel):
    """Return the values of the panel's HTML widgets, in the order in which they are shown."""
    values, widgets = [], [panel._view]
    while widgets:
        widget = widgets.pop(0)
        widgets[:0] = getattr(widget, "children", ())
        if isinstance(widget, ipywidgets.HTML):
            values.append(widget.value)
    return values


def test_panel_shows_status_settled_text_rest_and_blocks():
    reply = Reply("shop", "x")
    panel = Panel(reply, lambda: None)
    status, style, rest = html_values(panel)
    assert ">Connecting to shop…</div>" in status and (style, rest) == (STYLE, "")

    for _ in range(60):
        reply.add_event({"text": PARAGRAPH})
    reply.add_event({"type": "activity", "payload": {"label": "Looked it up"}})
    panel.paint()
    status, _, settled, rest, blocks = html_values(panel)
    assert ">shop is replying</div>" in status
    assert settled.count("<strong>bold</strong>") == 59
    assert rest.count("<strong>bold</strong>") == 1
    assert ">[activity] Looked it up</div>" in blocks

    panel.close()
    assert panel._view.comm is None


def test_panel_shows_notification_and_stops_on_click():
    stopped = []
    reply = Reply("shop", "x")
    panel = Panel(reply, lambda: stopped.append(True))
    reply.add_event({"type": "notification", "payload": {"text": "Reading…"}})
    panel.paint()
    assert ">Reading…</div>" in html_values(panel)[0]
    panel._view.children[0].children[0].click()
    assert stopped == [True]
    panel.close()
