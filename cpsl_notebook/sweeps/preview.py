"""The preview of ``dry_run``: what a sweep would send."""

from __future__ import annotations

from cpsl_notebook.reproducible import is_reproducible
from cpsl_notebook.sweeps.sweep_progress import duration
from cpsl_notebook.sweeps.variants import Requests

__all__ = ["ASSUMED_SECONDS", "preview"]

ASSUMED_SECONDS = 5.0  # for a reply, if there is no earlier reply to estimate from
_PROMPTS = 3  # shown in full


def preview(
    requests: Requests,
    pending: list[int],
    *,
    max_active: int,
    rpm: float | None,
    seconds: float | None,
) -> str:
    """Return what a sweep would send.

    Parameters
    ----------
    requests : Requests
        All requests of the sweep.
    pending : list of int
        The positions of those that have no answer in the store.
    max_active : int
        The number of tasks in flight.
    rpm : float or None
        The largest number of requests per minute.
    seconds : float or None
        The time for a reply, in seconds, if it is known.
    """
    if is_reproducible():
        seconds = None  # it is measured
    each = ASSUMED_SECONDS if seconds is None else seconds
    left = max(len(pending) * each / max_active, len(pending) * 60.0 / rpm if rpm else 0.0)
    basis = f"assuming {each:.3g} s per reply" if seconds is None else f"{each:.3g} s per reply"
    answered = len(requests) - len(pending)
    lines = [
        f"Not sent: {len(pending):,} requests to {', '.join(requests.apps)}"
        + (f"; {answered:,} more have an answer in the store." if answered else "."),
        f"About {duration(left)} with {max_active} at a time, {basis}.",
    ]
    if pending:
        largest = max(pending, key=lambda position: len(requests.prompt(position).encode()))
        text = requests.prompt(largest)
        size = f"{len(text):,} characters, {len(text.encode()):,} bytes"
        lines.append(f"The largest prompt is in row number {requests.place(largest)[0]}: {size}.")
    for position in pending[:_PROMPTS]:
        lines += ["", f"--- row number {requests.place(position)[0]}", requests.prompt(position)]
    return "\n".join(lines)
