"""How many blocks, threads and bytes the CUDA kernels are launched with: arithmetic on sizes, without an array."""

from __future__ import annotations

import math

import numpy as np
import pytest
from minigrad.kernels.cuda import adam, attention, cross_entropy, embedding, gelu, im2col, launcher, layer_norm, matmul, softmax

SIZES = (1, 2, 31, 32, 33, 127, 128, 129, 768, 1023, 1024, 1025, 4096, 8192, 50257)


@pytest.mark.parametrize("module", [softmax, cross_entropy])
@pytest.mark.parametrize("cols", SIZES)
def test_rows_have_enough_threads(module, cols: int) -> None:
    warps, blocks = module.by_warps(37, cols), module.by_blocks(37, cols)
    assert warps.grid[0] * warps.block[0] // 32 >= 37 and blocks.grid == (37,)
    threads = blocks.block[0]
    assert threads % 32 == 0 and threads <= 1024
    assert threads == 1024 or 16 * threads >= cols > 16 * (threads - 32)


@pytest.mark.parametrize("cols", [n for n in range(4, 8193, 4) if n % 256 in (0, 4, 252)])
def test_layer_norm_groups_hold_their_rows(cols: int) -> None:
    for rows in (1, 5, 129, 16384):
        how, each = layer_norm.groups(rows, cols), layer_norm.rows_each(rows, cols)
        threads, together = how.block
        assert 8 * threads >= cols and threads % 32 == 0 and threads * together <= 1024
        assert how.grid[0] * together * each >= rows > (how.grid[0] - 1) * together * each
        assert how.shared >= 4 * max(2 * cols, 128 * together + cols) and how.shared <= 64 * 1024
        assert 1024 % threads == 0 and (together == 1024 // threads or together * layer_norm.SLICES >= rows)


@pytest.mark.parametrize(("M", "N", "K", "products", "aligned", "plan"), [
    (4096, 4096, 64, 1, True, ("large", 1)),
    (1024, 1024, 1024, 1, True, ("large", 1)),
    (128, 128, 64, 1, True, ("small", 1)),
    (128, 128, 64, 100, True, ("large", 1)),
    (768, 768, 16384, 1, True, ("small", 1)),
    (64, 64, 2048, 1, True, ("small", 8)),
    (4095, 4097, 64, 1, False, ("any", 1)),
    (0, 64, 64, 1, True, ("small", 1)),
])  # fmt: skip
def test_plan(M: int, N: int, K: int, products: int, aligned: bool, plan: tuple[str, int]) -> None:
    assert matmul.plan(M, N, K, products, aligned) == plan


@pytest.mark.parametrize(("M", "N"), [(1, 1), (128, 129), (127, 1000)])
def test_tiles_cover_the_product(M: int, N: int) -> None:
    for kernel in (matmul.V1, matmul.V2, matmul.V3, matmul.V4, matmul.V5, matmul.V6["nn"], matmul.SMALL["nn"], matmul.ANY["nn"]):
        how = kernel.geometry(M=M, N=N, z=3)
        assert how.grid[2] == 3 and 32 <= math.prod(how.block) <= 1024
    assert matmul.V6["nn"].geometry(M=M, N=N).grid == (-(-N // 128), -(-M // 128), 1)


def test_shared_memory_of_attention_is_that_of_its_tiles() -> None:
    assert attention.FORWARD[64].geometry(rows=65, items=6) == launcher.Launch((2, 6), (256,), 4 * 3 * 64 * 64)
    assert attention.FORWARD[128].geometry(rows=64, items=1).shared == 64 * 1024  # what sm_75 has
    assert max(k[d].geometry(rows=1, items=1).shared for k in (attention.BACKWARD_Q, attention.BACKWARD_KV) for d in k) < 99 * 1024


@pytest.mark.parametrize(("stride", "dilation"), [(1, 1), (2, 1), (3, 1), (1, 2), (2, 3), (3, 5)])
@pytest.mark.parametrize("pad", [0, 1, 2, 3, 8, 9])
@pytest.mark.parametrize("ow", [4, 12, 28, 32, 56])
def test_padded_rows_of_im2col(ow: int, pad: int, stride: int, dilation: int) -> None:
    for kw in (1, 2, 3, 7):
        part, pitch = im2col.parts(kw, ow, stride, pad, dilation)
        assert part % 4 == pitch % 4 == 0 and pitch >= stride * part
        for j in range(kw):  # what a tap reads, four numbers at a time, lies in its part
            place = (-pad % 8 + j * dilation) // stride
            assert place - place % 4 + ow + (4 if place % 4 else 0) <= part
        lanes = [4 * pixel // ow * pitch + 4 * pixel % ow for pixel in range(8)]
        assert len({place % 32 for place in lanes}) == 8, "two of eight threads meet in a bank"


@pytest.mark.parametrize("width", [2, 4, 6, 28, 32, 34, 36, 56, 72, 100, 112, 130, 224, 1024])
def test_warps_of_col2im_do_whole_rows(width: int) -> None:
    fours, row = im2col.whole_rows(width), -(-width // 4)
    assert 24 <= fours <= 32 and (fours == 32 or 2 * fours % row == 0)
    assert 2 * fours % row == 0 or row > 32 or 32 % row > 8, "a row goes over the end of a warp without need"
    assert fours % 2 == 0 or fours % row == 0, "a row goes on in the second half, in the middle of a sector"
    for height in (1, 5, 31):
        blocks, each = im2col.by_fours(4 * height * row, 6, 2, fours), 2 * 8 * fours
        assert blocks.grid[1:] == (6, 2) and blocks.grid[0] * each >= height * row > (blocks.grid[0] - 1) * each


@pytest.mark.parametrize(("out", "kernel", "stride", "dilation", "row"), [
    (1, 1, 1, 1, 1), (224, 3, 1, 1, 240), (112, 7, 2, 1, 224), (50, 3, 3, 2, 1000), (9, 8, 1, 1, 1024), (9, 9, 1, 1, 1024), (5, 1, 7, 1, 8192),
])  # fmt: skip
def test_bands_of_im2col_cover_the_output(out: int, kernel: int, stride: int, dilation: int, row: int) -> None:
    image = (out - 1) * stride + (kernel - 1) * dilation + 1
    many, band, seen = im2col.bands(out, kernel, stride, dilation, row, image)
    needs = lambda band: row * min(image, stride * -(-((band - 1) * stride + (kernel - 1) * dilation + 1) // stride))
    if needs(1) > im2col.STAGED:
        assert many == 0
        return
    assert many * band >= out > (many - 1) * band and seen == needs(band) <= im2col.STAGED
    assert needs(-(-out // max(1, many - 1))) > im2col.STAGED or many == 1, "there could be one band less"


@pytest.mark.parametrize("shape", [(0, 2, 5, 8), (2, 0, 5, 8), (2, 3, 5, 2), (1, 1, 2, 9)])
def test_no_column_is_no_launch(shape: tuple) -> None:
    def launch(*args: object, **sizes: int) -> None:
        raise AssertionError("there is nothing to do")

    h, w = (max(0, n - 2) for n in shape[2:])
    assert im2col.im2col(np.ones(shape, np.float32), (3, 3), launch=launch).shape == (shape[0], 9 * shape[1], h * w)


def test_pieces() -> None:
    assert adam.chunk_table(4096, 4097, 1).tolist() == [[0, 0], [1, 0], [1, 1], [2, 0]]
    assert gelu.ones(257).grid == (2,) and gelu.fours(1025).grid == (2,)
    assert embedding.by_columns(65, 40) == launcher.Launch((3, 1), (64,)) and embedding.by_columns(1, 300).grid == (1, 2)
    assert im2col.out_size((7, 8), (3, 2), (2, 3), (1, 0), (1, 2)) == (4, 2)


@pytest.mark.parametrize("kernel", [softmax.V4, softmax.V5, gelu.FORWARD["none"]["v2"], matmul.V6["nn"], layer_norm.SUM_PARTIALS])
def test_nothing_to_do_is_an_empty_grid(kernel: launcher.Kernel) -> None:
    sizes = {"rows": 0, "cols": 0, "n": 0, "M": 0, "N": 0}
    wanted = kernel.geometry.__code__.co_varnames[: kernel.geometry.__code__.co_argcount]
    assert 0 in kernel.geometry(**{name: value for name, value in sizes.items() if name in wanted}).grid
