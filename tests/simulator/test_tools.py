"""What surrounds the runtime: reading PTX, the cache, missing tools, registers and occupancy, launches in CuPy's words."""

from __future__ import annotations

import copy
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from minigrad.kernels import simulator
from minigrad.kernels.simulator import (
    CompileError,
    KernelFault,
    MissingTool,
    UnsupportedPTX,
    host,
    machine_code,
    nvrtc,
    ptx,
    stored,
)
from minigrad.kernels.simulator.counts import Cost
from minigrad.kernels.simulator.program import Program

from .harness import HEADER, kernel_text, module, tools

SCALE = """
extern "C" __global__ void __launch_bounds__(128) scale(const float* x, float* y, int n, float by) {
  __shared__ float tile[128];
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  tile[threadIdx.x] = i < n ? x[i] : 0.f;
  __syncthreads();
  if (i < n) y[i] = by * tile[threadIdx.x];
}
"""
needs_nvrtc = pytest.mark.skipif(not nvrtc.available(), reason="NVRTC is not installed: pip install 'minigrad[sim]'")


# ------------------------------------------------------------------------------------------------ PTX


def test_parse():
    text = HEADER + """
    .extern .shared .align 16 .b8 dynamic[];
    .const .align 8 .f64 half = 0d3FE0000000000000;
.global .align 4 .b8 table[8] = {1, 2, 255};
.visible .entry first(
	.param .u64 .ptr .global .align 4 first_param_0,
	.param .align 8 .b8 first_param_1[24],
	.param .f32 first_param_2
)
.maxntid 64, 2, 1
{
	.reg .pred 	%p<3>;
	.reg .b32 	%r<5>;
	.shared .align 4 .b8 small[20];  // a comment
	.loc	1 7 3, function_name $L__info_string0, inlined_at 1 9 1
	@!%p1 bra 	$L__BB0_2;
	{ .reg .b32 inner; mov.u32 inner, %r1; { .reg .b32 inner; mov.u32 %r2, inner; } }
$L__BB0_2:
	ret;
}
"""
    file = ptx.parse(text.replace("    .extern", ".extern").replace("    .const", ".const"))
    kernel = file.kernels["first"]
    assert [(p.type, p.offset, p.size) for p in kernel.parameters] == [("u64", 0, 8), ("b8[24]", 8, 24), ("f32", 32, 4)]
    assert (kernel.max_threads, kernel.shared_bytes, kernel.labels) == (128, 32, {"$L__BB0_2": 3})
    assert kernel.shared == {"small": 0, "dynamic": 32}
    assert file.data == {"table": bytes([1, 2, 255, 0, 0, 0, 0, 0]), "half": np.float64(0.5).tobytes()}
    branch, outer, inner, _ = kernel.instructions
    assert (branch.guard, branch.negated, branch.line, branch.operands) == ("%p1", True, 7, ("$L__BB0_2",))
    assert outer.operands[0] != inner.operands[1], "names of an inner scope are its own"


def test_places_are_shared_by_registers_that_never_live_together():
    tools()
    steps = " ".join(f"add.u32 %r{k + 1}, %r{k}, 1;" for k in range(60))
    text = kernel_text(f"ld.param.u64 %rd0, [y]; mov.u32 %r0, %tid.x; {steps} st.global.u32 [%rd0], %r60;", ".param .u64 y")
    y = np.zeros(1, np.uint32)
    module(text).get("k").launch((1,), (1,), (y,))
    assert y[0] == 60
    file = ptx.parse(text)
    from minigrad.kernels.simulator.encode import Encoder
    from minigrad.kernels.simulator.program import _Places

    assert len(set(_Places(Encoder(file, file.kernels["k"], {}, host.opcodes())).of.values())) < 12
    assert Program(file, file.kernels["k"], {}).handle


def test_registers_live_through_loops():
    """What is needed in the next round keeps its place until then."""
    text = kernel_text("""ld.param.u64 %rd0, [y]; mov.u32 %r0, 0; mov.u32 %r1, 1; mov.u32 %r2, 100;
    again: add.u32 %r3, %r1, %r2; add.u32 %r4, %r3, 1; sub.u32 %r1, %r4, %r2; add.u32 %r0, %r0, 1;
        setp.lt.u32 %p1, %r0, 9; @%p1 bra again; add.u32 %r5, %r1, %r2; st.global.u32 [%rd0], %r5;""", ".param .u64 y")  # fmt: skip
    y = np.zeros(1, np.uint32)
    module(text).get("k").launch((1,), (1,), (y,))
    assert y[0] == 110


# ------------------------------------------------------------------------------------------------ the cache


def test_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("MINIGRAD_CACHE", str(tmp_path))
    assert host.cached("a.ptx", lambda: b"first") == b"first"
    assert host.cached("a.ptx", lambda: b"second") == b"first"
    assert [path.name for path in (tmp_path / "kernels").iterdir()] == ["a.ptx"]


def test_cache_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("MINIGRAD_CACHE", str(tmp_path / "file"))
    assert host.cached("a.ptx", lambda: b"made") == b"made"


