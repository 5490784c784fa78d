"""Run one view of a lesson in a process of its own: python -m tests.tutorials.view student 1. Prints what came, as JSON."""

from __future__ import annotations

import json
import sys
import time
import warnings
from dataclasses import asdict

from minigrad.learn import lesson
from minigrad.learn.run import run


def main(view: str, number: str) -> None:
    warnings.simplefilter("error")  # a lesson that warns would frighten its reader
    here = lesson.find(number)
    outcome = run(lesson.solved(here) if view == "solved" else here.cells(), here.path)
    print(json.dumps({**asdict(outcome), "seconds": time.process_time()}))


if __name__ == "__main__":
    main(*sys.argv[1:])
