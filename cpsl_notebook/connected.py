"""The client that a notebook is connected to, for code that is not given a client."""

from __future__ import annotations

import sys
import weakref
from typing import Any

__all__ = ["connected_client", "use_in_notebook"]

_of_notebooks: weakref.WeakKeyDictionary[Any, Any] = weakref.WeakKeyDictionary()  # by shell


def use_in_notebook(client: Any) -> None:
    """Set the client whose workspace or recording is used by default in this notebook.

    Parameters
    ----------
    client : cpsl_notebook.Client or None
        The client; ``None`` for one with the user's own credentials.
    """
    shell = _shell()
    if shell is not None:
        _of_notebooks.pop(shell, None)
        if client is not None:
            _of_notebooks[shell] = client


def connected_client() -> Any:
    """Return what `use_in_notebook` has set; ``None`` outside a notebook."""
    shell = _shell()
    return None if shell is None else _of_notebooks.get(shell)


def _shell() -> Any:
    """Return the running shell, without an import of IPython where it is not used."""
    if "IPython" not in sys.modules:
        return None
    from IPython.core.getipython import get_ipython

    return get_ipython()
