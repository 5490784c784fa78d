"""The page of benchmarks: the tables and pictures that minigrad.bench makes of benchmarks/results/*.json."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from minigrad.bench import picture, report

INTRODUCTION = """# Benchmarks

How long does a training step take, next to the same step in PyTorch, on the same machine at the same time? Both run in
processes of their own and take turns, so that both see the machine in the same mood; that they compute the same is
checked before anything is timed. A *ratio* is our time over theirs: below 1 we are faster. Every number on this page was
measured on the machine named above it, and nothing here is typed by hand.

To measure on your own machine:

```sh
pip install '.[fast,bench]'
minigrad bench --list        # what there is to measure
minigrad bench gpt_small     # one of them, in half a minute
minigrad bench --save        # all of them, into benchmarks/results/
```

"""
NONE_YET = """:::{note}
There are no results in `benchmarks/results/` yet: this page fills itself once `minigrad bench --save` has written some.
:::
"""


def pages(results: Path) -> Iterator[tuple[str, str | bytes]]:
    """The page, and its pictures."""
    try:
        runs = report.load(results)
    except ValueError:  # none, or of another form
        yield "benchmarks.md", INTRODUCTION + NONE_YET
        return
    drawn = dict(_pictures(report.newest(runs)))
    for name, data in drawn.items():
        yield f"static/benchmarks/{name}", data
    shown = "\n".join(_picture(name) for name in sorted(drawn))
    tables = "\n".join(report.everything(runs)).partition("\n## ")
    text = re.sub(r"\[([\w.-]+\.json)\]\([^)]*\)", r"`\1`", "".join(tables[1:]))
    yield "benchmarks.md", f"{INTRODUCTION}{shown}\n{text}\n"


def _pictures(run: dict[str, Any]) -> Iterator[tuple[str, bytes]]:
    with tempfile.TemporaryDirectory() as folder:
        for file in picture.write(run, Path(folder)):
            yield file.name, file.read_bytes()


def _picture(name: str) -> str:
    """One picture, on pages of its own theme."""
    theme = "dark" if name.endswith("-dark.png") else "light"
    what = "Time of training steps" if "training" in name else "Time of single operations"
    text = f"{what} compared with PyTorch's"
    return f"```{{image}} static/benchmarks/{name}\n:alt: {text}\n:class: only-{theme}\n```\n"
