"""Helpers around modules (as `torch.nn.utils`): clipping gradients, parameters as one vector, sequences of
different lengths (rnn), weights as length and direction.

What lives here: functions of the parameters or gradients of a model. What does not: layers, data loading (utils.data).
"""

from . import rnn
from .clip_grad import clip_grad_norm_, clip_grad_value_
from .convert_parameters import parameters_to_vector, vector_to_parameters
from .weight_norm import remove_weight_norm, weight_norm
