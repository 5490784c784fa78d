"""Memory by its address, for kernels that move numbers without asking what they are."""

from __future__ import annotations

from typing import Any

from .jit import Intrinsic, jit


def _emit_copy() -> Any:
    from llvmlite import ir
    from numba.core import cgutils, types

    def copy(context, target, source, count):
        def emit(context, builder, signature, args):
            pointer = ir.IntType(8).as_pointer()
            target, source = (builder.inttoptr(address, pointer) for address in args[:2])
            cgutils.raw_memcpy(builder, target, source, args[2], 1)
            return context.get_dummy_value()

        return types.void(types.int64, types.int64, types.int64), emit

    return copy


def _emit_clear() -> Any:
    from llvmlite import ir
    from numba.core import cgutils, types

    def clear(context, target, count):
        def emit(context, builder, signature, args):
            cgutils.memset(builder, builder.inttoptr(args[0], ir.IntType(8).as_pointer()), args[1], 0)
            return context.get_dummy_value()

        return types.void(types.int64, types.int64), emit

    return clear


def _emit_move(bits: int) -> Any:
    from llvmlite import ir
    from numba.core import types

    def move(context, target, source):
        def emit(context, builder, signature, args):
            target, source = (builder.inttoptr(address, ir.IntType(bits).as_pointer()) for address in args)
            builder.store(builder.load(source), target)
            return context.get_dummy_value()

        return types.void(types.int64, types.int64), emit

    return move


copy = Intrinsic(_emit_copy)  # copy(target, source, bytes)
clear = Intrinsic(_emit_clear)  # clear(target, bytes): zeros
_move4, _move8 = Intrinsic(_emit_move, 32), Intrinsic(_emit_move, 64)


@jit("i8, i8, i8, i8, i8, UniTuple(i8, 3), i8, i8", parallel=False)
def copy_image(item, source, row, pixel, channel, size, target, target_row):
    """Copy an image (height, width, channels) to where the channels of a pixel lie side by side.

    Args:
        item: bytes of a number.
        source, row, pixel, channel: its address and distances in bytes.
        size: its height, width and channels.
        target, target_row: address and distance of rows there.
    """
    height, width, channels = size
    for y in range(height):
        to, at = target + y * target_row, source + y * row
        if channel == item and pixel == channels * item:
            copy(to, at, width * pixel)
        elif channel == item:
            for x in range(width):
                copy(to + x * channels * item, at + x * pixel, channels * item)
        elif item == 4:
            for x in range(width):
                for c in range(channels):
                    _move4(to + (x * channels + c) * 4, at + x * pixel + c * channel)
        else:
            for x in range(width):
                for c in range(channels):
                    _move8(to + (x * channels + c) * 8, at + x * pixel + c * channel)
