"""All parameters of a model as one vector, and back."""

from __future__ import annotations

from collections.abc import Iterable

from ...ops.shape import cat
from ...tensor import Tensor


def parameters_to_vector(parameters: Iterable[Tensor]) -> Tensor:
    """All elements of all parameters in one row; differentiable. Source: `torch.nn.utils.parameters_to_vector`.

    >>> import minigrad as mg
    >>> parameters_to_vector([mg.tensor([[1.0, 2.0]]), mg.tensor([3.0])])
    tensor([1., 2., 3.])
    """
    return cat([parameter.reshape(-1) for parameter in parameters])


def vector_to_parameters(vec: Tensor, parameters: Iterable[Tensor]) -> None:
    """Copy the elements of a vector into the parameters (PyTorch makes them views of it).

    Args:
        vec: (total number of elements,).
        parameters: to write to, in the order of `parameters_to_vector`.

    Raises:
        ValueError: the vector has another number of elements, or is not a vector.

    >>> import minigrad as mg
    >>> layer = mg.nn.Linear(1, 2)
    >>> vector_to_parameters(mg.tensor([1.0, 2.0, 3.0, 4.0]), layer.parameters()); layer.bias.tolist()
    [3.0, 4.0]
    """
    parameters = list(parameters)
    total = sum(parameter.numel() for parameter in parameters)
    if vec.ndim != 1 or vec.numel() != total:
        raise ValueError(f"vector_to_parameters: expected a vector of {total} elements, got shape {tuple(vec.shape)}")
    start = 0
    for parameter in parameters:
        stop = start + parameter.numel()
        parameter.array[...] = vec.array[start:stop].reshape(parameter.shape)
        parameter._bump()
        start = stop
