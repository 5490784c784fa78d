"""benchmarks/kernels.py: what must hold is noticed when it does not, and the README says what the script would write."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
from minigrad.kernels.ladder import ladders
from minigrad.kernels.simulator import nvrtc

from tests.simulator.harness import tools

from .benchmark import script

Gate = script.Gate


def tables(text: str) -> dict[str, list[list[str]]]:
    """The tables between the marks, by their heading; rows of cells, the head first."""
    block = text.split(script.BEGIN)[1].split(script.END)[0]
    found = {}
    for part in block.split("### ")[1:]:
        heading, *lines = part.strip().splitlines()
        found[heading] = [line.strip("| ").split(" | ") for line in lines if line.startswith("|") and "---" not in line]
    return found


@pytest.fixture(scope="module")
def readme() -> dict[str, list[list[str]]]:
    return tables(script.README.read_text(encoding="utf-8"))


def test_every_table_of_the_readme_has_the_columns_of_the_script(readme: dict) -> None:
    heads = [script.GATES_HEAD, script.MATMUL_HEAD, script.TENSOR_HEAD, script.OTHER_HEAD]
    assert [tuple(rows[0]) for rows in readme.values()] == heads
    assert all(len(row) == len(rows[0]) for rows in readme.values() for row in rows)


def test_the_readme_says_that_everything_holds(readme: dict) -> None:
    _, *rows = readme["What must hold"]
    assert [row[0] for row in rows] == list(script.TARGETS)
    for what, where, counted, target, holds in rows:
        assert Gate(what, where, float(counted)).row() == [what, where, counted, target, holds] and holds == "yes"


def test_the_readme_has_every_step(readme: dict) -> None:
    declared = [(name, step.name) for name, ladder in ladders().items() for step in ladder.steps if not name.startswith("matmul")]
    assert [(row[0], row[1].removesuffix(" (used)")) for row in readme["Everything else"][1:]] == declared
    ours = [f"matmul {step.name}" for step in ladders()["matmul"].steps]
    assert [row[0] for row in list(readme.values())[1][1:] if "siboehm" not in row[0]] == ours


@pytest.mark.parametrize(("what", "counted", "holds"), [
    ("memory-bound: bytes / minimum", 1.02, True), ("memory-bound: bytes / minimum", 1.0201, False),
    ("memory-bound: occupancy %", 50, True), ("memory-bound: occupancy %", 49.9, False), ("compiler warnings", 1, False),
])  # fmt: skip
def test_a_limit_is_still_allowed(what: str, counted: float, holds: bool) -> None:
    gate = Gate(what, "somewhere", counted)
    assert gate.holds == holds and gate.row()[-1] == ("yes" if holds else "**no**")


def test_the_first_steps_do_not_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    """If this fails, what holds proves nothing."""
    tools()
    if not nvrtc.available():
        pytest.skip("needs NVRTC: pip install 'minigrad[sim]'")
    short = {"softmax": {"rows": 32, "cols": 256}, "attention": {"batch": 1, "heads": 1, "queries": 64, "keys": 64, "d": 16}}
    for name, case in short.items():
        assert all(gate.holds for gate in script.of_memory(name, case))
        first = dataclasses.replace(ladders()[name], steps=ladders()[name].steps[:1])
        monkeypatch.setattr(script, "ladders", lambda name=name, first=first: {name: first})
        broken = {gate.what.split(": ")[1] for gate in script.of_memory(name, case) if not gate.holds}
        assert broken == ({"bytes / minimum", "% of bytes 16 at a time"} if name == "softmax" else {"bytes / FlashAttention-2's"})
        monkeypatch.undo()


def some(**counted: float) -> list[Any]:
    """Figures that hold, two of each, and others by the first word of what they are about."""
    found = [Gate(what, where, target) for what, (_, target, _) in script.TARGETS.items() for where in ("here", "there")]
    found += [Gate(what, "elsewhere", counted[what.split()[0]]) for what in script.TARGETS if what.split()[0] in counted]
    return found


def test_the_worst_of_each(capsys: pytest.CaptureFixture) -> None:
    rows = {gate.what: gate for gate in script.worst(some(bytes=3))}
    assert list(rows) == list(script.TARGETS)
    assert rows["bytes spilled or in local memory"] == ("bytes spilled or in local memory", "elsewhere", 3)
    assert rows["compiler warnings"].where == "alike in all 2"


def test_it_writes_the_readme_and_fails_where_something_does_not_hold(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    file = tmp_path / "README.md"
    file.write_text(f"before\n{script.BEGIN}\nstale\n{script.END}\nafter\n")
    monkeypatch.setattr(script, "README", file)
    for name, head in (("matmul_row", script.MATMUL_HEAD), ("tensor_row", script.TENSOR_HEAD), ("other_row", script.OTHER_HEAD)):
        monkeypatch.setattr(script, name, lambda *args, head=head: ["1"] * len(head))
    monkeypatch.setattr(script, "gates", some)
    assert script.main(["--check"]) == 1 and "stale" in file.read_text()
    assert script.main([]) == 0 and script.main(["--check"]) == 0
    text = file.read_text()
    assert text.startswith(f"before\n{script.BEGIN}\n") and text.endswith(f"{script.END}\nafter\n") and "stale" not in text
    assert len(tables(text)) == 4 and "34 of 34 hold" in capsys.readouterr().out
    monkeypatch.setattr(script, "gates", lambda: some(bytes=8))
    assert script.main(["--check"]) == 1 and script.main([]) == 1
    assert "| bytes spilled or in local memory | elsewhere | 8 | <= 0 | **no** |" in file.read_text()
    assert script.main(["--check"]) == 1, "written as it is, and still broken"
    assert "34 of 35 hold" in capsys.readouterr().out
