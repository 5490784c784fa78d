"""Arrays by their address, inside of kernels: for those that get a table of many arrays, or parts of one with strides."""

from __future__ import annotations

from typing import Any

from .jit import Intrinsic

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
