"""Complete models, each in one file, in code that would run under PyTorch after changing its imports.

How they are trained stands in minigrad/recipes; the layers they are made of in minigrad/nn.
"""

from .gpt import GPT as GPT
from .gpt import GPTConfig as GPTConfig
