"""The configuration of Sphinx for the documentation; `build.py` runs it on the assembled pages."""

import sys
from importlib import metadata
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "_ext"))

project = "Capsule in notebooks"
author = "The authors of cpsl-notebook"
copyright = author  # noqa: A001
version = release = metadata.version("cpsl-notebook")
language = "en"

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "numpydoc",
    "sphinx_design",
    "sphinx_copybutton",
    "api_names",
    "magic_comments",
    "own_files",
]

# Pages
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3
smartquotes = False  # texts of the reference have code
nb_execution_mode = "off"  # the notebooks are stored with their outputs
nb_ipywidgets_js = {}  # would load scripts from another host; no output has a widget
nb_mime_priority_overrides = [("html", "text/markdown", None)]
copybutton_exclude = ".linenos, .gp, .go"

# Docstrings
autosummary_generate = False
autodoc_member_order = "bysource"
autodoc_typehints = "none"  # numpydoc's sections have the types
numpydoc_show_class_members = False
numpydoc_class_members_toctree = False
numpydoc_xref_param_type = False
python_maximum_signature_line_length = 80
toc_object_entries_show_parents = "hide"
default_role = "optional"  # of api_names: a link where the reference has such a name

# Every reference must lead somewhere. Other projects' names have no page here.
nitpicky = True
nitpick_ignore_regex = [
    ("py:.*", r"(pandas|numpy|pyarrow|polars|datetime|concurrent|matplotlib|IPython)\..*"),
    ("py:.*", r"[A-Z][a-z]*Error|Exception|RuntimeError|UserWarning"),
]

# HTML
html_theme = "pydata_sphinx_theme"
html_title = project
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_search_scorer = str(Path(__file__).parent / "_ext" / "search.js")
html_show_sourcelink = False
html_copy_source = False
html_domain_indices = False
html_context = {"default_mode": "auto"}  # light or dark as the reader's system is
html_sidebars = {"index": []}
html_theme_options = {
    "navigation_with_keys": False,
    "show_toc_level": 3,
    "show_prev_next": True,
    "secondary_sidebar_items": ["page-toc"],
    "navbar_end": ["theme-switcher"],
    "footer_start": ["copyright"],
    "footer_end": [],
    "pygments_light_style": "a11y-high-contrast-light",
    "pygments_dark_style": "a11y-high-contrast-dark",
    "navbar_align": "left",
    "header_links_before_dropdown": 6,
    "back_to_top_button": True,
}
