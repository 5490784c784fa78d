"""The micro-kernel: a small block of a matrix product, held in registers from the first product to the last.

A core can do two fused multiply-adds of whole vectors at once, but load only two vectors meanwhile. A loop that loads
both factors and the sum for each product waits for memory most of the time. So the sums of a block of the result,
as many as there are registers for, stay in registers over the whole of k:

    for k:                                      registers with AVX-512, 32 of 16 numbers:
        b0, b1 = B[k, 0:16], B[k, 16:32]          2 for a row of B
        for each of 14 rows:                      1 for a number of A, repeated
            s[row, 0] += A[row, k] * b0          28 for the sums
            s[row, 1] += A[row, k] * b1

A compiler does not find this from loops; 30 sums in local variables end up in memory. So the instructions are written
here, in LLVM's language, for the vectors that this processor has: 512 bits (AVX-512), 256 (AVX2) or 128 (ARM, SSE).

A and B are read with any distances, and k is a double loop: k1 times k2 steps. That is what makes one micro-kernel do for
convolutions, which are products of overlapping windows, for both of their gradients, and for recurrent nets.
"""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple

from .jit import Intrinsic, Kernel, available, jit


class Shape(NamedTuple):
    """What fits into the registers.

    Attributes:
        lanes: numbers in a vector.
        rows: of a block that is two vectors wide.
        narrow_rows: of one that is one vector wide.
    """

    lanes: int
    rows: int
    narrow_rows: int


