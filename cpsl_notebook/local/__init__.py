"""The built-in local workspace: a real gateway on loopback, with sample apps and sample payments.

It implements the protocol of the live service (HTTP, server-sent events and gRPC) without an
account or a network. Its apps are scripted programs. Start it with ``%capsule local`` in a
notebook, with `start` in Python, or with ``python -m cpsl_notebook.local`` in a shell.
"""

from cpsl_notebook.local.session import Session, Turn
from cpsl_notebook.local.workspace import Workspace, running, start

__all__ = ["Session", "Turn", "Workspace", "running", "start"]
