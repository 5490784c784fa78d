"""Every operation that the runtime offers is tested by somebody."""

from __future__ import annotations

from minigrad.kernels.simulator import host

from . import test_conversions, test_matrix, test_memory, test_opcodes, test_warp
from .harness import kernel_text, operations, tools


def test_every_operation_is_tested():
    tools()
    texts = [case.text for module in (test_opcodes, test_conversions) for case in module.CASES]
    texts += [*test_warp.TEXTS, *test_memory.TEXTS, *test_matrix.TEXTS, kernel_text("bar.warp.sync -1; trap; membar.gl;")]
    tested = set().union(*map(operations, texts))
    assert set(host.opcodes()) - tested == set()
