"""Calling a module, and the functions of users that are called before and after its forward and its backward pass."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..function import Function
from ..hooks import Handle
from ..tensor import Tensor


def _of_kind(kind: str) -> Any:
    """A module's hooks of one kind, as an attribute."""
    return property(lambda self: self._hooks.setdefault(kind, {}))


class Hooked:
    """What a Module inherits: `module(...)` runs `forward`, with hooks around it and around its gradients."""

    forward: Callable
    _hooks: dict[str, dict[int, Callable]]  # by kind; most modules never have any, and look here only

    _forward_pre_hooks, _forward_hooks = _of_kind("forward_pre"), _of_kind("forward")
    _backward_pre_hooks, _backward_hooks = _of_kind("backward_pre"), _of_kind("backward")

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if not self._hooks:
            return self.forward(*args, **kwargs) if kwargs else self.forward(*args)
        for hook in list(self._forward_pre_hooks.values()):
            new = hook(self, args)
            if new is not None:
                args = _as_tuple(new)
        gradients = _Gradients(self) if self._backward_hooks or self._backward_pre_hooks else None
        args = args if gradients is None else gradients.below(args)
        result = self.forward(*args, **kwargs)
        for hook in list(self._forward_hooks.values()):
            new = hook(self, args, result)
            result = result if new is None else new
        return result if gradients is None else gradients.above(result)

    def register_forward_pre_hook(self, hook: Callable, *, prepend: bool = False) -> Handle:
        """Call `hook(module, args)` before every forward; what it returns, if not None, replaces args."""
        return Handle(self._forward_pre_hooks, hook, prepend)

    def register_forward_hook(self, hook: Callable, *, prepend: bool = False) -> Handle:
        """Call `hook(module, args, output)` after every forward; what it returns, if not None, replaces the output.

        Returns:
            A handle whose `remove()` takes the hook away.

        >>> import minigrad as mg
        >>> layer = mg.nn.Identity()
        >>> handle = layer.register_forward_hook(lambda module, args, output: output + 1)
        >>> layer(mg.tensor(1.0)).item(); handle.remove(); layer(mg.tensor(1.0)).item()
        2.0
        1.0
        """
        return Handle(self._forward_hooks, hook, prepend)

    def register_full_backward_hook(self, hook: Callable, prepend: bool = False) -> Handle:
        """Call `hook(module, grad_input, grad_output)` whenever the gradients of the module's inputs are known.

        Both are tuples: of the positional arguments' gradients, and of the outputs'. There is None in the place of what
        is no tensor, zeros in that of a tensor without gradient. What the hook returns, if not None, replaces
        grad_input. If no input requires grad, all of it is None and the hook is called when grad_output is known.

        Returns:
            A handle whose `remove()` takes the hook away.

        Source: `torch.nn.Module.register_full_backward_hook`.

        >>> import minigrad as mg
        >>> layer, x = mg.nn.Tanh(), mg.tensor([0.0], requires_grad=True)
        >>> handle = layer.register_full_backward_hook(lambda module, grad_input, grad_output: (grad_input[0] * 10,))
        >>> layer(x).backward(); x.grad
        tensor([10.])
        """
        return Handle(self._backward_hooks, hook, prepend)

    def register_full_backward_pre_hook(self, hook: Callable, prepend: bool = False) -> Handle:
        """Call `hook(module, grad_output)` before the module's backward; what it returns, if not None, replaces it."""
        return Handle(self._backward_pre_hooks, hook, prepend)


class _Gradients:
    """The gradients of one call of a module, on their way through its backward hooks."""

    def __init__(self, module: Hooked) -> None:
        self.module = module
        self.output: tuple | None = None
        self.inputs: tuple | None = None  # of Nones, if no gradient goes to any

    def below(self, args: tuple) -> tuple:
        """The arguments of forward, whose gradients the hooks will see."""
        passed = _through(self.input_known, args)
        if passed is None:
            self.inputs = (None,) * len(args)
        return passed or args

    def above(self, result: Any) -> Any:
        """The result of forward, whose gradients the hooks will see."""
        if not isinstance(result, (Tensor, tuple)):
            raise TypeError(
                f"{type(self.module).__name__}: a module with backward hooks must return a Tensor or a tuple of tensors, "
                f"got {type(result).__name__}"
            )
        passed = _through(self.output_known, _as_tuple(result))
        return result if passed is None else passed if isinstance(result, tuple) else passed[0]

    def output_known(self, grads: tuple) -> tuple:
        for hook in list(self.module._backward_pre_hooks.values()):
            grads = self._replaced(grads, hook(self.module, grads))
        self.output = grads
        if self.inputs is not None:
            self.input_known(self.inputs)
        return grads

    def input_known(self, grads: tuple) -> tuple:
        if self.output is None:  # in a second derivative, gradients reach the inputs without passing the output
            return grads
        for hook in list(self.module._backward_hooks.values()):
            grads = self._replaced(grads, hook(self.module, grads, self.output))
        self.output = None
        return grads

    def _replaced(self, grads: tuple, new: Any) -> tuple:
        if new is None:
            return grads
        if len(_as_tuple(new)) != len(grads):
            raise RuntimeError(
                f"{type(self.module).__name__}: a backward hook must return None or {len(grads)} gradients, got "
                f"{len(_as_tuple(new))}"
            )
        return _as_tuple(new)


def _as_tuple(value: Any) -> tuple:
    return value if isinstance(value, tuple) else (value,)


def _through(known: Callable[[tuple], tuple], values: tuple) -> tuple | None:
    """The same values, their gradients passing through a function of all of them; None if none needs a gradient."""
    if not any(isinstance(x, Tensor) and x.requires_grad for x in values):
        return None
    places = [i for i, x in enumerate(values) if isinstance(x, Tensor)]

    def backward(grads: tuple) -> list:
        everything = dict(zip(places, grads))
        new = known(tuple(everything.get(i) for i in range(len(values))))
        return [new[i] for i in places]

    passed = dict(zip(places, _as_tuple(_Through.apply(backward, *[values[i] for i in places]))))
    return tuple(passed.get(i, x) for i, x in enumerate(values))


class _Through(Function):
    """The identity, with a backward of its own."""

    @staticmethod
    def forward(ctx: Any, backward: Callable, *tensors: Tensor) -> tuple:
        ctx.backward = backward
        results = tuple(x.detach() for x in tensors)
        ctx.mark_non_differentiable(*(y for x, y in zip(tensors, results) if not x.requires_grad))
        return results

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple:
        return (None, *ctx.backward(grads))
