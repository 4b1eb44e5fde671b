"""The built-in local workspace: a real gateway on loopback, with sample apps and sample payments.

It speaks the protocol of the live service over HTTP, server-sent events and gRPC, needs no account
and no network, and its apps are scripted programs that say so. Start it with ``%capsule local`` in
a notebook, with `start` in Python, or with ``python -m cpsl_notebook.local`` in a shell.
"""

from cpsl_notebook.local.session import Session, Turn
from cpsl_notebook.local.workspace import Workspace, running, start

__all__ = ["Session", "Turn", "Workspace", "running", "start"]
