"""Recipes: one short readable script for each system that minigrad trains. `minigrad train NAME` runs one.

A recipe is a module with HELP, a line on what it trains, `add_arguments(parser)` for its options, `run(options)`, which
trains and returns the exit code, and, if its model writes, `load_model` and `write` for `minigrad generate`. The models
stand in minigrad/models, what all recipes share in minigrad/train.py.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from typing import Any

RECIPES = {"gpt": "minigrad.recipes.gpt"}  # name on the command line -> module


def number(kind: type, low: float, high: float = math.inf, above: bool = False) -> Callable[[str], Any]:
    """The type of an option that is a number in a range.

    Args:
        kind: int or float.
        low: the smallest allowed; not allowed itself if `above`.
        high: must be below it.
        above: whether the number must be above `low`.

    >>> number(int, 1)("12")
    12
    """
    what = "an integer" if kind is int else "a number"
    limits = f"{'above' if above else 'of at least'} {low}" + ("" if high == math.inf else f" and below {high}")

    def convert(text: str) -> Any:
        try:
            value = kind(text)
        except ValueError:
            value = None
        if value is None or not low <= value < high or (above and value == low):
            raise argparse.ArgumentTypeError(f"expected {what} {limits}, got {text!r}")
        return value

    return convert
