"""The widgets of the panel, without a kernel."""

import ipywidgets

from cpsl_notebook import Reply
from cpsl_notebook.compat import live_widgets
from cpsl_notebook.display.panel import Panel

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


def test_panel_shows_settled_text_blocks_rest_and_status():
    reply = Reply("shop", "x")
    panel = Panel(reply, lambda: None)
    rest, status = html_values(panel)
    assert ">Connecting to shop…</div>" in status and rest == ""

    for _ in range(60):
        reply.add_event({"text": PARAGRAPH})
    panel.paint()
    settled, rest, status = html_values(panel)
    assert ">shop is replying</div>" in status
    assert settled.count("<strong>bold</strong>") == 59
    assert rest.count("<strong>bold</strong>") == 1

    reply.add_event({"type": "activity", "payload": {"label": "Looked it up"}})
    reply.add_event({"text": "The end."})
    panel._next_paint = 0
    panel.paint()
    first, added, rest, _ = html_values(panel)
    assert first == settled
    assert added.count("<strong>bold</strong>") == 1 and ">[activity] Looked it up</div>" in added
    assert ">The end.</p>" in rest

    panel.close()
    assert panel._view.comm is None


def test_panel_shows_notification_and_stops_on_click():
    stopped = []
    reply = Reply("shop", "x")
    panel = Panel(reply, lambda: stopped.append(True))
    reply.add_event({"type": "notification", "payload": {"text": "Reading…"}})
    panel.paint()
    assert ">Reading…</div>" in html_values(panel)[-1]
    panel._view.children[-1].children[0].click()
    assert stopped == [True]
    panel.close()


def test_no_widget_is_left_where_clicks_do_not_arrive(monkeypatch):
    monkeypatch.setattr("ipykernel.version_info", (6, 29, 5))
    before = live_widgets()
    panel = Panel(Reply("shop", "x"), lambda: None)
    assert not any(isinstance(widget, ipywidgets.Button) for widget in panel._view.children)
    panel.close()
    assert live_widgets() == before
