"""The sample apps of the local workspace, and the ledger of their payments.

A sample app is a generator function ``(session, text)``, like an app that is added with
`Workspace.app`. Each one is a small scripted program; its first reply in a conversation says so.
To add another one, write its module here and list it in `SAMPLE_APPS`.
"""

from __future__ import annotations

from typing import NamedTuple

from cpsl_notebook.local.samples import deal_desk, diet_coach, ledger, support_ops
from cpsl_notebook.local.session import Answer

__all__ = ["SAMPLE_APPS", "SampleApp"]


class SampleApp(NamedTuple):
    """An app that every local workspace has."""

    name: str
    answer: Answer
    price_in_cents: int
    pricing_type: str


SAMPLE_APPS = (
    SampleApp(ledger.DEAL_DESK, deal_desk.answer, ledger.DEAL_DESK_ONE_TIME_CENTS, "one_time"),
    SampleApp("diet-coach", diet_coach.answer, 0, "one_time"),
    SampleApp(ledger.SUPPORT_OPS, support_ops.answer, ledger.SUPPORT_OPS_MONTHLY_CENTS, "monthly"),
)
