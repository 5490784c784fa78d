"""Where mixed precision once lived in PyTorch; see `minigrad.amp`."""

from __future__ import annotations

from typing import Any

from .. import amp


class autocast(amp.autocast):
    """`minigrad.autocast("cuda", ...)`. Source: `torch.cuda.amp.autocast`."""

    def __init__(self, enabled: bool = True, dtype: Any = None, cache_enabled: bool = True) -> None:
        super().__init__("cuda", dtype, enabled, cache_enabled)


class GradScaler(amp.GradScaler):
    """`minigrad.amp.GradScaler("cuda", ...)`. Source: `torch.cuda.amp.GradScaler`."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__("cuda", *args, **options)
