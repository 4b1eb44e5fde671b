"""``%capsule login`` in a kernel whose front end ignores updates of outputs."""

import os
import re

import requests
from front_ends import Frontend
from jupyter_client.manager import start_new_kernel


def test_login_prints_the_link_and_the_result(workspace, tmp_path):
    environ = {
        "CAPSULE_GATEWAY_URL": workspace.grpc_address,
        "CONFIG_PATH": str(tmp_path / "config.ini"),
        "IPYTHONDIR": str(tmp_path),
        "JPY_SESSION_NAME": str(tmp_path / "a.ipynb"),
    }
    printed = []

    def confirm(message):
        if message["msg_type"] != "stream":
            return
        printed.append(message["content"]["text"])
        link = re.search(r"Open (\S+) and", printed[-1])
        if link:
            secret = (workspace.folder / "login-secret").read_text()
            requests.post(link[1], data={"secret": secret}, timeout=10).raise_for_status()

    manager, client = start_new_kernel(kernel_name="python3", env=os.environ | environ)
    try:
        frontend = Frontend(client, confirm)
        frontend.run("%load_ext cpsl_notebook")
        frontend.run("%capsule login")
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
    lines = "".join(printed).splitlines()
    assert len(lines) == 2 and lines[0].startswith("Open http")
    assert lines[1] == f"Logged in. The token is stored in {tmp_path / 'config.ini'}."
