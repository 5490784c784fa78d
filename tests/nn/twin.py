"""Twins: the same module in both engines, with the same parameters, held against each other."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

import minigrad as mg

RTOL, ATOL = 1e-10, 1e-12


def load(ours: Any, theirs: torch.nn.Module) -> Any:
    """Our module with the parameters of PyTorch's, in float64; both keep the same keys."""
    theirs.double()
    ours.double()
    state = theirs.state_dict()
    assert list(ours.state_dict()) == list(state)
    ours.load_state_dict({name: mg.tensor(value.numpy()) for name, value in state.items()})
    return ours


def scramble(theirs: torch.nn.Module, seed: int = 0) -> torch.nn.Module:
    """Random numbers in all parameters, so that none is the zeros or ones it starts with."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for p in theirs.parameters():
            p.copy_(torch.randn(p.shape, generator=generator))
    return theirs


def pair(x: Any) -> tuple[Any, Any]:
    """An array as a tensor of each engine; floating point ones collect gradients."""
    if not isinstance(x, np.ndarray):
        return x, x
    wants = x.dtype.kind == "f"
    return mg.tensor(x, requires_grad=wants), torch.tensor(x, requires_grad=wants)


def close(ours: Any, theirs: Any, what: str = "", rtol: float = RTOL, atol: float = ATOL) -> None:
    assert tuple(ours.shape) == tuple(theirs.shape), what
    np.testing.assert_allclose(ours.detach().numpy(), theirs.detach().numpy(), rtol, atol, err_msg=what)


def same(ours: Any, theirs: Any, *inputs: Any, second: bool = False, **options: Any) -> None:
    """Both functions or modules give the same results and, for one random cotangent, the same gradients.

    Args:
        inputs, options: NumPy arrays become tensors.
        second: compare the gradient of a gradient with respect to the inputs too.
    """
    pairs = [pair(x) for x in inputs]
    named = {name: pair(x) for name, x in options.items()}
    a = ours(*[p[0] for p in pairs], **{name: p[0] for name, p in named.items()})
    b = theirs(*[p[1] for p in pairs], **{name: p[1] for name, p in named.items()})
    a, b = ((x,) if not isinstance(x, tuple) else x for x in (a, b))
    assert [x is None for x in a] == [x is None for x in b]
    a, b = ([x for x in xs if x is not None] for xs in (a, b))
    rng = np.random.default_rng(1)
    seeds = [rng.standard_normal(tuple(x.shape)) for x in b]
    for i, (x, y) in enumerate(zip(a, b)):
        close(x, y, f"output {i}")
    x_pairs = [p for p in [*pairs, *named.values()] if isinstance(p[0], mg.Tensor) and p[0].requires_grad]
    if second and x_pairs:
        _same_second([p[0] for p in x_pairs], [p[1] for p in x_pairs], a[0], b[0], seeds[0])
    mg.autograd.backward(list(a), [mg.tensor(s) for s in seeds])
    torch.autograd.backward(b, [torch.tensor(s) for s in seeds])
    for i, (x, y) in enumerate(x_pairs):
        close(x.grad, y.grad, f"gradient of input {i}")
    if isinstance(theirs, torch.nn.Module):
        mine = dict(ours.named_parameters())
        for name, parameter in theirs.named_parameters():
            close(mine[name].grad, parameter.grad, f"gradient of {name}")


def _same_second(mine: list, theirs: list, a: Any, b: Any, seed: np.ndarray) -> None:
    first_a = mg.autograd.grad(a, mine, mg.tensor(seed), create_graph=True)
    first_b = torch.autograd.grad(b, theirs, torch.tensor(seed), create_graph=True)
    rng = np.random.default_rng(2)
    total_a, total_b = (sum((x * 0).sum() for x in xs) for xs in (mine, theirs))  # a first derivative may be constant
    for x, y in zip(first_a, first_b):
        weight = rng.standard_normal(tuple(y.shape))
        total_a = total_a + (x * mg.tensor(weight)).sum()
        total_b = total_b + (y * torch.tensor(weight)).sum()
    second_a = mg.autograd.grad(total_a, mine, retain_graph=True, allow_unused=True, materialize_grads=True)
    second_b = torch.autograd.grad(total_b, theirs, retain_graph=True, allow_unused=True, materialize_grads=True)
    for i, (x, y) in enumerate(zip(second_a, second_b)):
        close(x, y, f"second derivative by input {i}", atol=1e-11)
