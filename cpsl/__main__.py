"""``python -m cpsl``."""

from __future__ import annotations

import sys

from cpsl.launcher import main

__all__ = ["main"]

if __name__ == "__main__":
    sys.exit(main())
