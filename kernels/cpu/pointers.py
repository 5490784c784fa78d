"""Arrays by their address, inside of kernels: for those that get a table of many arrays, or parts of one with strides."""

from __future__ import annotations

from typing import Any

from .jit import Intrinsic, jit

HEADER = object.__basicsize__  # in an ndarray object, as in any, this comes first; next is the pointer to its data


def _emit_view() -> Any:
    from llvmlite import ir
    from numba.core import types
    from numba.np import arrayobj

    def view(context, address, size, like):
        result = types.Array(like.dtype, 1, "C")

        def emit(context, builder, signature, args):
            data = builder.inttoptr(args[0], context.get_data_type(like.dtype).as_pointer())
            made = context.make_array(result)(context, builder)
            width = ir.Constant(ir.IntType(64), like.dtype.bitwidth // 8)
            arrayobj.populate_array(made, data, [args[1]], [width], width, None)
            return made._getvalue()

        return result(types.int64, types.int64, like), emit

    return view


def _emit_number_at() -> Any:
    from llvmlite import ir
    from numba.core import types

    def number_at(context, address):
        def emit(context, builder, signature, args):
            return builder.load(builder.inttoptr(args[0], ir.IntType(64).as_pointer()))

        return types.int64(types.int64), emit

    return number_at


def _emit_data_of() -> Any:
    from llvmlite import ir
    from numba.core import types

    def data_of(context, array):
        def emit(context, builder, signature, args):
            number = ir.IntType(64)
            place = builder.add(args[0], ir.Constant(number, HEADER))
            return builder.load(builder.inttoptr(place, number.as_pointer()))

        return types.int64(types.int64), emit

    return data_of


# view(address, size, like): so many numbers from an address on, as an array of the dtype of another.
view = Intrinsic(_emit_view)

# data_of(id(array)): the address of an array's data. NumPy tells it as well, but takes 1 us for each array.
data_of = Intrinsic(_emit_data_of)

# number_at(address): the 64-bit number there.
number_at = Intrinsic(_emit_number_at)

# What follows an ndarray's header, in NumPy's stable binary interface: data, number of dimensions, addresses of their sizes
# and of their strides, base, dtype, flags; 8 bytes each.
DIMENSIONS, SIZES, DTYPE, FLAGS = (HEADER + 8 * i for i in (1, 2, 5, 6))
CARRAY = 0x0001 | 0x0100 | 0x0400  # C-contiguous, aligned, writeable


@jit("int64, int64", parallel=False)
def size_of(array, dtype):
    """How many elements an array has, by the ids of both; -1 unless it is of this dtype, contiguous and writeable."""
    if number_at(array + DTYPE) != dtype or number_at(array + FLAGS) & CARRAY != CARRAY:
        return -1
    size, sizes = 1, number_at(array + SIZES)
    for i in range(number_at(array + DIMENSIONS) & 0xFFFFFFFF):
        size *= number_at(sizes + 8 * i)
    return size
