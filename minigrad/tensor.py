"""The Tensor: an array, its gradient, and its place in the graph.

Most methods are the operations under a second name: methods.py lists them. Those that fill a tensor with numbers are in
filling.py. This module comes last in the core.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from . import autograd, backend, calls, composite, dtypes, op, printing
from .autograd import Node
from .backend import Array
from .filling import Filling, as_array
from .hooks import Handle
from .ops import indexing
from .ops import shape as shapes
from .ops.conversion import cast, transfer
from .storage import Storage, make_storage

Shape = tuple[int, ...]


class Tensor(Filling):
    """A multi-dimensional array of numbers that remembers how it was computed (as `torch.Tensor`).

    Args:
        data: nested lists, a NumPy or CuPy array, a Tensor, or a number. Always copied.
        dtype: of the numbers; default float32 for Python floats, int64 for Python integers, an array's own for arrays.
        device: "cpu" or "cuda".
        requires_grad: collect gradients for this tensor in `.grad`.

    Attributes:
        array: the NumPy or CuPy array that holds the numbers.
        node: its place in the graph, None if no gradient flows to it (see autograd.py).
        grad: the gradient collected so far, None before the first backward.

    >>> x = Tensor([1.0, 2.0], requires_grad=True)
    >>> (x * x).sum().backward()
    >>> x.grad
    tensor([2., 4.])
    """

    array: Array
    node: Node | None = None
    grad: Tensor | None = None
    _storage: Storage | None = None
    _base: tuple[Tensor, tuple[tuple[Callable, Any], ...]] | None = None  # of a view: what it is a view of, and by which steps

    __array_ufunc__ = None  # an ndarray on the left of an operator leaves the work to us

    def __init__(
        self, data: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False
    ) -> None:
        self.array = as_array("Tensor", data, dtype, device, copy=True)
        if requires_grad:
            self.requires_grad_()

    @staticmethod
    def _wrap(array: Array) -> Tensor:
        """A Tensor over an array, as it is: no copy, no graph."""
        tensor = object.__new__(Tensor)
        tensor.array = np.asarray(array) if isinstance(array, np.generic) else array
        tensor.node = None
        return tensor

    # ------------------------------------------------------------------------------------------------ what it is

    @property
    def shape(self) -> Size:
        return Size(self.array.shape)

    def size(self, dim: int | None = None) -> Any:
        """The shape, or the size of one dimension."""
        return self.shape if dim is None else self.array.shape[shapes.normalize_dim(dim, self.array.ndim)]

    @property
    def dtype(self) -> np.dtype:
        return self.array.dtype

    @property
    def device(self) -> backend.device:
        return backend.device_of(self.array)

    @property
    def is_cuda(self) -> bool:
        return self.device.type == "cuda"

    @property
    def ndim(self) -> int:
        return self.array.ndim

    def dim(self) -> int:
        """Number of dimensions."""
        return self.array.ndim

    def numel(self) -> int:
        """Number of elements."""
        return int(self.array.size)

    nelement, ndimension = numel, dim

    def element_size(self) -> int:
        """Bytes per element."""
        return int(self.array.dtype.itemsize)

    def is_contiguous(self) -> bool:
        """Whether the elements stand in memory in row-major order."""
        return bool(self.array.flags.c_contiguous)

    def is_floating_point(self) -> bool:
        """Whether the dtype is a floating point type."""
        return bool(self.array.dtype.kind == "f")

    def stride(self, dim: int | None = None) -> Any:
        """How many elements apart in memory neighbours along each dimension (or one) are."""
        strides = tuple(s // self.array.itemsize for s in self.array.strides)
        return strides if dim is None else strides[dim]

    def data_ptr(self) -> int:
        """Address of the first element."""
        return backend.address(self.array)

    # ------------------------------------------------------------------------------------------------- its graph

    @property
    def requires_grad(self) -> bool:
        return self.node is not None

    @requires_grad.setter
    def requires_grad(self, value: bool) -> None:
        self.requires_grad_(value)

    def requires_grad_(self, requires_grad: bool = True) -> Tensor:
        """Collect gradients for this tensor from now on, or no longer.

        Raises:
            RuntimeError: it has an integer dtype, or it was computed from tensors that require grad.
        """
        if not self.is_leaf:
            if not requires_grad:
                raise RuntimeError("requires_grad: only leaves can stop requiring grad; use detach() for a constant copy")
            return self
        if not requires_grad:
            self.node = None
        elif self.array.dtype.kind != "f":
            raise RuntimeError(
                f"requires_grad: only floating point tensors have gradients, this one is {self.dtype}; convert it with "
                ".float()"
            )
        elif self.node is None:
            self.node = autograd.leaf(self)
        return self

    @property
    def is_leaf(self) -> bool:
        return self.node is None or self.node.plan is None

    @property
    def grad_fn(self) -> Node | None:
        return None if self.is_leaf else self.node

    def backward(
        self,
        gradient: Tensor | None = None,
        retain_graph: bool | None = None,
        create_graph: bool = False,
    ) -> None:
        """Add the gradient of this tensor to the `.grad` of every leaf it was computed from.

        Args:
            gradient: gradient of the final value with respect to this tensor; 1 for a scalar if left out.
            retain_graph: keep the saved values, for a second backward; the default is create_graph.
            create_graph: record the backward pass too, so that gradients can be differentiated again.

        Raises:
            RuntimeError: nothing to differentiate, a shape that does not fit, or a graph that was freed.

        >>> w = Tensor([3.0], requires_grad=True)
        >>> (w * w).backward(); w.grad
        tensor([6.])
        """
        autograd.backward(self, gradient, retain_graph, create_graph)

    def detach(self) -> Tensor:
        """The same numbers in the same memory, as a constant."""
        tensor = Tensor._wrap(self.array)
        tensor._storage = self.storage
        return tensor

    def detach_(self) -> Tensor:
        """Make this tensor itself a constant."""
        if self._base is not None:
            raise RuntimeError("detach_: a view cannot be cut from the graph in place; use detach()")
        self.node = None
        return self

    @property
    def data(self) -> Tensor:
        """The same numbers in the same memory, unseen by the graph and its checks; prefer `detach()`."""
        return Tensor._wrap(self.array)

    @data.setter
    def data(self, value: Tensor) -> None:
        if not isinstance(value, Tensor):
            raise TypeError(f"data: expected a Tensor, got {type(value).__name__}")
        if self.node is not None and value.array.dtype.kind != "f":
            raise RuntimeError(f"data: a tensor that requires grad needs a floating point dtype, got {value.dtype}")
        self.array = value.array
        self._storage = value._storage
        if self.node is not None and self.node.plan is None:
            grad, self.node = self.grad, autograd.leaf(self)
            self.grad = grad if grad is not None and grad.shape == self.shape else None

    def retain_grad(self) -> None:
        """Keep the gradient of this tensor in `.grad`, though it is not a leaf."""
        if self.node is None:
            raise RuntimeError("retain_grad: this tensor does not require grad, it will not have any")
        self.node.keeper = weakref.ref(self)

    def register_hook(self, hook: Callable[[Tensor], Tensor | None]) -> Handle:
        """Call a function with the gradient of this tensor whenever one is computed.

        Args:
            hook: may return another gradient to go on with.

        Returns:
            A handle whose `remove()` takes the hook away.

        >>> x = Tensor([1.0], requires_grad=True)
        >>> _ = x.register_hook(lambda g: g * 10)
        >>> (x * 2).backward(); x.grad
        tensor([20.])
        """
        if self.node is None:
            raise RuntimeError("register_hook: this tensor does not require grad, no gradient will come by")
        if self.node.hooks is None:
            self.node.hooks = {}
        return Handle(self.node.hooks, hook)

    # -------------------------------------------------------------------------------------------------- in place

    @property
    def storage(self) -> Storage:
        """What this tensor shares with its views."""
        if self._storage is None:
            self._storage = make_storage()
        return self._storage

    @property
    def _version(self) -> int:
        return 0 if self._storage is None else self._storage.version

    def _bump(self) -> None:
        """Note that the memory was written to, so that backward notices if it needed what stood there."""
        if self._storage is not None:
            self._storage.version += 1

    def _view_of(self, source: Tensor, function: Callable, options: Any) -> None:
        """Note that this tensor shares the memory of another, if it does: NumPy sometimes has to copy."""
        owner, theirs = self.array.base, source.array
        if owner is None or (owner is not theirs and owner is not theirs.base):
            return
        base, steps = (source, ()) if source._base is None else source._base
        self._base = base, (*steps, (function, options))
        storage = self._storage = base.storage
        if storage.views is None:
            storage.views = []
        views = storage.views
        views.append(weakref.ref(self))
        if not len(views) & (len(views) - 1):  # at 1, 2, 4, 8, ... entries: drop those that are gone
            views[:] = [view for view in views if view() is not None]

    def _check_writable(self, name: str, *others: Any) -> bool:
        """Whether writing has to be recorded; raises if it cannot be."""
        array = self.array
        if 0 in array.strides and array.size and any(n > 1 and s == 0 for n, s in zip(array.shape, array.strides)):
            raise RuntimeError(
                f"{name}: cannot write to an expanded tensor, several of its elements are one place in memory; clone() it"
            )
        if not autograd.grad_mode.get():
            return False
        root = self._base[0] if self._base else self
        if root.node is not None and root.node.plan is None:
            what = "a view of a leaf" if self._base else "a leaf"
            raise RuntimeError(
                f"{name}: cannot write to {what} that requires grad, since its gradient is with respect to the value it "
                "has now; do it under no_grad(), or use the out-of-place form"
            )
        return any(isinstance(x, Tensor) and x.node is not None for x in (self, root, *others))

    def _to_overwrite(self, name: str, *others: Any) -> Tensor:
        """What an in-place operation reads: a copy if what the rules keep must outlive what is written over it."""
        if not self._check_writable(name, *others):
            return self
        source = Tensor._wrap(self.array.copy())
        source.node = self.node
        return source

    def _assign(self, name: str, result: Tensor) -> Tensor:
        """Put a result into this tensor's own memory, and into its place in the graph: the second half of `add_`."""
        array = result.array
        if array.shape != self.array.shape:
            raise RuntimeError(f"{name}: the result has shape {array.shape}, this tensor {self.array.shape}")
        if not dtypes.can_store(array.dtype, self.array.dtype):
            raise RuntimeError(f"{name}: a result of dtype {array.dtype} cannot be stored in a tensor of {self.dtype}")
        recorded = self._check_writable(name, result)
        if array is not self.array:
            self.array[...] = array
        self._bump()
        if recorded:
            self._rebase(result.to(self.dtype).node)
        return self

    def _rebase(self, node: Node | None) -> None:
        """Give this tensor a new place in the graph, and with it everything that shares its memory."""
        if self._base is None:
            self.node, base = node, self
        else:
            base, steps = self._base
            value = Tensor._wrap(self.array)
            value.node = node
            before = Tensor._wrap(base.array)
            before.node = base.node
            base.node = indexing.write_view(before, value, steps=steps).node
        for reference in list(base.storage.views or ()):
            view = reference()
            if view is not None and view._base is not None:
                view.node = indexing.walk(base, view._base[1]).node

    # ------------------------------------------------------------------------------------------------ conversion

    def item(self) -> Any:
        """The only element, as a Python number."""
        if self.array.size != 1:
            raise RuntimeError(f"item: a tensor with {self.array.size} elements is not one number; use .tolist()")
        return self.array.item()

    def tolist(self) -> Any:
        """Nested lists of Python numbers."""
        return self.array.tolist()

    def numpy(self, *, force: bool = False) -> np.ndarray:
        """The array itself, sharing memory; with force=True also from a CUDA device or a recorded tensor."""
        if not force and self.node is not None:
            raise RuntimeError("numpy: this tensor requires grad; use tensor.detach().numpy()")
        if not force and not isinstance(self.array, np.ndarray):
            raise TypeError("numpy: this tensor is on a CUDA device; use tensor.cpu().numpy()")
        return backend.to_device(self.array, backend.CPU)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        array = self.numpy()
        if dtype is not None:
            array = array.astype(dtype, copy=False)
        return array.copy() if copy else array

    def __dlpack__(self, **options: Any) -> Any:
        if self.node is not None:
            raise RuntimeError("dlpack: this tensor requires grad; use tensor.detach()")
        return self.array.__dlpack__(**options)

    def __dlpack_device__(self) -> Any:
        return self.array.__dlpack_device__()

    def to(
        self, *args: Any, dtype: Any = None, device: Any = None, non_blocking: Any = False, copy: Any = False
    ) -> Tensor:
        """This tensor with another dtype or on another device; itself if nothing changes (as `torch.Tensor.to`).

        Args:
            args: a dtype, a device, both, or another tensor whose dtype and device to take.
            dtype, device: the same by name.
            non_blocking: do not wait for a copy between devices.
            copy: a new tensor in any case.

        >>> Tensor([1.5]).to(int)
        tensor([1])
        """
        for arg in args:
            named = isinstance(arg, str) and arg.partition(":")[0] in ("cpu", "cuda")
            if isinstance(arg, Tensor):
                dtype, device = arg.dtype, arg.device
            elif isinstance(arg, bool):
                non_blocking = arg  # the third positional argument
            elif named or isinstance(arg, (backend.device, int)):
                device = arg
            else:
                dtype = arg
        result = self
        if dtype is not None and (dtype := dtypes.as_dtype(dtype)) != self.array.dtype:
            result = cast(result, dtype=dtype)
        if device is not None:
            device, here = backend.as_device(device), result.device
            if device != here and not (device.type == here.type and device.index is None):
                result = transfer(result, device=device, non_blocking=bool(non_blocking))
        return shapes.clone(self) if copy and result is self else result

    def type(self, dtype: Any = None) -> Any:
        """Convert to a dtype; without one, the dtype's name."""
        return str(self.dtype) if dtype is None else self.to(dtype=dtype)

    def type_as(self, other: Tensor) -> Tensor:
        """Convert to another tensor's dtype and device."""
        return self.to(other)

    def cpu(self) -> Tensor:
        """This tensor on the CPU."""
        return self.to(device=backend.CPU)

    def cuda(self, device: Any = None, non_blocking: bool = False) -> Tensor:
        """This tensor on a CUDA device."""
        return self.to(device="cuda" if device is None else device, non_blocking=non_blocking)

    # --------------------------------------------------------------------------------------- Python's own protocols

    def __bool__(self) -> Any:
        if self.array.size != 1:
            raise RuntimeError(
                f"bool: the truth of a tensor with {self.array.size} elements is ambiguous; use .any() or .all()"
            )
        return bool(self.array.item())

    def __float__(self) -> Any:
        return float(self.item())

    def __int__(self) -> Any:
        return int(self.item())

    def __index__(self) -> Any:
        if self.array.dtype.kind not in "iu" or self.array.size != 1:
            raise TypeError(f"only a tensor with one integer can be an index, got {self.dtype} of shape {self.array.shape}")
        return int(self.array.item())

    def __len__(self) -> Any:
        if self.array.ndim == 0:
            raise TypeError("len() of a 0-d tensor")
        return len(self.array)

    def __iter__(self) -> Iterator[Tensor]:
        if self.array.ndim == 0:
            raise TypeError("iteration over a 0-d tensor; use .item()")
        return (self[i] for i in range(len(self.array)))

    def __contains__(self, value: Any) -> Any:
        return bool((self == value).any())

    def __repr__(self) -> str:
        return printing.tensor_text(self)

    def __format__(self, spec: str) -> str:
        return format(self.array.item(), spec) if self.array.ndim == 0 and spec else format(repr(self), spec)

    def __copy__(self) -> Tensor:
        return self.__deepcopy__({}, copy=False)

    def __deepcopy__(self, memo: dict, copy: Any = True) -> Tensor:
        if not self.is_leaf:
            raise RuntimeError("copy: only leaves can be copied with copy or deepcopy; use clone() or detach()")
        other = object.__new__(type(self))
        memo[id(self)] = other
        for name, value in self.__dict__.items():
            if name not in ("array", "node", "grad", "_storage", "_base"):
                setattr(other, name, value)
        other.array = self.array.copy() if copy else self.array
        other.node = None
        if self.grad is not None:
            other.grad = self.grad.clone().detach()
        return other.requires_grad_() if self.node is not None else other

    def __reduce__(self) -> Any:
        if not self.is_leaf:
            raise RuntimeError("pickle: only leaves can be pickled; use detach()")
        return _unpickle, (type(self), self.detach().cpu().numpy(), str(self.device), self.node is not None)

class Size(tuple):
    """The shape of a tensor: a tuple with `numel()` (as `torch.Size`)."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"Size({list(self)})"

    def numel(self) -> int:
        """Number of elements."""
        return int(np.prod(self, dtype=np.int64))


def _unpickle(cls: type[Tensor], array: np.ndarray, device: str, requires_grad: bool) -> Tensor:
    tensor: Tensor = object.__new__(cls)
    tensor.array = backend.to_device(array, backend.as_device(device))
    tensor.node = None
    return tensor.requires_grad_() if requires_grad else tensor


for module in (autograd, calls, op, composite):  # these know a Tensor only once there is one
    vars(module).update(Tensor=Tensor)
