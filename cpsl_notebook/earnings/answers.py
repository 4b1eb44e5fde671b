"""What the answers of ``payments.capsule`` have in common."""

from __future__ import annotations

import pandas as pd

from cpsl_notebook.earnings.dates import Moment
from cpsl_notebook.earnings.ledger.builder import build
from cpsl_notebook.earnings.ledger.ledger import Ledger

__all__ = ["Answers"]


class Answers:
    """Answers that follow from a frame of payments."""

    def __init__(self, frame: pd.DataFrame) -> None:
        self._frame = frame

    def _ledger(self, as_of: Moment | None = None, tz: str = "UTC") -> Ledger:
        return build(self._frame, as_of=as_of, tz=tz)
