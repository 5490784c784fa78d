"""`minigrad learn`, from the map to the first [v]: as somebody uses it who has no notebook, and somebody who has."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from minigrad.cli import main
from minigrad.learn import command, lesson, progress


@pytest.fixture(autouse=True)
def mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A learner's folder, not there yet, and a machine without Jupyter."""
    monkeypatch.setenv("MINIGRAD_LEARN", str(tmp_path / "mine"))
    monkeypatch.setattr(command, "_jupyter", lambda: None)
    return tmp_path / "mine"


def solve(path: Path, number: str) -> None:
    stub = f'    raise NotImplementedError("exercise {number}")\n'
    head = next(c.text for c in lesson.find(1).cells() if c.exercise == number).partition("\n")[0]
    body = lesson.find(1).solution(number).partition("\n")[2]
    text = path.read_text()
    assert f"{head}\n{stub}" in text
    path.write_text(text.replace(f"{head}\n{stub}", f"{head}\n{body}\n"))


def test_map_of_somebody_new(capsys: pytest.CaptureFixture, mine: Path):
    assert main(["learn"]) == 0
    said = capsys.readouterr().out
    assert "  1  One number at a time" in said and "[ ][ ][ ][ ]" in said
    assert f"Your copies are in {mine}" in said and "Go on with: minigrad learn 1" in said
    assert not mine.exists()  # looking makes nothing


def test_from_the_first_command_to_the_first_done(capfd: pytest.CaptureFixture, mine: Path):
    assert main(["learn", "1"]) == 0
    said = capfd.readouterr().out
    assert str(mine / "01_one_number.py") in said and "minigrad learn check 1" in said
    assert (mine / "01_one_number.py").read_bytes() == lesson.find(1).path.read_bytes()

    assert main(["learn", "check", "1"]) == 0
    assert capfd.readouterr().out.count("[ ] 1.") == 4

    solve(mine / "01_one_number.py", "1.2")
    assert main(["learn", "check"]) == 0  # without a number: all that were begun
    said = capfd.readouterr().out
    assert "[v] 1.2 ordered: right in all 3 cases" in said and said.count("[ ] 1.") == 3

    assert main(["learn"]) == 0
    said = capfd.readouterr().out
    assert "[ ][v][ ][ ]  begun" in said and "1 of" in said


def test_wrong_answer_and_broken_cell(capfd: pytest.CaptureFixture, mine: Path):
    main(["learn", "1"])
    path = mine / "01_one_number.py"
    text = path.read_text().replace('    raise NotImplementedError("exercise 1.1")', "    return math.tanh(a), 1 - a * a")
    path.write_text(text.replace('check("1.4", by_hand)', "what_is_this"))
    capfd.readouterr()
    assert main(["learn", "check", "1"]) == 1
    said = capfd.readouterr().out
    assert "[x] 1.1 tanh(0.3): number 2: expected" in said or "[x] 1.1 tanh(0.3): expected" in said
    assert "hint: You put the input where the output belongs" in said
    assert "NameError: name 'what_is_this' is not defined" in said


def test_what_a_learner_wrote_is_never_overwritten(capsys: pytest.CaptureFixture, mine: Path):
    main(["learn", "1"])
    path = mine / "01_one_number.py"
    path.write_text("my work")
    capsys.readouterr()
    assert main(["learn", "1"]) == 0
    assert path.read_text() == "my work" and "You go on in" in capsys.readouterr().out
    assert main(["learn", "1", "--fresh"]) == 0
    assert main(["learn", "1", "--fresh"]) == 0
    assert (mine / "01_one_number_before_1.py").read_text() == "my work"
    assert (mine / "01_one_number_before_2.py").read_bytes() == path.read_bytes() == lesson.find(1).path.read_bytes()


def test_an_update_is_told(capsys: pytest.CaptureFixture, mine: Path):
    main(["learn", "1"])
    known = progress.load(mine)
    known["copied"]["01_one_number"] = "an older one"
    progress.save(mine, known)
    capsys.readouterr()
    main(["learn", "1"])
    said = capsys.readouterr().out
    assert "The lesson has changed since you began. Your copy stays as it is" in said and "--fresh" in said


