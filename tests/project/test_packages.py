"""What the built packages contain, and how a package registry shows them."""

import email
import re
import subprocess
import sys
import tarfile
import zipfile

import pytest
from environments import CI, ROOT, NotInstalledError, environment


@pytest.fixture(scope="module")
def dist(tmp_path_factory):
    """A folder with the wheels and the source packages of both distributions."""
    folder = tmp_path_factory.mktemp("dist")
    for project in (ROOT, ROOT / "cpsl"):
        command = [sys.executable, "-m", "hatchling", "build", "-d", str(folder)]
        subprocess.run(command, cwd=project, check=True, capture_output=True)
    return folder


@pytest.mark.parametrize("name", ["cpsl_client", "cpsl_notebook"])
def test_wheel_has_license_typing_marker_and_readme_without_relative_links(dist, name):
    (path,) = dist.glob(f"{name}-*.whl")
    with zipfile.ZipFile(path) as wheel:
        names = wheel.namelist()
        info = path.name.removesuffix("-py3-none-any.whl") + ".dist-info"
        assert wheel.read(f"{info}/licenses/LICENSE") == (ROOT / "LICENSE").read_bytes()
        metadata = email.message_from_bytes(wheel.read(f"{info}/METADATA"))
    package = "cpsl" if name == "cpsl_client" else name
    assert f"{package}/py.typed" in names
    assert {each.partition("/")[0] for each in names} == {package, info}
    readme = metadata.get_payload()
    assert readme.startswith("# ") and "```" in readme
    assert "<img" not in readme and "<picture" not in readme
    assert [link for link in re.findall(r"\]\(([^)]*)\)", readme) if "//" not in link] == []


def test_source_package_contains_neither_documentation_nor_tests(dist):
    (path,) = dist.glob("cpsl_notebook-*.tar.gz")
    with tarfile.open(path) as archive:
        top = {name.split("/")[1] for name in archive.getnames()}
    assert {"cpsl_notebook", "hatch_build.py", "README.md", "LICENSE"} <= top
    assert not top & {"cpsl", "docs", "notebooks", "tests"}


def test_packages_that_pyodide_does_not_have_are_not_required_there(dist):
    for name, absent in [
        ("cpsl_client", {"grpcio"}),
        ("cpsl_notebook", {"grpcio", "psutil", "starlette", "uvicorn"}),
    ]:
        (path,) = dist.glob(f"{name}-*.whl")
        with zipfile.ZipFile(path) as wheel:
            (file,) = [each for each in wheel.namelist() if each.endswith("METADATA")]
            metadata = email.message_from_bytes(wheel.read(file))
        marked = [each for each in metadata.get_all("Requires-Dist") if "emscripten" in each]
        assert {re.split("[><=;]", each)[0] for each in marked} == absent
        assert all("sys_platform != 'emscripten'" in each for each in marked)


def test_registry_accepts_the_packages(dist):
    try:
        python = environment("twine", "twine")
    except NotInstalledError as error:
        if CI:
            raise
        pytest.skip(str(error))
    command = [str(python), "-m", "twine", "check", "--strict", *map(str, dist.iterdir())]
    checked = subprocess.run(command, capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout
    assert checked.stdout.count("PASSED") == 4
