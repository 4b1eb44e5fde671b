"""The command ``cpsl`` where the official SDK is installed as well."""

import os
import subprocess
import sys


def test_command_says_in_one_line_that_both_distributions_are_installed(tmp_path):
    for name in ("cpsl", "cpsl_client"):
        folder = tmp_path / f"{name}-0.3.181.dist-info"
        folder.mkdir()
        metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: 0.3.181\n"
        (folder / "METADATA").write_text(metadata)
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    ran = subprocess.run(
        [sys.executable, "-m", "cpsl", "apps"],
        env=os.environ | {"PYTHONPATH": path},
        capture_output=True,
        text=True,
    )
    assert (ran.returncode, ran.stdout) == (2, "")
    assert ran.stderr == (
        "cpsl: both cpsl and cpsl-client are installed and overwrite each other's files. Run "
        "`pip uninstall cpsl cpsl-client` and install one again.\n"
    )
