"""The lessons as pages of the site: their sources, copied to where Sphinx looks, and their overview."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

INTRODUCTION = """# The lessons

Each lesson builds one idea from nothing, breaks it on purpose, uses it on real data, and ends with exercises. Formulas that
many articles get wrong are shown wrong by running them. You can read the lessons here, with their pictures; to do the
exercises, take your own copy:

```sh
minigrad learn          # the lessons, and how far you are
minigrad learn 1        # your own copy of lesson 1, to be written in
minigrad learn check 1  # what is right so far, and what you did where it is not
minigrad learn hint 1.2 # a nudge, one more each time
```

"""


def pages(root: Path) -> Iterator[tuple[str, str | Path]]:
    """(name, file or text) of each lesson, and of the overview."""
    files = sorted((root / "tutorials").glob("[0-9][0-9]_*.py"))
    for file in files:
        yield f"lessons/{file.name}", file
    yield "lessons/index.md", INTRODUCTION + _table(files)


def _table(files: list[Path]) -> str:
    if not files:
        return "There are no lessons here yet.\n"
    rows = ["| lesson | what you will build | minutes |", "|---|---|---|"]
    for file in files:
        title, builds, minutes = _head(file)
        rows.append(f"| [{title}]({file.name}) | {builds} | {minutes} |")
    return "\n".join([*rows, "", "```{toctree}", ":hidden:", *(file.stem for file in files), "```", ""])


def _head(file: Path) -> tuple[str, str, str]:
    """Title, what is built, and how long it takes, from the first text of a lesson."""
    text = file.read_text(encoding="utf-8")
    title = re.search(r"^# # (.+)$", text, re.M)
    head = " ".join(line.removeprefix("#").strip() for line in text.partition("# # ")[2].split("\n## ")[0].splitlines()[1:12])
    builds = re.search(r"\*\*You will build\*\*:? (.+?)(?= \*\*|$)", head)
    minutes = re.search(r"(\d+) minutes", head)
    return title[1] if title else file.stem, builds[1] if builds else "", minutes[1] if minutes else ""
