"""Functions that are written as text and compiled, as `dataclasses` compiles an `__init__`.

On a few numbers, looping over arguments and passing them on with stars takes longer than computing. A text that is made
for one operation names its arguments instead. Each such function has its text as `.text`: print(minigrad.mul.text)
"""

from __future__ import annotations

import linecache
from typing import Any


def compiled(name: str, text: str, title: str, module: dict[str, Any], here: dict[str, Any]) -> Any:
    """The function that a text defines.

    Args:
        name: of the function in the text.
        text: its definition.
        title: what tracebacks, which show the text's lines, call it beside this file.
        module: the globals of the module that it belongs to.
        here: further names that it may use, and what they stand for.

    >>> double = compiled("double", "def double(x): return factor * x", "an example", globals(), {"factor": 2})
    >>> double(4), double.text
    (8, 'def double(x): return factor * x')
    """
    text = text.strip()
    closure = f"def make({', '.join(here)}):\n    " + text.replace("\n", "\n    ") + f"\n    return {name}"
    file = f"{__file__}, {title}"
    found: dict[str, Any] = {}
    exec(compile(closure, file, "exec"), module, found)
    linecache.cache[file] = len(closure), None, closure.splitlines(True), file
    function = found["make"](**here)
    function.text = text
    return function
