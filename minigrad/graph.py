"""`autograd.graph`, of which there is no more yet than its best known name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def saved_tensors_hooks(pack_hook: Callable, unpack_hook: Callable) -> Any:
    """Not here; see the error."""
    raise NotImplementedError(
        "saved_tensors_hooks: what is kept for backward cannot be exchanged here; to keep less use "
        "minigrad.utils.checkpoint.checkpoint"
    )