def test_with_jupyter_the_copy_is_a_notebook(
    capfd: pytest.CaptureFixture, mine: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(command, "_jupyter", lambda: ["jupyter", "lab"])
    assert main(["learn", "1"]) == 0
    path = mine / "01_one_number.ipynb"
    assert f"Open it with: jupyter lab {path}" in capfd.readouterr().out  # the output is no terminal: it is not opened
    found = json.loads(path.read_text())
    (cell,) = (c for c in found["cells"] if "exercise-1.3" in c["metadata"].get("tags", ()))
    cell["source"] = lesson.find(1).solution("1.3").splitlines(keepends=True)  # a list of lines, as Jupyter saves it
    path.write_text(json.dumps(found))
    assert main(["learn", "check", "1"]) == 0
    assert "[v] 1.3" in capfd.readouterr().out


def test_a_terminal_opens_jupyter(monkeypatch: pytest.MonkeyPatch, mine: Path):
    called = []
    monkeypatch.setattr(command, "_jupyter", lambda: ["jupyter", "lab"])
    monkeypatch.setattr(command.subprocess, "call", lambda *args, **options: called.append((args, options)) or 0)
    monkeypatch.setattr(command.sys.stdout, "isatty", lambda: True, raising=False)
    assert main(["learn", "1", "--no-open"]) == 0 and called == []
    assert main(["learn", "1"]) == 0
    assert called == [((["jupyter", "lab", "01_one_number.ipynb"],), {"cwd": mine})]


def test_hints_come_one_by_one(capsys: pytest.CaptureFixture):
    said = []
    for _ in range(4):
        assert main(["learn", "hint", "1.1"]) == 0
        said.append(capsys.readouterr().out)
    assert [text[:20] for text in said] == ["Hint 1 of 3 for 1.1:", "Hint 2 of 3 for 1.1:"] + ["Hint 3 of 3 for 1.1:"] * 2
    assert said[0] != said[1] != said[2] == said[3]


@pytest.mark.parametrize("answer, shown", [("y\n", True), ("n\n", False), ("\n", False), ("", False)])
def test_solution_asks_first(answer: str, shown: bool, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("sys.stdin", io.StringIO(answer))
    assert main(["learn", "solution", "1.2"]) == 0
    said = capsys.readouterr().out
    assert "There are 2 hints left (minigrad learn hint 1.2). Show the solution of 1.2? [y/N]" in said
    assert (lesson.find(1).solution("1.2") in said) == shown


def test_solution_of_what_is_done_is_not_asked_for(capsys: pytest.CaptureFixture, mine: Path):
    progress.save(mine, {"exercises": {"1.2": "done"}})
    assert main(["learn", "solution", "1.2"]) == 0
    assert capsys.readouterr().out.startswith("def ordered(result):")


def test_a_loop_that_does_not_end(capfd: pytest.CaptureFixture, mine: Path, monkeypatch: pytest.MonkeyPatch):
    main(["learn", "1"])
    (mine / "01_one_number.py").write_text("# %%\nwhile True:\n    pass\n")
    monkeypatch.setattr(command, "LIMIT", 1)
    assert main(["learn", "check", "1"]) == 1
    assert "ran for 1 seconds and was stopped" in capfd.readouterr().out


@pytest.mark.parametrize(
    "words, said",
    [
        (["chekc"], "'chekc' is not understood; it is one of minigrad learn"),
        (["hint"], "'hint' is not understood"),
        (["99"], "there is no lesson '99'"),
        (["hint", "1.77"], "there is no exercise '1.77'; lesson 1 has 1.1"),
        (["solution", "1.77"], "there is no solution '1.77'"),
        (["check", "x"], "there is no lesson 'x'"),
    ],
)
def test_wrong_words(words: list[str], said: str, capsys: pytest.CaptureFixture):
    assert main(["learn", *words]) == 1
    assert said in capsys.readouterr().err


def test_nothing_begun(capsys: pytest.CaptureFixture):
    assert main(["learn", "check"]) == 1
    assert "Nothing to check yet" in capsys.readouterr().out


def test_progress_is_kept_in_a_learners_folder_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    progress.record("1.1", "done")
    assert not (tmp_path / progress.FILE).exists()
    progress.save(tmp_path, progress.load(tmp_path))
    progress.record("1.1", "done")
    assert progress.load(tmp_path)["exercises"] == {"1.1": "done"}


def test_damaged_progress_is_a_new_beginning(mine: Path):
    mine.mkdir()
    (mine / progress.FILE).write_text("{half")
    assert main(["learn"]) == 0