@cache
def shape(itemsize: int) -> Shape:
    """The largest blocks for numbers of so many bytes."""
    if not available():
        raise ImportError("tile: compiled kernels are not available")
    from llvmlite.binding import get_host_cpu_features

    features = get_host_cpu_features()
    if features.get("avx512f"):
        size, registers = 64, 32
    elif features.get("avx2") and features.get("fma"):
        size, registers = 32, 16
    else:
        size, registers = 16, 32 if features.get("neon") else 16
    return Shape(size // itemsize, (registers - 3) // 2, min(16, registers - 3))


def _emit_tile(vectors: int, itemsize: int) -> Any:
    from llvmlite import ir
    from numba.core import types

    def tile(context, rows, a, a_row, a1, a2, b, b1, b2, c, c_row, k1, k2, accumulate, columns):
        def emit(context, builder, signature, args):
            number = ir.FloatType() if itemsize == 4 else ir.DoubleType()
            builder.call(_function(builder.module, number, vectors), args)
            return context.get_dummy_value()

        return types.void(*[types.int64] * 14), emit

    return tile


def _function(module: Any, number: Any, vectors: int) -> Any:
    """One LLVM function with a case for each number of rows."""
    from llvmlite import ir

    name = f"minigrad_tile_{vectors}_{number}"
    if name in module.globals:
        return module.globals[name]
    i64 = ir.IntType(64)
    function = ir.Function(module, ir.FunctionType(ir.VoidType(), [i64] * 14), name)
    function.linkage = "internal"
    builder, none = ir.IRBuilder(function.append_basic_block()), function.append_basic_block()
    sizes = shape(4 if isinstance(number, ir.FloatType) else 8)
    cases = builder.switch(function.args[0], none)
    for rows in range(1, (sizes.rows if vectors == 2 else sizes.narrow_rows) + 1):
        block = function.append_basic_block()
        cases.add_case(ir.Constant(i64, rows), block)
        builder.position_at_end(block)
        _Body(builder, ir.VectorType(number, sizes.lanes), rows, vectors).write(*function.args[1:])
        builder.ret_void()
    builder.position_at_end(none)
    builder.ret_void()
    return function


class _Body:
    """Writes the block of so many rows and vectors; the last vector may reach over the edge of the matrix."""

    def __init__(self, builder: Any, vector: Any, rows: int, vectors: int) -> None:
        from llvmlite import ir

        self.ir, self.builder, self.vector = ir, builder, vector
        self.rows, self.vectors = range(rows), range(vectors)
        self.size = (4 if isinstance(vector.element, ir.FloatType) else 8) * vector.count
        self.masked = vectors == 1  # blocks of two vectors are whole
        self.mask: Any = None
        self.zero = ir.Constant(vector, [0.0] * vector.count)

    def write(self, a, a_row, a1, a2, b, b1, b2, c, c_row, k1, k2, accumulate, columns) -> None:
        from numba.core import cgutils

        builder = self.builder
        if self.masked:
            self.mask = self._inside(columns)
        fma = self._intrinsic("fma", self.vector, [self.vector] * 3)
        sums = [[cgutils.alloca_once_value(builder, self.zero) for _ in self.vectors] for _ in self.rows]
        with builder.if_then(builder.icmp_signed("!=", accumulate, self._number(0))):
            for r in self.rows:
                for v in self.vectors:
                    builder.store(self._load(self._at(c, r, c_row, v)), sums[r][v])
        with cgutils.for_range(builder, k1) as outer, cgutils.for_range(builder, k2) as inner:
            a_k = self._at(self._at(a, outer.index, a1), inner.index, a2)
            b_k = self._at(self._at(b, outer.index, b1), inner.index, b2)
            row_of_b = [self._load(self._at(b_k, 0, b2, v)) for v in self.vectors]
            for r in self.rows:
                x = self._repeated(self._at(a_k, r, a_row))
                for v in self.vectors:
                    builder.store(builder.call(fma, [x, row_of_b[v], builder.load(sums[r][v])]), sums[r][v])
        for r in self.rows:
            for v in self.vectors:
                self._store(builder.load(sums[r][v]), self._at(c, r, c_row, v))

    def _number(self, n: int) -> Any:
        return self.ir.Constant(self.ir.IntType(64), n)

    def _at(self, address: Any, steps: Any, distance: Any, vectors: int = 0) -> Any:
        """An address some steps further, and some whole vectors."""
        if steps == 0:
            steps = None
        elif isinstance(steps, int):
            steps = self._number(steps)
        if steps is not None:
            address = self.builder.add(address, self.builder.mul(steps, distance))
        return self.builder.add(address, self._number(vectors * self.size)) if vectors else address

    def _inside(self, columns: Any) -> Any:
        """Which numbers of a vector lie inside of so many columns."""
        ir, builder, n = self.ir, self.builder, self.vector.count
        wide = ir.VectorType(ir.IntType(64), n)
        first = builder.insert_element(ir.Constant(wide, ir.Undefined), columns, ir.Constant(ir.IntType(32), 0))
        repeated = builder.shuffle_vector(first, first, ir.Constant(ir.VectorType(ir.IntType(32), n), [0] * n))
        return builder.icmp_signed("<", ir.Constant(wide, list(range(n))), repeated)

    def _intrinsic(self, name: str, result: Any, kinds: list) -> Any:
        from numba.core import cgutils

        number = "f32" if isinstance(self.vector.element, self.ir.FloatType) else "f64"
        full = f"llvm.{name}.v{self.vector.count}{number}{'.p0' if 'masked' in name else ''}"
        return cgutils.get_or_insert_function(self.builder.module, self.ir.FunctionType(result, kinds), full)

    def _load(self, address: Any) -> Any:
        ir, pointer = self.ir, self.builder.inttoptr(address, self.vector.as_pointer())
        if not self.masked:
            return self.builder.load(pointer, align=self.size // self.vector.count)
        align = ir.Constant(ir.IntType(32), self.size // self.vector.count)
        load = self._intrinsic("masked.load", self.vector, [pointer.type, align.type, self.mask.type, self.vector])
        return self.builder.call(load, [pointer, align, self.mask, self.zero])

    def _store(self, value: Any, address: Any) -> None:
        ir, pointer = self.ir, self.builder.inttoptr(address, self.vector.as_pointer())
        if not self.masked:
            self.builder.store(value, pointer, align=self.size // self.vector.count)
            return
        align = ir.Constant(ir.IntType(32), self.size // self.vector.count)
        store = self._intrinsic("masked.store", ir.VoidType(), [value.type, pointer.type, align.type, self.mask.type])
        self.builder.call(store, [value, pointer, align, self.mask])

    def _repeated(self, address: Any) -> Any:
        """The number at an address in every place of a vector."""
        ir, builder, n = self.ir, self.builder, self.vector.count
        x = builder.load(builder.inttoptr(address, self.vector.element.as_pointer()))
        first = builder.insert_element(ir.Constant(self.vector, ir.Undefined), x, ir.Constant(ir.IntType(32), 0))
        return builder.shuffle_vector(first, first, ir.Constant(ir.VectorType(ir.IntType(32), n), [0] * n))


def _block(itemsize: int) -> Kernel:
    wide, narrow = Intrinsic(_emit_tile, 2, itemsize), Intrinsic(_emit_tile, 1, itemsize)

    @jit(", ".join(["i8"] * 21), parallel=False)
    def block(
        size, lanes, most, most_narrow,
        blocks, rows, columns, a, a_block, a_row, a1, a2, b, b1, b2, c, c_block, c_row, k1, k2, accumulate,
    ):  # fmt: skip
        f = 0
        while f < columns:
            two = columns - f >= 2 * lanes
            tiles = (rows + (most if two else most_narrow) - 1) // (most if two else most_narrow)
            for i in range(blocks):
                for t in range(tiles):
                    top = t * rows // tiles
                    n = (t + 1) * rows // tiles - top
                    at, bt, ct = a + i * a_block + top * a_row, b + f * size, c + i * c_block + top * c_row + f * size
                    if two:
                        wide(n, at, a_row, a1, a2, bt, b1, b2, ct, c_row, k1, k2, accumulate, 0)
                    else:
                        narrow(n, at, a_row, a1, a2, bt, b1, b2, ct, c_row, k1, k2, accumulate, columns - f)
            f += 2 * lanes if two else lanes

    return block


_blocks = {4: _block(4), 8: _block(8)}


@cache
def tile(itemsize: int) -> tuple[int, int, int, int, int]:
    """The micro-kernel for numbers of 4 or 8 bytes, as `multiply` takes it: where it lies in memory, and its `Shape`.

    It is compiled, or fetched from the disk, when it is first asked for.
    """
    return (_blocks[itemsize].address(), itemsize, *shape(itemsize))


def _emit_multiply() -> Any:
    from llvmlite import ir
    from numba.core import types

    def multiply(
        context, tile, blocks, rows, columns, a, a_block, a_row, a1, a2, b, b1, b2, c, c_block, c_row, k1, k2, accumulate
    ):
        def emit(context, builder, signature, args):
            address, *sizes = (builder.extract_value(args[0], i) for i in range(5))
            numbers = [*sizes, *args[1:]]
            kind = ir.FunctionType(ir.VoidType(), [ir.IntType(64)] * len(numbers))
            builder.call(builder.inttoptr(address, kind.as_pointer()), numbers)
            return context.get_dummy_value()

        return types.void(tile, *[types.int64] * 17), emit

    return multiply


# multiply(tile, blocks, rows, columns, a, a_block, a_row, a1, a2, b, b1, b2, c, c_block, c_row, k1, k2, accumulate)
#
#     C[i, r, f] (+)= sum over k1, k2 of A[i, r, k1, k2] * B[k1, k2, f], in tiles of nearly equal size
#
# blocks, rows, columns: how many i, r, f; k1, k2: how many of them. a, b, c are addresses; what follows each of them are
# the distances of its indices, in bytes (those of f are one number). accumulate: 1 to add to what stands in C, 0 to write.
multiply = Intrinsic(_emit_multiply)

TILE = "UniTuple(i8, 5)"  # the type of a tile in signatures
