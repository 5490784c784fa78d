"""Real data: texts out of installed packages and the standard library, tokenizers, and the baselines a model must beat.

Nothing is downloaded when a program runs. What cuts data into batches lives in minigrad/utils/data.py.
"""

from .ngram import NGram, ngram_losses
from .text import load_text, pydoc_topics, resolve, shakespeare, split
from .tokenizers import CharTokenizer

__all__ = ["CharTokenizer", "NGram", "load_text", "ngram_losses", "pydoc_topics", "resolve", "shakespeare", "split"]
