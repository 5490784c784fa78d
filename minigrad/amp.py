"""Mixed precision (as `torch.amp`): products in 16 bits, where they are fast, and the rest in 32.

    scaler = minigrad.amp.GradScaler()
    for inputs, targets in loader:
        optimizer.zero_grad()
        with minigrad.autocast("cuda"):
            loss = loss_fn(model(inputs), targets)
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()

The parameters stay in float32; each use of one in a product is a cast of it, through which its gradient comes back in
float32. The least float16 is 6e-8, and gradients are often less: so the loss is multiplied by a large number before
backward and the gradients divided by it after. If it was too large some are infinite; then the step is left out and
the number made smaller.
"""

from __future__ import annotations

import math
import warnings
from contextlib import ContextDecorator
from typing import Any

import numpy as np

from . import backend, dtypes
from .grad_mode import grad_mode
from .precision import active
from .tensor import Tensor


class autocast(ContextDecorator):
    """Compute products in float16 inside this block or function (as `torch.autocast`).

    Args:
        device_type: "cuda" or "cpu"; tensors elsewhere are left alone.
        dtype: float16 (bfloat16 is not supported: NumPy and CuPy have no such numbers).
        enabled: False computes as usual, also inside another block.
        cache_enabled: cast a parameter that is used several times once only.

    Raises:
        RuntimeError: another device or dtype.

    >>> import minigrad as mg
    >>> a = mg.ones(2, 2)
    >>> with mg.autocast("cpu"):
    ...     (a @ a).dtype, (a @ a).softmax(-1).dtype
    (dtype('float16'), dtype('float32'))
    """

    def __init__(self, device_type: str, dtype: Any = None, enabled: bool = True, cache_enabled: bool | None = None) -> None:
        if device_type not in ("cpu", "cuda"):
            raise RuntimeError(f"autocast: device_type must be 'cpu' or 'cuda', got {device_type!r}")
        if dtype is not None and str(dtype).rpartition(".")[2] != "float16":
            raise RuntimeError(f"autocast: dtype must be float16, got {dtype}; there is no bfloat16 here")
        self.device = device_type
        self.fast_dtype = dtypes.float16
        self._enabled = bool(enabled)
        self._cache_enabled = cache_enabled is not False
        self._tokens: list[Any] = []
        self._cache: dict[tuple[int, bool], tuple[Tensor, int, Tensor]] = {}

    def __enter__(self) -> autocast:
        outer = active.get()
        if outer is not None and outer._cache_enabled and self._cache_enabled:
            self._cache = outer._cache
        self._tokens.append(active.set(self if self._enabled else None))
        return self

    def __exit__(self, *error: Any) -> None:
        active.reset(self._tokens.pop())
        if active.get() is None:
            self._cache.clear()

    def _recreate_cm(self) -> autocast:
        return autocast(self.device, self.fast_dtype, self._enabled, self._cache_enabled)  # one for each call of a function

    def cast(self, policy: str, args: tuple) -> tuple:
        """The arguments of an operation in the precision that suits it; see precision.py."""
        return tuple(self._cast(policy, x) if isinstance(x, Tensor) else x for x in args)

    def _cast(self, policy: str, x: Tensor) -> Tensor:
        wanted, replaced = (self.fast_dtype, dtypes.float32) if policy == "half" else (dtypes.float32, dtypes.float16)
        here = "cpu" if isinstance(x.array, np.ndarray) else "cuda"
        if x.dtype != replaced or here != self.device:
            return x
        if policy == "full" or not (self._cache_enabled and x.requires_grad and x.is_leaf):
            return x.to(wanted)
        key = id(x), grad_mode.get()
        found = self._cache.get(key)
        if found is None or found[0] is not x or found[1] != x.storage.version:
            found = self._cache[key] = x, x.storage.version, x.to(wanted)
        return found[2]


def is_autocast_enabled(device_type: str = "cuda") -> bool:
    """Whether autocast is on for a type of device. Source: `torch.is_autocast_enabled`."""
    return active.get() is not None and active.get().device == device_type


def get_autocast_dtype(device_type: str) -> Any:
    """The dtype that autocast computes in. Source: `torch.get_autocast_dtype`."""
    return dtypes.float16


