"""The messages of ``capsule.proto``, as protobuf classes.

They are made from the compiled description at run time, in a pool of their own: generated code
would be tied to the version of protobuf that generated it, and would collide with any other package
in the process that describes ``capsule.CapsuleService`` in protobuf's default pool.
"""

from __future__ import annotations

from importlib import resources
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

__all__ = ["SERVICE", "message"]

SERVICE = "capsule.CapsuleService"


def _load() -> descriptor_pool.DescriptorPool:
    pool = descriptor_pool.DescriptorPool()
    compiled = resources.files(__package__).joinpath("capsule.binpb").read_bytes()
    for file in descriptor_pb2.FileDescriptorSet.FromString(compiled).file:
        pool.Add(file)
    return pool


_pool = _load()


def message(name: str) -> Any:
    """Return the class of a message of the package ``capsule``.

    Examples
    --------
    >>> message("App")(name="support-ops").name
    'support-ops'
    """
    return message_factory.GetMessageClass(_pool.FindMessageTypeByName(f"capsule.{name}"))
