"""How backward notices that memory was written to: every tensor over one piece of memory shares one Storage."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .tensor import Tensor


class Storage:
    """What all tensors over one piece of memory share.

    Attributes:
        version: how often it was written to.
        views: the tensors that are views of it, None before the first one.
    """

    __slots__ = ("version", "views")

    version: int
    views: list[weakref.ref[Tensor]] | None


def make_storage() -> Storage:
    """For memory that nobody has written to; calls.py has this as text, as Python takes thrice as long with an `__init__`."""
    storage = Storage()
    storage.version, storage.views = 0, None
    return storage