class GradScaler:
    """Multiplies the loss so that small gradients survive float16 (as `torch.amp.GradScaler`).

    Args:
        device: "cuda" or "cpu".
        init_scale: what to multiply by at first.
        growth_factor: what the scale is multiplied by after growth_interval steps without an infinite gradient.
        backoff_factor: what it is multiplied by after an infinite or NaN gradient.
        growth_interval: see growth_factor.
        enabled: False does nothing at all, and `step` is the optimizer's.

    Source: Micikevicius et al., Mixed precision training, 2018.

    >>> import minigrad as mg
    >>> w = mg.tensor([1.0], requires_grad=True)
    >>> optimizer, scaler = mg.optim.SGD([w], lr=0.5), GradScaler("cpu", init_scale=8.0)
    >>> scaler.scale((w * w).sum()).backward(); w.grad
    tensor([16.])
    >>> scaler.step(optimizer); scaler.update(); w.grad, w.detach()
    (tensor([2.]), tensor([0.]))
    """

    def __init__(
        self,
        device: str = "cuda",
        init_scale: float = 2.0**16,
        growth_factor: float = 2.0,
        backoff_factor: float = 0.5,
        growth_interval: int = 2000,
        enabled: bool = True,
    ) -> None:
        if growth_factor <= 1 or not 0 < backoff_factor < 1:
            raise AssertionError(
                f"GradScaler: growth_factor must be above 1 and backoff_factor from 0 to 1, got {growth_factor} and "
                f"{backoff_factor}"
            )
        if enabled and backend.as_device(device).type == "cuda" and (problem := backend.cuda_problem()):
            warnings.warn(f"GradScaler: does nothing, since {problem}", stacklevel=2)
            enabled = False
        self._enabled = enabled
        self._scale = float(init_scale)
        self._growth_factor = growth_factor
        self._backoff_factor = backoff_factor
        self._growth_interval = growth_interval
        self._growth_tracker = 0
        self._optimizers: dict[int, dict[str, Any]] = {}  # what was done since the last update, by the optimizer's id

    def _of(self, optimizer: Any) -> dict[str, Any]:
        return self._optimizers.setdefault(id(optimizer), {"stage": "ready", "found_inf": False})

    def scale(self, outputs: Any) -> Any:
        """A loss, or a list of tensors, times the scale."""
        if not self._enabled:
            return outputs
        if isinstance(outputs, (list, tuple)):
            return type(outputs)(self.scale(x) for x in outputs)
        return outputs * self._scale

    def unscale_(self, optimizer: Any) -> None:
        """Divide an optimizer's gradients by the scale now, to clip them for example; else `step` does it.

        Raises:
            RuntimeError: that was done already since the last update.
            ValueError: gradients in float16: their parameters should be float32.
        """
        if not self._enabled:
            return
        state = self._of(optimizer)
        if state["stage"] != "ready":
            done = "unscale_() was called" if state["stage"] == "unscaled" else "step() was called"
            raise RuntimeError(f"unscale_: {done} for this optimizer already since the last update()")
        inverse, bad = 1 / self._scale, False
        for group in optimizer.param_groups:
            for grad in [p.grad for p in group["params"] if p.grad is not None]:
                if grad.dtype == dtypes.float16:
                    raise ValueError("unscale_: found gradients in float16; keep the parameters in float32 and use autocast")
                warn = backend.silence()
                grad.array *= inverse
                backend.restore(warn)
                grad._bump()
                bad = bad | ~backend.namespace(grad.array).isfinite(grad.array).all()
        state.update(stage="unscaled", found_inf=bad)

    def step(self, optimizer: Any, *args: Any, **kwargs: Any) -> Any:
        """Let the optimizer step, unless a gradient is infinite or NaN. Finding out is the one wait for the device.

        Raises:
            RuntimeError: called twice without update(), or with a closure.
        """
        if not self._enabled:
            return optimizer.step(*args, **kwargs)
        if kwargs.get("closure") or args:
            raise RuntimeError("step: closures are not supported, since each of their losses would have to be scaled")
        state = self._of(optimizer)
        if state["stage"] == "stepped":
            raise RuntimeError("step: called already for this optimizer since the last update()")
        if state["stage"] == "ready":
            self.unscale_(optimizer)
        state["stage"] = "stepped"
        state["found_inf"] = bool(state["found_inf"])
        return None if state["found_inf"] else optimizer.step()

    def update(self, new_scale: Any = None) -> None:
        """Make the scale smaller after an infinite gradient, and larger after many steps without one.

        Args:
            new_scale: set this one instead.

        Raises:
            AssertionError: no optimizer was unscaled or stepped since the last time.
        """
        if not self._enabled:
            return
        if new_scale is not None:
            self._scale = float(new_scale)
        elif not self._optimizers:
            raise AssertionError("update: no gradients were checked since the last update(); call step(optimizer) before")
        elif any(bool(state["found_inf"]) for state in self._optimizers.values()):
            self._scale *= self._backoff_factor
            self._growth_tracker = 0
        else:
            self._growth_tracker += 1
            if self._growth_tracker == self._growth_interval:
                grown = self._scale * self._growth_factor
                self._scale, self._growth_tracker = grown if math.isfinite(grown) else self._scale, 0
        self._optimizers.clear()

    def get_scale(self) -> float:
        """What losses are multiplied by; 1 if not enabled."""
        return self._scale if self._enabled else 1.0

    def is_enabled(self) -> bool:
        """Whether it does anything."""
        return self._enabled

    def state_dict(self) -> dict[str, Any]:
        """All that `load_state_dict` needs; empty if not enabled."""
        if not self._enabled:
            return {}
        return {
            "scale": self._scale, "growth_factor": self._growth_factor, "backoff_factor": self._backoff_factor,
            "growth_interval": self._growth_interval, "_growth_tracker": self._growth_tracker,
        }  # fmt: skip

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from a saved state.

        Raises:
            RuntimeError: the state of a scaler that was not enabled.
        """
        if not self._enabled:
            return
        if not state_dict:
            raise RuntimeError("load_state_dict: the state is empty, as of a GradScaler with enabled=False")
        self._scale, self._growth_tracker = float(state_dict["scale"]), int(state_dict["_growth_tracker"])
        for name in ("growth_factor", "backoff_factor", "growth_interval"):
            setattr(self, f"_{name}", state_dict[name])
