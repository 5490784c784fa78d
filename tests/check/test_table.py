"""`minigrad check`: every operation is measured, by a call that runs it, and a wrong rule is found."""

from __future__ import annotations

import pytest

from minigrad import cli
from minigrad.check import table
from minigrad.check.samples import NOT_HERE, SAMPLES
from minigrad.composite import COMPOSITIONS
from minigrad.op import REGISTRY


@pytest.fixture
def broken():
    """Put another rule in the place of one, for a test."""
    changed = []

    def change(name, argument, rule):
        op = REGISTRY[name]
        changed.append((op, argument, op.rules[argument]))
        op.rules[argument] = (rule, op.rules[argument][1])
        op.plans.clear()

    yield change
    for op, argument, before in reversed(changed):
        op.rules[argument] = before
        op.plans.clear()


@pytest.mark.parametrize("name", table.operations())
def test_every_operation_is_exact(name):
    for seed in (0, 1):
        row = table.check(name, seed)
        assert row.first < 1e-7 and (row.second is None or row.second < 1e-7)
        assert row.rules and all(argument and "source" not in rule for argument, rule in row.rules)


@pytest.mark.parametrize("name", [name for name in table.operations() if name in REGISTRY])
def test_every_rule_is_run(name, broken):
    """The sample calls of an operation run all its rules: each is found when it is 0.1% off."""
    for argument, (rule, _) in list(REGISTRY[name].rules.items()):
        if name in ("ceil", "floor", "round", "sign", "trunc"):
            continue  # zero stays zero
        broken(name, argument, lambda *args, rule=rule: _scaled(rule(*args)))
        assert not table.check(name).passed, argument
        broken(name, argument, rule)


def _scaled(g):
    return g if g is None else type(g)(g.value * 1.001, g.shape, g.index, g.repeats) if hasattr(g, "repeats") else g * 1.001


def test_nothing_is_left_out():
    differentiable = {name for name, op in REGISTRY.items() if op.rules}
    assert set(table.operations()) == (differentiable - set(NOT_HERE)) | set(COMPOSITIONS)
    assert set(SAMPLES) <= set(table.operations())


def test_rules_as_they_stand_in_the_source():
    assert table.rules_of("mul") == [("input", "g * other"), ("other", "g * input")]
    assert table.rules_of("matmul")[0] == ("input", "_left_slope(g, other, input_shape)")
    assert table.rules_of("gelu")[0][0] == "all"


def test_an_error_is_found(capsys, broken):
    assert cli.main(["check", "sin"]) == 0
    assert capsys.readouterr().out.endswith("1 checked, 0 with an error above 1e-05\n")
    broken("sin", "input", lambda g, input: g * (1.0001 - input * 0))
    assert cli.main(["check", "sin"]) == 1
    out = capsys.readouterr().out
    assert "FAILED" in out and out.endswith("1 checked, 1 with an error above 1e-05\n") and "def sin(xp, input)" in out
    broken("sin", "input", lambda g, input: g * float("nan"))
    assert table.check("sin").first == float("inf") and not table.check("sin").passed


def test_the_whole_table(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")
    assert cli.main(["check", "--seed=2"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) > len(table.operations()) and max(map(len, lines)) <= 100
    assert lines[0].split() == ["operation", "gradient", "1st", "error", "2nd", "error"]
    assert {line.split()[0] for line in lines[1:-1] if line[0] != " "} == set(table.operations())


def test_an_operation_that_is_not_there(capsys):
    assert cli.main(["check", "tahn"]) == 1
    assert capsys.readouterr().err == "minigrad: there is no operation 'tahn' with derivatives; did you mean tanh or atan2?\n"
