"""Sums of products by the names of their dimensions. Every one of them is a few permutations and one matrix product."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from ..errors import explained
from ..ops.diagonal import diagonal
from ..ops.linalg import matmul
from ..ops.reduction import sum
from ..ops.shape import normalize_dim, permute


def einsum(equation: str, *operands: Any) -> Any:
    """Multiply tensors and sum over named dimensions (Einstein's convention). Source: `torch.einsum`.

    Args:
        equation: a letter for each dimension of each operand, as "bij,bjk->bik". A letter that is not behind the arrow is
            summed over; one that stands twice in an operand takes its diagonal; "..." are dimensions that broadcast.
            Without an arrow the result has the letters that stand once, in alphabetical order.
        operands: a tensor for each part before the arrow, or a list of them; multiplied from the left to the right.

    Raises:
        RuntimeError: the equation does not fit the operands.

    >>> import minigrad as mg
    >>> mg.einsum("ij,j->i", mg.tensor([[1.0, 2.0], [3.0, 4.0]]), mg.tensor([1.0, 10.0]))
    tensor([21., 43.])
    """
    if not isinstance(equation, str):
        raise TypeError(f"einsum: expected an equation such as 'ij,jk->ik', got {type(equation).__name__}")
    tensors = operands[0] if len(operands) == 1 and isinstance(operands[0], (list, tuple)) else operands
    names, output = _read(equation, [tuple(x.shape) for x in tensors])
    terms = [_diagonals(x, labels) for x, labels in zip(tensors, names)]
    x, labels = terms[0]
    for i, (y, others) in enumerate(terms[1:], 2):
        x, labels = _contract("einsum", x, labels, y, others, set(output).union(*(later for _, later in terms[i:])))
    x, labels = _sum_out(x, labels, output)
    return permute(x, [labels.index(label) for label in output])


def _read(equation: str, shapes: list[tuple]) -> tuple[list[list], list]:
    """A label for each dimension of each operand and of the result; those of "..." are numbers, counted from the right."""
    left, arrow, right = equation.replace(" ", "").partition("->")
    terms = left.split(",")
    if len(terms) != len(shapes):
        raise RuntimeError(f"einsum: {equation!r} has {len(terms)} operands, got {len(shapes)}")
    names: list[list] = []
    for term, shape in zip(terms, shapes):
        head, dots, tail = term.partition("...")
        more = len(shape) - len(head + tail)
        if more < 0 or (more and not dots) or not (head + tail + "a").isalpha():
            raise RuntimeError(f"einsum: {term!r} does not name the dimensions of a tensor of shape {shape}")
        names.append([*head, *range(-more, 0), *tail])
    labels = [label for name in names for label in name]
    numbers = list(range(min((n for n in labels if isinstance(n, int)), default=0), 0))
    head, dots, tail = right.partition("...")
    output: list = [*head, *(numbers if dots else ()), *tail]
    if not arrow:
        output = numbers + sorted(c for c in set(labels).difference(numbers) if labels.count(c) == 1)
    if len(set(output)) < len(output) or set(output) - set(labels):
        raise RuntimeError(f"einsum: the result of {equation!r} must name dimensions of the operands, each once")
    return names, output


def _diagonals(x: Any, labels: list) -> tuple[Any, list]:
    """Labels that stand twice, once."""
    for label in set(labels):
        while labels.count(label) > 1:
            first = labels.index(label)
            second = labels.index(label, first + 1)
            if x.shape[first] != x.shape[second]:
                raise RuntimeError(f"einsum: {label!r} stands for sizes {x.shape[first]} and {x.shape[second]} of one operand")
            x, labels = diagonal(x, 0, first, second), [c for c in labels if c != label] + [label]
    return x, labels


def _sum_out(x: Any, labels: list, keep: Iterable) -> tuple[Any, list]:
    """Sum over what is no longer needed."""
    gone = [i for i, label in enumerate(labels) if label not in keep]
    return (sum(x, gone), [label for label in labels if label in keep]) if gone else (x, labels)


def _broadcast(x: Any, labels: list, sizes: dict) -> tuple[Any, list]:
    """Dimensions of size 1 that meet larger ones are left out: the product does not depend on them."""
    gone = [i for i, label in enumerate(labels) if x.shape[i] == 1 != sizes.get(label, 1)]
    return (x.squeeze(gone), [label for i, label in enumerate(labels) if i not in gone]) if gone else (x, labels)


def _contract(name: str, x: Any, x_labels: list, y: Any, y_labels: list, keep: set) -> tuple[Any, list]:
    """The product of two tensors, summed over the labels not to be kept: one product of two stacks of matrices."""
    x_sizes, y_sizes = dict(zip(x_labels, x.shape)), dict(zip(y_labels, y.shape))
    x, x_labels = _broadcast(x, x_labels, y_sizes)
    y, y_labels = _broadcast(y, y_labels, x_sizes)
    x, x_labels = _sum_out(x, x_labels, keep | set(y_labels))
    y, y_labels = _sum_out(y, y_labels, keep | set(x_labels))
    sizes = dict(zip(y_labels, y.shape)) | dict(zip(x_labels, x.shape))
    both = [label for label in x_labels if label in y_labels]
    if wrong := [label for label in both if y_sizes[label] != sizes[label]]:
        raise RuntimeError(f"{name}: dimension {wrong[0]!r} has size {sizes[wrong[0]]} here and {y_sizes[wrong[0]]} there")
    batch, inner = [c for c in both if c in keep], [c for c in both if c not in keep]
    rows, columns = [c for c in x_labels if c not in both], [c for c in y_labels if c not in both]

    def matrices(z: Any, labels: list, *groups: list) -> Any:
        order = [labels.index(label) for group in groups for label in group]
        return permute(z, order).reshape([math.prod(sizes[label] for label in group) for group in groups])

    product = matmul(matrices(x, x_labels, batch, rows, inner), matrices(y, y_labels, batch, inner, columns))
    labels = batch + rows + columns
    return product.reshape([sizes[label] for label in labels]), labels


@explained
def tensordot(a: Any, b: Any, dims: Any = 2) -> Any:
    """Sum of products over some dimensions of each. Source: `torch.tensordot`.

    Args:
        a, b: tensors.
        dims: how many last dimensions of `a` meet as many first ones of `b`, or two lists of dimensions.

    >>> import minigrad as mg
    >>> mg.tensordot(mg.tensor([[1.0, 2.0]]), mg.tensor([[3.0], [4.0]]), dims=1)
    tensor([[11.]])
    """
    pair = (range(a.ndim - dims, a.ndim), range(dims)) if isinstance(dims, int) else dims
    of_a, of_b = (tuple(normalize_dim(i, x.ndim) for i in d) for d, x in zip(pair, (a, b)))
    if len(of_a) != len(of_b):
        raise RuntimeError(f"tensordot: {len(of_a)} dimensions of a cannot meet {len(of_b)} of b")
    names = [of_a[of_b.index(i)] if i in of_b else a.ndim + i for i in range(b.ndim)]
    return _contract("tensordot", a, list(range(a.ndim)), b, names, set(range(a.ndim + b.ndim)).difference(of_a))[0]


@explained
def kron(input: Any, other: Any) -> Any:
    """Each element of the input times all of the other: Kronecker's product. Source: `torch.kron`.

    >>> import minigrad as mg
    >>> mg.kron(mg.tensor([1, 10]), mg.tensor([1, 2]))
    tensor([ 1,  2, 10, 20])
    """
    n = max(input.ndim, other.ndim)
    a, b = ((1,) * (n - x.ndim) + tuple(x.shape) for x in (input, other))
    blocks = input.reshape([k for size in a for k in (size, 1)]) * other.reshape([k for size in b for k in (1, size)])
    return blocks.reshape([p * q for p, q in zip(a, b)])
