"""Parameter: a Tensor that is learned."""

from __future__ import annotations

from ..tensor import Tensor


class Parameter(Tensor):
    """A Tensor that a Module notices when it is assigned, and an optimizer learns (as `torch.nn.Parameter`).

    Operations on it give plain Tensors.

    Args:
        data: the values; their memory is shared, not copied.
        requires_grad: collect gradients for it.

    Raises:
        TypeError: data is not a Tensor.

    >>> import minigrad as mg
    >>> w = mg.nn.Parameter(mg.tensor([1.0, 2.0])); w
    Parameter containing:
    tensor([1., 2.], requires_grad=True)
    >>> type(w * 2).__name__
    'Tensor'
    """

    def __init__(self, data: Tensor | None = None, requires_grad: bool = True) -> None:
        data = Tensor([]) if data is None else data
        if not isinstance(data, Tensor):
            raise TypeError(f"Parameter: expected a Tensor, got {type(data).__name__}; use minigrad.tensor() first")
        self.array = data.array
        self._storage = data.storage
        self.requires_grad_(requires_grad)
