"""The message classes of ``capsule.proto``.

They are created at run time from the compiled description, in a separate descriptor pool.
Generated code would require the protobuf version that generated it, and would collide with other
packages that describe ``capsule.CapsuleService`` in protobuf's default pool.
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
    """Return a message class of the protobuf package ``capsule``.

    Parameters
    ----------
    name : str
        The name of the message.

    Returns
    -------
    type
        The message class.

    Examples
    --------
    >>> message("App")(name="support-ops").name
    'support-ops'
    """
    return message_factory.GetMessageClass(_pool.FindMessageTypeByName(f"capsule.{name}"))
