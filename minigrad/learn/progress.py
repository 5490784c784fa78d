"""A learner's folder: the copies that are written in, and what is done so far."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

from .lesson import Lesson, notebook

FILE = "progress.json"


def folder() -> Path:
    """Where a learner's copies are: $MINIGRAD_LEARN, or minigrad-lessons in the home folder."""
    return Path(os.environ.get("MINIGRAD_LEARN") or Path.home() / "minigrad-lessons")


def load(where: Path) -> dict[str, Any]:
    """What is known of a folder: the state of exercises, the hints given, and which lessons were copied from what."""
    known: dict[str, Any] = {"exercises": {}, "hints": {}, "copied": {}}
    try:
        found = json.loads((where / FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return known
    return {**known, **found} if isinstance(found, dict) else known


def save(where: Path, known: dict[str, Any]) -> None:
    where.mkdir(parents=True, exist_ok=True)
    (where / FILE).write_text(json.dumps(known, indent=1) + "\n", encoding="utf-8")


def record(number: str, state: str) -> None:
    """Keep the state of an exercise, if this process runs in a learner's folder; elsewhere nobody asked for it."""
    here = Path.cwd()
    if (here / FILE).is_file():
        known = load(here)
        known["exercises"][number] = state
        save(here, known)


def copy_of(lesson: Lesson, where: Path) -> Path | None:
    """The learner's copy of a lesson: of a notebook and a Python file, the one written to last."""
    found = [path for kind in (".py", ".ipynb") if (path := where / f"{lesson.path.stem}{kind}").is_file()]
    return max(found, key=lambda path: path.stat().st_mtime, default=None)


def make_copy(lesson: Lesson, where: Path, as_notebook: bool) -> Path:
    """Copy a lesson into the folder. What is there already is moved aside, never overwritten."""
    where.mkdir(parents=True, exist_ok=True)
    path = where / f"{lesson.path.stem}{'.ipynb' if as_notebook else '.py'}"
    if (before := copy_of(lesson, where)) is not None:
        n = 1
        while (aside := before.with_stem(f"{before.stem}_before_{n}")).exists():
            n += 1
        before.rename(aside)
    if as_notebook:
        path.write_text(json.dumps(notebook(lesson.cells()), indent=1) + "\n", encoding="utf-8")
    else:
        path.write_bytes(lesson.path.read_bytes())
    known = load(where)
    known["copied"][lesson.path.stem] = fingerprint(lesson)
    save(where, known)
    return path


def fingerprint(lesson: Lesson) -> str:
    """Tells whether a lesson has changed since it was copied."""
    return hashlib.sha256(lesson.path.read_bytes()).hexdigest()[:16]
