"""Real data, texts and tables, out of installed packages; tokenizers; the baselines that a model must beat.

Nothing is downloaded when a program runs. What cuts data into batches lives in minigrad/utils/data.py.
"""

from .ngram import NGram, ngram_losses
from .tables import Table, load_table
from .text import load_text, pydoc_topics, resolve, shakespeare, split
from .tokenizers import CharTokenizer

__all__ = [
    "CharTokenizer", "NGram", "Table", "load_table", "load_text", "ngram_losses", "pydoc_topics", "resolve", "shakespeare",
    "split",
]
