"""Check the extension with the packages of hosted notebooks, and print the result as a table.

The lists in this folder name what a host preinstalls; their first line names its Python. Installing the
extension must not replace any of these packages, and ``check.py`` must succeed in a kernel of that
environment.
"""

import argparse
import re
import subprocess
import sys
from pathlib import Path

from environments import ROOT, NotInstalledError, environment, find_python, install, run_uv

FOLDER = Path(__file__).resolve().parent
OURS = ("./cpsl", ".[excel,plots]")
MISSING = "not checked, because this machine does not have Python"


def main() -> int:
    """Check the hosts that the command line names, or all; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    lists = {file.stem: file for file in sorted(FOLDER.glob("*.txt"))}
    parser.add_argument("hosts", nargs="*", help=f"of: {', '.join(lists)} (default: all)")
    parser.add_argument("--lowest", action="store_true", help="run the tests with lowest versions")
    options = parser.parse_args()
    if options.lowest:
        return lowest()
    rows = {}
    for name in options.hosts or lists:
        print(f"{name}:", flush=True)
        rows[name] = host(name, lists[name])
        print(f"  {rows[name][1]}", flush=True)
    print("\n| host | replaced by installing | result |\n| --- | --- | --- |")
    for name, (replaced, result) in rows.items():
        print(f"| {name} | {replaced} | {result} |")
    failed = any(
        (result != "works" and not result.startswith(MISSING)) or replaced not in ("nothing", "-")
        for replaced, result in rows.values()
    )
    return int(failed)


def host(name: str, packages: Path) -> tuple[str, str]:
    """Return what installing the extension replaces, and whether it works then."""
    version = re.search(r"Python (3\.\d+)", packages.read_text())[1]
    python = find_python(version)
    if python is None:
        return "-", f"{MISSING} {version}"
    try:
        installed = environment(
            f"host-{name}", "-r", str(packages.relative_to(ROOT)), python=python
        )
        listed = installed.parent.parent / "preinstalled.txt"
        if not listed.exists():
            listed.write_text(run_uv("pip", "freeze", "--python", str(installed)))
        install(
            installed, "--reinstall-package=cpsl-client", "--reinstall-package=cpsl-notebook", *OURS
        )
        after = run_uv("pip", "freeze", "--python", str(installed)).splitlines()
    except NotInstalledError as error:
        return "-", str(error)
    replaced = [line for line in listed.read_text().splitlines() if line not in after]
    # Run outside the repository, where `cpsl/` would hide the installed package.
    command = [str(installed), str(FOLDER / "check.py")]
    ran = subprocess.run(command, cwd=installed.parent, stderr=subprocess.PIPE, text=True)
    if ran.returncode:
        print(ran.stderr, flush=True)
    return ", ".join(replaced) or "nothing", "fails" if ran.returncode else "works"


def lowest() -> int:
    """Run the tests without browsers, with the lowest versions that the packages allow."""
    lock = ROOT / "build" / "lowest.txt"
    oldest = find_python("3.11")
    if oldest is None:
        print(f"{MISSING} 3.11")
        return 0
    sources = ("pyproject.toml", "cpsl/pyproject.toml", "--extra", "demo")
    ours = ("--no-emit-package", "cpsl-client", "--no-emit-package", "cpsl-notebook")
    how = ("--resolution", "lowest-direct", "--python", str(oldest), "-o", str(lock))
    limits = ("--constraint", str(FOLDER / "lowest.constraints"))
    lock.parent.mkdir(exist_ok=True)
    run_uv("pip", "compile", *sources, *ours, *how, *limits)
    editable = ("-e", "./cpsl", "-e", ".")
    python = environment("lowest", "-r", "build/lowest.txt", "--group", "dev", python=oldest)
    install(python, "--no-deps", *editable)
    options = ["--ignore=tests/browser", "--ignore=tests/project", "-p", "no:cacheprovider"]
    return subprocess.run([str(python), "-m", "pytest", "-q", *options], cwd=ROOT).returncode


if __name__ == "__main__":
    sys.exit(main())
