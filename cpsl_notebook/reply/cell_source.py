"""The source of a cell that sends a text to an app, for suggestions and error messages."""

from __future__ import annotations

import shlex

__all__ = ["cell_source"]


def cell_source(app: str, text: str) -> str:
    """Return the source of a cell that sends a text to an app unchanged.

    Parameters
    ----------
    app : str
        The app's name.
    text : str
        The text to send. It is not evaluated: double braces in it are sent as they are.

    Returns
    -------
    str
        The source, whose first line is the ``%%capsule`` line.

    Examples
    --------
    >>> print(cell_source("support-ops", "Which are urgent?"))
    %%capsule support-ops
    Which are urgent?
    >>> print(cell_source("support-ops", "What is {{ x }}?"))
    %%capsule support-ops --raw
    What is {{ x }}?
    """
    raw = " --raw" if "{{" in text else ""
    return f"%%capsule {shlex.quote(app)}{raw}\n{text}"