def test_a_write_that_fails_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def refuse(*_):
        raise OSError("full")

    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(OSError, match="full"):
        host.store(tmp_path / "a.so", b"content")
    assert list(tmp_path.iterdir()) == []


def test_digest_tells_parts_apart():
    assert host.digest("ab", "c") != host.digest("a", "bc")


# ------------------------------------------------------------------------------------------------ missing tools


def test_no_compiler(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("CXX", raising=False)
    with pytest.raises(MissingTool, match=r"needs a C\+\+ compiler, and neither g\+\+ nor clang\+\+ is there: (apt|xcode)"):
        host.compiler()


def test_a_compiler_that_fails_says_what_it_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    tools()
    broken = tmp_path / "broken.cpp"
    broken.write_text("int main() { return nothing_of_that_name; }")
    with pytest.raises(CompileError, match="nothing_of_that_name"):
        host._build([broken], tmp_path)


def test_no_nvrtc():
    """Without NVIDIA's packages: one sentence with the fix, at the first thing that needs them."""
    code = """
import sys; sys.modules["nvidia"] = None
from minigrad.kernels import simulator
from minigrad.kernels.simulator import nvrtc
assert not nvrtc.available()
try: simulator.compile("x")
except simulator.MissingTool as error: print(error)
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=Path(__file__).parents[2])
    assert run.stdout.strip() == "nvidia-cuda-nvrtc is not installed: pip install 'minigrad[sim]'", run.stderr


# ------------------------------------------------------------------------------------------------ with NVRTC


@needs_nvrtc
def test_compile_and_launch():
    tools()
    x, y = np.arange(300, dtype=np.float32), np.zeros(300, np.float32)
    compiled = simulator.compile(SCALE, name="scale.cu")
    assert compiled.names == ("scale",)
    result = compiled.get("scale").launch((3,), (128,), (x, y, np.int32(300), np.float32(2)), mode="checked")
    assert (y == 2 * x).all()
    assert not result.findings
    with pytest.raises(KeyError, match="scale.cu has no kernel 'missing'; it has scale"):
        compiled.get("missing")
    function = compiled.get_function("scale")
    compiled.mode = "checked"
    with pytest.raises(KernelFault, match="line 5: thread 44 of block 2 reads 4 bytes at byte 1200 of argument 0, beyond the end of it"):
        function((3,), (128,), (x, np.zeros(400, np.float32), np.int32(301), np.float32(2)))


def test_what_the_ratios_of_a_cost_are():
    cost = Cost(sectors=10, ideal_sectors=4, wavefronts=6, ideal_wavefronts=4)
    assert (cost.traffic, cost.efficiency, cost.conflicts) == (320, 0.4, 1.5)
    assert (Cost().traffic, Cost().efficiency, Cost().conflicts) == (0, 1.0, 1.0)


@needs_nvrtc
def test_counts():
    """300 numbers in blocks of 128: 38 sectors are read and 38 written, and each line knows its own."""
    tools()
    x, y = np.zeros(304, np.float32)[:300], np.zeros(304, np.float32)[:300]
    counts = simulator.compile(SCALE).get("scale").launch((3,), (128,), (x, y, np.int32(300), np.float32(2)), mode="checked").counts
    total = counts.totals()
    assert (total.sectors, total.ideal_sectors, total.global_bytes, total.flops) == (76, 76, 2400, 300)
    assert (total.wavefronts, total.conflicts, total.efficiency) == (12 + 10, 1.0, 1.0)
    assert total.traffic == 32 * total.sectors
    lines = {line.number: line for line in counts.lines()}
    assert lines[5].kinds == ("ld.global.32", "st.shared.32")
    assert lines[5].cost.sectors == 38
    assert lines[7].text == "if (i < n) y[i] = by * tile[threadIdx.x];"
    assert counts.opcode("mul.f32").lanes == 300


@needs_nvrtc
def test_changed_programs():
    """Broken on purpose, as tests/kernels/mutants.py does: another operation, an address further on; the kernel itself stays."""
    tools()
    kernel, x = simulator.compile(SCALE).get("scale"), np.arange(1, 301, dtype=np.float32)

    def launch(kernel):
        y = np.zeros(300, np.float32)
        result = kernel.launch((3,), (128,), (x, y, np.int32(300), np.float32(3)), mode="checked")
        return y, [finding.kind for finding in result.findings]

    def changed(opcode, **change):
        other = copy.copy(kernel)
        number = next(i.number for i in kernel.ptx.instructions if i.text.startswith(opcode))
        other.program = kernel.program.changed(number, **change)
        return launch(other)

    added, nothing = changed("mul.f32", name="add.f32")
    np.testing.assert_array_equal(added, x + 3)
    moved, found = changed("st.global", offset=4)
    np.testing.assert_array_equal(moved[1:], 3 * x[:-1])
    _, waits = changed("bar.sync", name="nothing")
    plain, none = launch(kernel)
    np.testing.assert_array_equal(plain, 3 * x)
    assert (nothing, found, waits, none) == ([], ["out of bounds"], [], [])


@needs_nvrtc
@pytest.mark.parametrize("arch", nvrtc.ARCHITECTURES)
def test_resources(arch: str):
    used = simulator.compile(SCALE).resources("scale", arch, threads=128)
    assert (used.arch, used.shared, used.spill_stores, used.spill_loads, used.stack, used.warnings) == (arch, 512, 0, 0, 0, "")
    assert 4 <= used.registers <= 32
    assert used.occupancy == 1.0
    assert used.instructions > 10


@needs_nvrtc
def test_spills_are_seen():
    heavy = "".join(f"float v{k} = x[{k} * n]; " for k in range(100)) + "".join(f"x[{k} * n + 1] = v{k} * v{(k * 7) % 100}; " for k in range(100))
    source = f'extern "C" __global__ void __launch_bounds__(1024, 2) heavy(float* x, int n) {{ {heavy} }}'
    used = simulator.compile(source).resources("heavy", "sm_80", threads=1024)
    assert used.registers <= 32
    assert used.spill_stores > 0
    assert "spilled" in used.warnings or used.spill_loads > 0


@needs_nvrtc
def test_a_source_that_is_wrong():
    with pytest.raises(CompileError, match=r'bad.cu: (?s:.*)bad.cu\(1\): error: .*"undefined_name"'):
        simulator.compile('extern "C" __global__ void k(int* x) { x[0] = undefined_name; }', name="bad.cu")
    with pytest.raises(CompileError, match="must be one of sm_75, .* not 'sm_60'"):
        simulator.compile(SCALE, arch="sm_60")


SASS = """
        .text.k:
.L_x_0:
        /*0000*/                   IMAD.MOV.U32 R1, RZ, RZ, c[0x0][0x28] ;
.L_x_1:
        /*0010*/                   FFMA R2, R2, R3, R4 ;
        /*0020*/                   LDG.E R5, [R6] ;
.L_x_2:
        /*0030*/                   LDS.128 R8, [R4] ;
        /*0040*/                   FFMA R2, R2, R8, R4 ;
        /*0050*/                   FFMA R3, R2, R9, R4 ;
        /*0060*/              @!P0 BRA `(.L_x_2) ;
        /*0070*/               @P1 BRA `(.L_x_1) ;
        /*0080*/                   EXIT ;
.L_x_3:
        /*0090*/                   BRA `(.L_x_3);
"""


def test_the_hot_loop_is_the_innermost_with_most_of_the_work():
    assert machine_code.hot_loop(SASS) == (10, {"LDS": 1, "FFMA": 2, "branch": 1})
    assert machine_code.hot_loop("") == (0, {})


@pytest.mark.parametrize(("arch", "registers", "shared", "threads", "blocks", "limit"), [
    # CUDA Occupancy Calculator's rules by hand: 65,536 registers in units of 256 for a warp; 1 KB of shared memory kept for a block.
    ("sm_80", 32, 0, 256, 8, "threads"), ("sm_80", 128, 33280, 256, 2, "registers"), ("sm_80", 33, 0, 256, 6, "registers"),
    ("sm_80", 16, 81920, 128, 2, "shared memory"), ("sm_80", 16, 0, 32, 32, "blocks"), ("sm_75", 32, 32768, 256, 2, "shared memory"),
    ("sm_75", 32, 0, 256, 4, "threads"), ("sm_86", 40, 0, 256, 6, "threads"), ("sm_86", 168, 16384, 128, 3, "registers"),
    ("sm_90", 168, 49152, 256, 1, "registers"), ("sm_90", 255, 0, 1024, 0, "registers"),
])  # fmt: skip
def test_occupancy(arch: str, registers: int, shared: int, threads: int, blocks: int, limit: str):
    assert machine_code.blocks_per_multiprocessor(arch, registers, shared, threads) == (blocks, limit)


# ------------------------------------------------------------------------------------------------ kept PTX


@needs_nvrtc
def test_kept_ptx_runs_without_nvrtc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    tools()
    monkeypatch.setenv("MINIGRAD_PTX", str(tmp_path))
    monkeypatch.setattr(stored, "_source", lambda file: SCALE)
    assert stored.stale("scale.cu")
    stored.write("scale.cu")
    assert not stored.stale("scale.cu")

    monkeypatch.setattr(nvrtc, "available", lambda: False)
    kept = stored.module.__wrapped__("scale.cu")
    x, y = np.arange(9, dtype=np.float32), np.zeros(9, np.float32)
    result = kept.get("scale").launch((1,), (128,), (x, y, np.int32(9), np.float32(3)), mode="checked")
    assert (y == 3 * x).all()
    assert {line.number for line in result.counts.lines()} >= {5, 7}

    monkeypatch.setattr(stored, "_source", lambda file: SCALE + "// changed")
    assert stored.stale("scale.cu")
    with pytest.raises(MissingTool, match=r"compiling scale.cu for sm_80 needs NVRTC: pip install 'minigrad\[sim\]'"):
        stored.module.__wrapped__("scale.cu")


def test_types_that_do_not_exist():
    with pytest.raises(UnsupportedPTX, match=r"does not know the PTX type \.q17"):
        ptx.size_of("q17")
