"""cpsl-client and the official SDK in one environment, where they overwrite each other's files."""

import subprocess

import pytest
from environments import CI, SDK, NotInstalledError, environment, install

LINE = (
    "cpsl: the packages cpsl and cpsl-client are both installed and overwrite each other's files: run "
    "`pip uninstall -y cpsl cpsl-client` and install one of them again\n"
)


@pytest.fixture(scope="module")
def python(request):
    """An environment with both, of which the requested one was installed last."""
    try:
        found = environment("sdk-and-client", SDK, "msgspec", "requests", ours=("./cpsl",))
    except NotInstalledError as error:
        if CI:
            raise
        pytest.skip(str(error))
    if request.param == "cpsl":
        install(found, "--no-deps", "--reinstall", SDK)
    return found


@pytest.mark.parametrize("arguments", [["--version"], ["apps"]])
@pytest.mark.parametrize("python", ["cpsl-client", "cpsl"], indirect=True)
def test_command_prints_one_line(python, tmp_path, arguments):
    command = [python.parent / "cpsl", *arguments]
    ran = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, timeout=60)
    assert (ran.returncode, ran.stdout, ran.stderr) == (2, "", LINE)


@pytest.mark.parametrize("python", ["cpsl-client"], indirect=True)
def test_module_prints_one_line(python, tmp_path):
    command = [python, "-m", "cpsl", "apps"]
    ran = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, timeout=60)
    assert (ran.returncode, ran.stdout, ran.stderr) == (2, "", LINE)
