"""Names in the reference: single backticks, and the names under which users know methods."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.domains.python import PythonDomain
from sphinx.roles import XRefRole

# What autodoc calls a class, and what users type.
_SHOWN = {
    "Earnings.": "payments.capsule.",
    "Plots.": "payments.capsule.plot.",
    "cpsl_notebook.earnings.accessor.": "",
    "cpsl_notebook.earnings.plots.plotter.": "",
}


class _Optional(XRefRole):
    """A name in single backticks: a link if the reference has it, otherwise plain code."""

    def process_link(self, env: Any, refnode: Any, has_title: Any, title: str, target: str) -> Any:
        refnode["reftype"], refnode["refdomain"] = "obj", "py"
        refnode["refspecific"] = refnode["optional"] = True
        refnode["py:module"] = env.ref_context.get("py:module")
        refnode["py:class"] = env.ref_context.get("py:class")
        return title, target


def _leave_plain(app: Sphinx, env: Any, node: Any, content: Any) -> Any:
    return content if node.get("optional") else None


class _Domain(PythonDomain):
    """The names in the search: without those that users never type."""

    def get_objects(self) -> Iterator[tuple[str, str, str, str, str, int]]:
        for name, *entry, priority in super().get_objects():
            hidden = name.startswith("cpsl_notebook.earnings.")
            yield (name, *entry, -1 if hidden else priority)


def _show_as_typed(app: Sphinx, doctree: nodes.document) -> None:
    for name in doctree.findall(addnodes.desc_addname):
        text = name.astext()
        if text in _SHOWN:
            name.children = [nodes.Text(_SHOWN[text])]


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the role and the handlers."""
    app.add_role(
        "optional", _Optional(nodeclass=addnodes.pending_xref, innernodeclass=nodes.literal)
    )
    app.add_domain(_Domain, override=True)
    app.connect("missing-reference", _leave_plain)
    app.connect("doctree-read", _show_as_typed)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
