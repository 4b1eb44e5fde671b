"""What importing the client and the frames loads."""

import subprocess
import sys


def test_importing_client_loads_accessor_without_display_or_plots():
    code = """
import sys
from cpsl_notebook import Client
import pandas
assert hasattr(pandas.DataFrame, "capsule")
unwanted = (
    "matplotlib", "ipywidgets", "markdown_it",
    "cpsl_notebook.display", "cpsl_notebook.magics", "cpsl_notebook.reply",
    "cpsl_notebook.conversation", "cpsl_notebook.prompt", "cpsl_notebook.local",
)
print(*(name for name in unwanted if name in sys.modules))
"""
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.split() == []


def test_importing_frames_does_not_load_earnings():
    code = "import sys, cpsl_notebook.frames; print('cpsl_notebook.earnings' in sys.modules)"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout == "False\n"
