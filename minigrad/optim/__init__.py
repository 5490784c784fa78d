"""Learning rules: how parameters follow their gradients (as `torch.optim`).

What lives here: Optimizer, one file per family of rules, and learning rate schedules (lr_scheduler). What does not:
gradients (autograd), clipping (nn.utils), the training loop (train).
"""

from . import lr_scheduler
from .adam import Adam, AdamW
from .adaptive import Adadelta, Adagrad, Adamax, NAdam, RAdam, RMSprop, Rprop
from .lbfgs import LBFGS
from .muon import Muon
from .optimizer import Optimizer
from .sgd import SGD
