from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minigrad as mg
from minigrad.datasets import CharTokenizer


@given(st.text(min_size=1))
def test_round_trip(text):
    tokenizer = CharTokenizer.from_text(text)
    numbers = tokenizer.encode(text)
    assert numbers.dtype == np.int64 and tokenizer.decode(numbers) == text
    assert sorted(set(numbers)) == list(range(len(tokenizer))), "every number is used, from 0 up"
    again = CharTokenizer.from_dict(json.loads(json.dumps(tokenizer.to_dict())))
    assert again.encode(text).tolist() == numbers.tolist()


def test_numbers_are_places_in_the_vocabulary():
    tokenizer = CharTokenizer("zaé€")
    assert tokenizer.encode("a€zé").tolist() == [1, 3, 0, 2]
    assert tokenizer.decode(mg.tensor([2, 0])) == "éz" and tokenizer.decode([]) == ""


def test_unknown_characters():
    tokenizer = CharTokenizer.from_text("abc ")
    with pytest.raises(ValueError, match=r"2 unknown characters: 'x' 'é'; the vocabulary is ' abc'"):
        tokenizer.encode("xa éx")
    assert tokenizer.decode(tokenizer.encode("xa éx", replace=" ")) == " a   "
    with pytest.raises(ValueError, match="1 unknown character: '\\?'"):
        tokenizer.encode("x", replace="?")


def test_bad_input():
    for characters in ("", "aba"):
        with pytest.raises(ValueError, match="each character once"):
            CharTokenizer(characters)
    for numbers in ([0, 2], [-1]):
        with pytest.raises(ValueError, match="numbers must be from 0 to 1"):
            CharTokenizer("ab").decode(numbers)
    for saved in ({"type": "bpe"}, {"type": "char"}, [1]):
        with pytest.raises(ValueError, match="type 'char'"):
            CharTokenizer.from_dict(saved)
