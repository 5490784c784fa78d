"""L-BFGS: Newton's method with a guess of the curvature from the last steps."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from copy import deepcopy
from typing import Any, NamedTuple

from .. import backend
from ..autograd import enable_grad, grad_mode
from ..creation import as_tensor
from ..tensor import Tensor
from .optimizer import Optimizer


class LBFGS(Optimizer):
    """Step towards the minimum of a parabola that fits the last gradients; for smooth problems without noise.

    Args:
        params: parameters, in one group only.
        lr: how much of each step to take; without line search.
        max_iter: steps in one call of `step`.
        max_eval: how often `step` may call closure; 1.25 * max_iter if None.
        tolerance_grad: stop when no element of the gradient is larger.
        tolerance_change: stop when neither loss nor parameters change by more.
        history_size: how many steps the guess is made from.
        line_search_fn: "strong_wolfe" looks for a good length of each step, None takes lr.

    Raises:
        ValueError: several groups, a negative option, or another line search.

    Source: Nocedal and Wright, Numerical Optimization, 2006, algorithms 7.4, 3.5 and 3.6; `torch.optim.LBFGS`.

    >>> import minigrad as mg
    >>> w = mg.tensor([4.0, 2.0], requires_grad=True)
    >>> optimizer = mg.optim.LBFGS([w], line_search_fn="strong_wolfe")
    >>> def closure():
    ...     optimizer.zero_grad()
    ...     loss = ((w - mg.tensor([1.0, -1.0])) ** 4).sum()
    ...     loss.backward()
    ...     return loss
    >>> optimizer.step(closure).item()
    162.0
    >>> closure().item() < 1e-4
    True
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1,
        max_iter: int = 20,
        max_eval: int | None = None,
        tolerance_grad: float = 1e-7,
        tolerance_change: float = 1e-9,
        history_size: int = 100,
        line_search_fn: str | None = None,
    ) -> None:
        max_eval = max_iter * 5 // 4 if max_eval is None else max_eval
        tolerances = dict(tolerance_grad=tolerance_grad, tolerance_change=tolerance_change)
        options = dict(lr=lr, max_iter=max_iter, max_eval=max_eval, **tolerances, history_size=history_size)
        super().__init__(params, {**options, "line_search_fn": line_search_fn})

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        if self.param_groups:
            raise ValueError("LBFGS: all parameters must be in one group, since it sees them as one vector")
        super().add_param_group(param_group)

    def check(self, group: dict[str, Any]) -> None:
        self._need(group, "lr", "max_iter", "max_eval", "tolerance_grad", "tolerance_change", "history_size")
        if group["line_search_fn"] not in (None, "strong_wolfe"):
            raise ValueError(f"LBFGS: line_search_fn must be None or 'strong_wolfe', got {group['line_search_fn']!r}")

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Up to max_iter steps.

        Args:
            closure: computes the loss and its gradients anew, and returns the loss; it is called several times.

        Returns:
            The loss before the first step.

        Raises:
            TypeError: no closure.
        """
        if closure is None:
            raise TypeError("LBFGS: step needs a closure that computes the loss and its gradients, since it calls it often")
        closure = enable_grad()(closure)
        mode, warnings = grad_mode.set(False), backend.silence()
        try:
            return self._minimise(closure, self.param_groups[0])
        finally:
            backend.restore(warnings)
            grad_mode.reset(mode)
            self._step_count += 1

    def _minimise(self, closure: Callable[[], Any], group: dict[str, Any]) -> Any:
        state = self.state[group["params"][0]]
        state.setdefault("func_evals", 0)
        state.setdefault("n_iter", 0)
        first_loss = closure()
        loss, g, evals = float(first_loss), self._gradient(), 1
        state["func_evals"] += 1
        largest, change = group["tolerance_grad"], group["tolerance_change"]
        if abs(g).max() <= largest:
            return first_loss
        for n in range(1, group["max_iter"] + 1):
            state["n_iter"] += 1
            d = self._direction(state, g, group["history_size"])
            state["prev_flat_grad"], before = Tensor._wrap(g), loss
            t = float(group["lr"])
            if state["n_iter"] == 1:
                t *= min(1.0, 1.0 / float(abs(g).sum()))
            state["d"], state["t"], state["prev_loss"] = Tensor._wrap(d), t, loss
            slope = float(g @ d)
            if slope > -change:
                break
            x, more = self._values(), 0

            def at(t: float, x: Any = x, d: Any = d) -> Point:
                self._put(x + t * d)
                loss, g = float(closure()), self._gradient()
                return Point(t, loss, g, float(g @ d))

            if group["line_search_fn"]:
                start, reach = Point(0.0, loss, g, slope), float(abs(d).max())
                (t, loss, g, _), more = strong_wolfe(at, start, t, reach, group["max_eval"] - evals)
                self._put(x + t * d)
                state["t"] = t
            elif n != group["max_iter"]:
                (t, loss, g, _), more = at(t), 1
            else:
                self._put(x + t * d)
            evals += more
            state["func_evals"] += more
            if evals >= group["max_eval"] or abs(g).max() <= largest:
                break
            if abs(d * t).max() <= change or abs(loss - before) < change:
                break
        return first_loss

    def _direction(self, state: dict[str, Any], g: Any, history_size: int) -> Any:
        """Minus the gradient times the guess of the inverse curvature, which is made from past steps and changes of it."""
        if state["n_iter"] == 1:
            state.update(old_dirs=[], old_stps=[], ro=[], H_diag=1.0)
            return -g
        changes, steps, weights = state["old_dirs"], state["old_stps"], state["ro"]
        y, s = g - state["prev_flat_grad"].array, state["d"].array * state["t"]
        curvature = float(y @ s)
        if curvature > 1e-10:
            if len(changes) == history_size:
                for past in (changes, steps, weights):
                    del past[0]
            changes.append(Tensor._wrap(y))
            steps.append(Tensor._wrap(s))
            weights.append(1 / curvature)
            state["H_diag"] = curvature / float(y @ y)
        r, amounts = -g, []
        for y, s, weight in reversed(list(zip(changes, steps, weights))):
            amounts.append(float(s.array @ r) * weight)
            r = r - amounts[-1] * y.array
        r = r * state["H_diag"]
        for y, s, weight, amount in zip(changes, steps, weights, reversed(amounts)):
            r = r + (amount - float(y.array @ r) * weight) * s.array
        return r

    # The parameters as one vector, and their gradients as another.

    def _values(self) -> Any:
        arrays = [p.array.reshape(-1) for p in self.param_groups[0]["params"]]
        return backend.namespace(arrays[0]).concatenate(arrays)

    def _gradient(self) -> Any:
        params = self.param_groups[0]["params"]
        xp = backend.namespace(params[0].array)
        return xp.concatenate([(xp.zeros_like(p.array) if p.grad is None else p.grad.array).reshape(-1) for p in params])

    def _put(self, vector: Any) -> None:
        start = 0
        for p in self.param_groups[0]["params"]:
            p.array[...] = vector[start : start + p.numel()].reshape(p.shape)
            start += p.numel()
            p._bump()

    def _loaded(self, key: str, value: Any, param: Tensor) -> Any:
        """All it remembers belongs to the vector, not to the one parameter under whose number it is saved."""
        if isinstance(value, list):
            return [self._loaded(key, x, param) for x in value]
        if getattr(value, "ndim", 0):
            return as_tensor(value).detach().to(param.dtype, copy=True).to(device=param.device)
        return float(value) if hasattr(value, "ndim") else deepcopy(value)


# --------------------------------------------------------------------------------------------------- the line search


class Point(NamedTuple):
    """A place on the line: how far along it, the loss and gradient there, and the slope along the line."""

    t: float
    loss: float
    g: Any
    slope: float


def strong_wolfe(
    at: Callable[[float], Point], start: Point, t: float, reach: float, most: int, tolerance: float = 1e-9
) -> tuple[Point, int]:
    """A step that lowers the loss by enough and has most of the slope behind it: the strong Wolfe conditions.

    First it goes out until such a point must lie between two others, then it closes in on it.

    Args:
        at: evaluates a step length.
        start: the point at step length 0.
        t: the first length to try.
        reach: how far the parameter that moves most moves per unit of t.
        most: how many further lengths to try.
        tolerance: the least interval to go on with.

    Returns:
        The best point, and how many were evaluated.
    """

    def too_high(point: Point) -> bool:
        return point.loss > start.loss + 1e-4 * point.t * start.slope

    def flat_enough(point: Point) -> bool:
        return abs(point.slope) <= -0.9 * start.slope

    last, new, tries = start, at(t), 0
    while tries < most:
        if too_high(new) or (tries > 1 and new.loss >= last.loss):
            bracket = [last, new]
            break
        if flat_enough(new):
            return new, tries + 1
        if new.slope >= 0:
            bracket = [last, new]
            break
        t = _lowest(last, new, new.t + 0.01 * (new.t - last.t), new.t * 10)
        last, new, tries = new, at(t), tries + 1
    else:
        bracket = [start, new]

    low, stuck = int(bracket[0].loss > bracket[1].loss), False  # which of the two has the lower loss
    while tries < most:
        left, right = sorted(point.t for point in bracket)
        if (right - left) * reach < tolerance:
            break
        t, margin = _lowest(bracket[0], bracket[1], left, right), 0.1 * (right - left)
        near = min(right - t, t - left) < margin
        if near and (stuck or t >= right or t <= left):
            t = right - margin if abs(t - right) < abs(t - left) else left + margin
            near = False
        stuck = near
        new, tries = at(t), tries + 1
        if too_high(new) or new.loss >= bracket[low].loss:
            bracket[1 - low] = new
            low = int(bracket[0].loss > bracket[1].loss)
            continue
        if new.slope * (bracket[1 - low].t - bracket[low].t) >= 0:
            bracket[1 - low] = bracket[low]
        bracket[low] = new
        if flat_enough(new):
            break
    return bracket[low], tries + 1


def _lowest(a: Point, b: Point, left: float, right: float) -> float:
    """Where the cubic through two points with their slopes is lowest, within bounds; the middle if it has no minimum."""
    a, b = sorted((a, b), key=lambda point: point.t)
    if a.t == b.t:
        return (left + right) / 2
    bend = a.slope + b.slope - 3 * (a.loss - b.loss) / (a.t - b.t)
    square = bend**2 - a.slope * b.slope
    if not square >= 0:
        return (left + right) / 2
    root = math.sqrt(square)
    divisor = b.slope - a.slope + 2 * root
    if divisor == 0:
        return (left + right) / 2
    return min(max(b.t - (b.t - a.t) * ((b.slope + root - bend) / divisor), left), right)
