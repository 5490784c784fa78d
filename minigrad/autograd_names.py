"""What PyTorch has in `torch.autograd`, and what stands above autograd.py here: imported when it is asked for."""

from __future__ import annotations

import importlib
from typing import Any

WHERE = {
    "Function": ".function",
    "detect_anomaly": ".debug.anomaly",
    "functional": ".derivatives",
    "gradcheck": ".debug.gradcheck",
    "gradgradcheck": ".debug.gradcheck",
    "graph": ".graph",
    "set_detect_anomaly": ".debug.anomaly",
}


def find(name: str) -> Any:
    """The thing of that name, or the module that is known under it.

    Raises:
        AttributeError: there is none.
    """
    if name not in WHERE:
        raise AttributeError(f"module 'minigrad.autograd' has no attribute {name!r}")
    module = importlib.import_module(WHERE[name], __package__)
    return getattr(module, name, module)
