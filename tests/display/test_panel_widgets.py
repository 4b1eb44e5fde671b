"""The widgets of the panel, without a kernel."""

import json
import time

import ipywidgets
import pytest

from cpsl_notebook import Reply
from cpsl_notebook.compat import live_widgets
from cpsl_notebook.display import panel as panel_module
from cpsl_notebook.display.panel import Panel
from cpsl_notebook.reply.rendering import bundle

PARAGRAPH = "Some **bold** words of a paragraph that is not very long.\n\n"


def html_values(panel):
    """Return the values of the panel's HTML widgets, in order, without the style sheet."""
    values, widgets = [], [panel._view]
    while widgets:
        widget = widgets.pop(0)
        widgets[:0] = getattr(widget, "children", ())
        if isinstance(widget, ipywidgets.HTML) and not widget.value.startswith("<style>"):
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
    settled, rest, spare, status = html_values(panel)
    assert ">shop is replying</div>" in status
    assert settled.count("<b>bold</b>") == 59
    assert rest.count("<b>bold</b>") == 1 and spare == ""

    reply.add_event({"type": "activity", "payload": {"label": "Looked it up"}})
    reply.add_event({"text": "The end."})
    panel._next_paint = 0
    panel.paint()
    first, added, rest, _ = html_values(panel)
    assert first == settled
    assert added.count("<b>bold</b>") == 1 and ">[activity] Looked it up</div>" in added
    assert ">The end.<" in rest

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


MESSAGE, WIDGET = 750, 2_200  # bytes around a value, and of opening, adding and closing a widget
CHUNK, RATE = 5, 500  # characters, and characters per second
LINES = {
    "fence": ("```python\n", "    found.append(thread.age)  # of each thread that waits\n"),
    "table": (
        "| queue | open | share | state |\n|---|---|---|---|\n",
        "| billing | 33 | 0.25 | waiting for a reply |\n",
    ),
}


class Clock:
    """A clock that stands still until it is set."""

    now = 0.0

    def monotonic(self):
        return self.now


def traffic(monkeypatch, text):
    """Return the bytes, about, that are sent for a reply of a text that arrives steadily."""
    clock = Clock()
    monkeypatch.setattr(panel_module, "time", clock)
    reply = Reply("shop", "x", status="running")
    panel = Panel(reply, lambda: None)
    before = {}
    sent = 0
    for start in range(0, len(text), CHUNK):
        reply.add_event({"text": text[start : start + CHUNK]})
        clock.now += CHUNK / RATE
        if start % (12 * CHUNK):
            continue
        panel.paint()
        values = html_values(panel)
        sent += WIDGET * (len(values) - len(before)) if before else 20_000
        for position, value in enumerate(values[:-1]):
            if before.get(position) != value:
                sent += MESSAGE + len(json.dumps(value))
        sent += (MESSAGE + 200) * (before.get("status") != values[-1])
        before = {**dict(enumerate(values[:-1])), "status": values[-1]}
    panel.close()
    reply.status = "complete"
    return sent + len(json.dumps(bundle(reply)))


@pytest.mark.parametrize("kind", LINES)
def test_traffic_of_a_growing_fence_or_table_is_less_than_nine_times_its_text(monkeypatch, kind):
    head, line = LINES[kind]
    ratios = []
    for size in (19_000, 76_000):
        text = head + line * (size // len(line))
        ratios.append(traffic(monkeypatch, text) / len(text))
    assert max(ratios) < 9 and ratios[1] < 1.1 * ratios[0]


def test_painting_a_growing_fence_takes_linear_time():
    head, line = LINES["fence"]
    used = []
    for size in (20_000, 80_000):
        reply = Reply("shop", "x")
        panel = Panel(reply, lambda: None)
        reply.add_event({"text": head})
        started = time.process_time()
        for _ in range(size // len(line)):
            reply.add_event({"text": line})
            panel._next_paint = panel._painted_at = 0
            panel.paint()
        used.append(time.process_time() - started)
        panel.close()
    assert used[1] < 10 * used[0]


def test_seconds_are_shown_in_steps_while_text_arrives(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(panel_module, "time", clock)
    reply = Reply("shop", "x")
    panel = Panel(reply, lambda: None)
    shown = []
    for second in range(1, 26):
        clock.now = float(second)
        if 2 < second <= 16:
            reply.add_event({"text": "word "})
        panel.paint()
        shown.append(html_values(panel)[-1].split(">")[-3].partition(" s")[0])
    expected = [1, 2, 2, 2, *[5] * 5, *[10] * 8, *range(18, 26)]
    assert shown == list(map(str, expected))
    panel.close()
