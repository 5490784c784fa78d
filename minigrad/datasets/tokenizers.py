"""From text to numbers and back."""

from __future__ import annotations

from typing import Any

import numpy as np


class CharTokenizer:
    """One number for each character.

    Args:
        characters: the vocabulary; a character's number is its place in it.

    Raises:
        ValueError: a character comes twice, or there is none.

    >>> tokenizer = CharTokenizer.from_text("hello")
    >>> tokenizer.encode("hole"), tokenizer.decode([1, 0, 3])
    (array([1, 3, 2, 0]), 'heo')
    """

    def __init__(self, characters: str) -> None:
        if not characters or len(set(characters)) != len(characters):
            shown = repr(characters[:30]) + (" ..." if len(characters) > 30 else "")
            raise ValueError(
                f"CharTokenizer: expected each character once and at least one, got {shown}; CharTokenizer.from_text(text) "
                "takes them from a text"
            )
        self.characters = characters
        codes = _codes(characters)
        self._order = np.argsort(codes)
        self._codes = codes[self._order]

    @classmethod
    def from_text(cls, text: str) -> CharTokenizer:
        """A tokenizer for the characters that occur in a text, in the order of Unicode.

        Args:
            text: at least one character.
        """
        return cls("".join(sorted(set(text))))

    def encode(self, text: str, replace: str | None = None) -> np.ndarray:
        """Numbers of the characters of a text, int64, of shape (characters,).

        Args:
            text: what to encode.
            replace: the character to put in place of unknown ones; None raises.

        Raises:
            ValueError: characters that are not in the vocabulary.
        """
        codes = _codes(text)
        places = np.minimum(np.searchsorted(self._codes, codes), len(self._codes) - 1)
        unknown = self._codes[places] != codes
        numbers = self._order[places]
        if unknown.any():
            if replace is None:
                missing = sorted({text[i] for i in np.flatnonzero(unknown)})
                shown = " ".join(map(repr, missing[:20])) + (" ..." if len(missing) > 20 else "")
                raise ValueError(
                    f"encode: {len(missing)} unknown character{'s' * (len(missing) > 1)}: {shown}; the vocabulary is "
                    f"{self.characters!r}"
                )
            numbers[unknown] = self.encode(replace)[0]
        return numbers

    def decode(self, numbers: Any) -> str:
        """The text of some numbers: a list, array or tensor of one dimension.

        Raises:
            ValueError: a number that stands for no character.
        """
        numbers = np.asarray(numbers, dtype=np.int64)
        if numbers.size and (numbers.min() < 0 or numbers.max() >= len(self)):
            raise ValueError(
                f"decode: numbers must be from 0 to {len(self) - 1}, got {numbers.min()} to {numbers.max()}"
            )
        return "".join(self.characters[i] for i in numbers)

    def __len__(self) -> int:
        return len(self.characters)

    def to_dict(self) -> dict[str, str]:
        """What `from_dict` needs, fit for JSON."""
        return {"type": "char", "characters": self.characters}

    @classmethod
    def from_dict(cls, saved: dict[str, str]) -> CharTokenizer:
        """The tokenizer that `to_dict` described.

        Raises:
            ValueError: it describes something else.
        """
        if not isinstance(saved, dict) or saved.get("type") != "char" or not isinstance(saved.get("characters"), str):
            raise ValueError(f"CharTokenizer: expected a dict with type 'char' and characters, got {str(saved)[:80]}")
        return cls(saved["characters"])


def _codes(text: str) -> np.ndarray:
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)
