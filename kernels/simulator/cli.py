"""The command `minigrad kernels`: list, check, inspect, compare the CUDA kernels, on a machine with or without a GPU."""

from __future__ import annotations

import argparse
import ast
import shutil
from pathlib import Path
from typing import Any

from ..ladder import Ladder, ladders

HELP = "the CUDA kernels: list, check, inspect and compare them, without a GPU"
DESCRIPTION = "The CUDA kernels: list, check, inspect and compare them, without a GPU."


def add_arguments(commands: Any, **settings: Any) -> None:
    """Put the subcommands list, check, inspect, compare and ptx under a parser."""
    sub = commands.add_parser("list", help="the kernels and their steps", **settings)
    sub.set_defaults(run=list_kernels)

    sub = commands.add_parser("check", help="run kernels on all shapes in three orders, against NumPy", **settings)
    sub.add_argument("names", metavar="NAME", nargs="*", help="only these")
    sub.add_argument("--step", help="only this step")
    sub.set_defaults(run=check_kernels)

    sub = commands.add_parser("inspect", help="what each line of a kernel costs", **settings)
    _common(sub)
    sub.add_argument("--step", help="which step (default: the one meant for use)")
    sub.add_argument("--html", type=Path, metavar="FILE", help="write a page with pictures of who reads what")
    sub.add_argument("--png", type=Path, metavar="FILE", help="write these pictures as an image")
    sub.set_defaults(run=inspect_kernel)

    sub = commands.add_parser("compare", help="the steps of a kernel side by side", **settings)
    _common(sub)
    sub.add_argument("--png", type=Path, metavar="FILE", help="write a chart")
    sub.set_defaults(run=compare_steps)

    sub = commands.add_parser("ptx", help="compile the kernels anew into tests/kernels/ptx", **settings)
    sub.set_defaults(run=write_ptx)


def _common(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("name", metavar="NAME", help="as `minigrad kernels list` shows it")
    text = "sizes and options, as rows=64 cols=100 (default: the example)"
    sub.add_argument("--shape", nargs="+", default=[], metavar="SIZE=N", help=text)
    text = "for registers and occupancy: sm_75, 80, 86, 89, 90, 100, 120 (default: sm_80)"
    sub.add_argument("--arch", default="sm_80", help=text)


def find(name: str) -> Ladder:
    """The ladder of that name. Raises ValueError that lists the names."""
    known = ladders()
    if name not in known:
        raise ValueError(f"there is no kernel called {name!r}; there are {', '.join(known)}")
    return known[name]


def case_of(ladder: Ladder, shape: list[str]) -> dict[str, Any]:
    """The example of a ladder with what was asked for instead: `["rows=4"]` or, in the order of the example, `["4", "100"]`."""
    case = dict(ladder.example)
    options = {key for other in ladder.cases for key in other} | set(case)
    for position, text in enumerate(shape):
        key, equals, value = text.rpartition("=")
        if not equals:
            if position >= len(case):
                raise ValueError(f"{ladder.name} takes {len(case)} sizes ({', '.join(case)}), not {len(shape)}")
            key = list(case)[position]
        if key not in options:
            raise ValueError(f"{ladder.name} has no size or option {key!r}; it has {', '.join(sorted(options))}")
        try:
            case[key] = ast.literal_eval(value)
        except (ValueError, SyntaxError):
            case[key] = value
    return case


def list_kernels(options: argparse.Namespace) -> int:
    """`minigrad kernels list`."""
    from .report import table

    rows = []
    for ladder in ladders().values():
        for step in ladder.steps:
            shown = (ladder.name, ladder.file, len(ladder.cases)) if step is ladder.steps[0] else ("", "", "")
            rows.append((*shown, step.name + (" *" if step.used else ""), step.says))
    head = ["kernel", "source", "cases", "step", "what is new (* the step meant for use)"]
    print(*table(rows, head, left=[0, 1, 3, 4]), sep="\n")
    return 0


def check_kernels(options: argparse.Namespace) -> int:
    """`minigrad kernels check`: exit code 1 if anything is wrong."""
    from .check import check

    wrong = 0
    for ladder in [find(name) for name in options.names] or ladders().values():
        for step in ladder.steps if options.step is None else [ladder.step(options.step)]:
            report = check(ladder, step)
            state = "right" if not report.problems else "WRONG"
            told = f"{report.cases} shapes, 3 orders, error {report.error:.2f} of what is allowed, {report.seconds:.1f} s"
            print(f"{state}  {ladder.name} {step.name}: {told}", flush=True)
            for problem in report.problems[:5]:
                print(f"       {problem}")
            wrong += bool(report.problems)
    print("all are right, with no findings" if not wrong else f"{wrong} steps are wrong")
    return int(wrong > 0)


def inspect_kernel(options: argparse.Namespace) -> int:
    """`minigrad kernels inspect`."""
    from . import picture, report

    ladder = find(options.name)
    step, case = ladder.step(options.step), case_of(ladder, options.shape)
    if not step.supports(case):
        raise ValueError(f"step {step.name} of {ladder.name} does not do {case}")
    measured = report.measure(ladder, step, case, options.arch)
    print(*report.inspection(measured, max(100, shutil.get_terminal_size((140, 0)).columns)), sep="\n")
    for path, write in ((options.html, picture.write_html), (options.png, picture.write_png)):
        if path:
            write(measured, path)
            print(f"wrote {path}")
    return int(bool(measured.problem))


def compare_steps(options: argparse.Namespace) -> int:
    """`minigrad kernels compare`."""
    from . import picture, report

    ladder = find(options.name)
    lines, all_measured = report.comparison(ladder, case_of(ladder, options.shape), options.arch)
    print(*lines, sep="\n")
    if options.png:
        picture.write_chart(all_measured, options.png)
        print(f"wrote {options.png}")
    return int(any(m.problem for m in all_measured))


def write_ptx(options: argparse.Namespace) -> int:
    """`minigrad kernels ptx`: only what is out of date is written."""
    from . import stored

    files = {ladder.file: "sm_80" for ladder in ladders().values()}
    for ladder in ladders().values():
        files |= {kernel.file: "sm_80" for step in ladder.steps for kernel in step.kernels}
    for file, arch in sorted(files.items()):
        if stored.stale(file, arch):
            print(f"wrote {stored.write(file, arch)}")
        else:
            print(f"{file} is up to date")
    return 0
