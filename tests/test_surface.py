"""Every name that a model written for PyTorch may use is there, under the module where PyTorch has it."""

from __future__ import annotations

import importlib
from collections.abc import Iterator

import pytest

# Section -> where -> names. "Tensor" are methods and attributes; the others are modules.
SURFACE: dict[str, dict[str, str]] = {
    "top level": {
        "": """
            Tensor tensor as_tensor from_numpy zeros ones full empty eye arange linspace rand randn randint randperm multinomial
            bernoulli normal zeros_like ones_like full_like empty_like rand_like randn_like
            float16 float32 float64 half float double int8 int16 int32 int64 short int long uint8 bool inf nan pi
            manual_seed Generator no_grad enable_grad inference_mode set_grad_enabled is_grad_enabled is_tensor
            set_default_dtype get_default_dtype device save load autograd linalg func nn optim utils""",
        "cuda": "is_available",
        "utils.data": "",
    },
    "elementwise": {
        "": """
            add sub mul div true_divide floor_divide remainder fmod pow neg abs sign exp expm1 exp2 log log1p log2 log10 sqrt
            rsqrt square reciprocal sin cos tan asin acos atan atan2 sinh cosh tanh sigmoid logit erf relu floor ceil round
            trunc frac clamp clip minimum maximum where lerp addcmul addcdiv hypot logaddexp fmin fmax isnan isinf isfinite
            nan_to_num eq ne lt le gt ge logical_and logical_or logical_xor logical_not bitwise_and bitwise_or bitwise_xor
            bitwise_not isclose allclose equal subtract multiply divide negative absolute""",
        "Tensor": """
            add sub mul div true_divide floor_divide remainder fmod pow neg abs sign exp expm1 exp2 log log1p log2 log10 sqrt
            rsqrt square reciprocal sin cos tan asin acos atan atan2 sinh cosh tanh sigmoid logit erf relu floor ceil round
            trunc frac clamp clip minimum maximum where lerp addcmul addcdiv hypot logaddexp fmin fmax isnan isinf isfinite
            nan_to_num eq ne lt le gt ge logical_and logical_or logical_xor logical_not bitwise_and bitwise_or bitwise_xor
            bitwise_not isclose allclose equal
            __add__ __radd__ __sub__ __rsub__ __mul__ __rmul__ __truediv__ __rtruediv__ __floordiv__ __rfloordiv__ __mod__
            __rmod__ __pow__ __rpow__ __matmul__ __rmatmul__ __neg__ __abs__ __eq__ __ne__ __lt__ __le__ __gt__ __ge__ __and__
            __or__ __xor__ __invert__ __lshift__ __rshift__""",
    },
    "reductions": {
        "": """
            sum mean prod var std var_mean max min amax amin argmax argmin aminmax median logsumexp all any count_nonzero norm
            cumsum cumprod cummax logcumsumexp nansum nanmean""",
        "Tensor": """
            sum mean prod var std max min amax amin argmax argmin aminmax median logsumexp all any count_nonzero norm cumsum
            cumprod cummax logcumsumexp nansum nanmean softmax log_softmax""",
    },
    "shape": {
        "": """
            reshape flatten unflatten squeeze unsqueeze transpose swapaxes permute movedim broadcast_to tile repeat_interleave
            cat concat stack hstack vstack split chunk unbind flip roll tril triu diagonal diag diag_embed meshgrid clone""",
        "Tensor": """
            reshape view view_as flatten unflatten squeeze unsqueeze transpose swapaxes permute movedim T mT expand expand_as
            broadcast_to repeat tile repeat_interleave split chunk unbind flip roll tril triu diagonal diag diag_embed unfold
            contiguous clone detach""",
    },
    "indexing": {
        "": """
            index_select gather take take_along_dim scatter scatter_add scatter_reduce index_add index_copy index_fill
            masked_fill masked_select nonzero unique bincount sort argsort topk masked_scatter searchsorted bucketize""",
        "Tensor": """
            __getitem__ __setitem__ index_select gather take take_along_dim scatter scatter_add scatter_reduce index_add
            index_copy index_fill masked_fill masked_select nonzero unique bincount sort argsort topk masked_scatter""",
        "nn.functional": "one_hot embedding pad",
    },
    "linear algebra": {
        "": "matmul mm bmm mv dot outer addmm baddbmm einsum tensordot kron trace det slogdet inverse matrix_power cdist norm",
        "Tensor": "matmul mm bmm mv dot outer addmm baddbmm kron trace det slogdet inverse matrix_power",
        "linalg": """
            norm vector_norm inv det slogdet solve cholesky matrix_power matrix_norm qr svd svdvals eigh eigvalsh pinv
            multi_dot LinAlgError""",
    },
    "Tensor": {
        "Tensor": """
            shape size dim ndim numel dtype device data grad grad_fn is_leaf requires_grad requires_grad_ retain_grad
            register_hook backward item tolist numpy cpu cuda to type type_as float double half long int bool new_zeros
            new_ones new_full new_empty new_tensor __array__ __dlpack__ __iter__ __len__ __bool__ __float__ __format__
            __repr__ __contains__ nelement ndimension is_cuda element_size stride is_contiguous is_floating_point data_ptr
            detach_ zero_ copy_ fill_ fill_diagonal_ normal_ uniform_ bernoulli_ exponential_ random_""",
    },
    "in place": {
        "Tensor": """
            add_ sub_ mul_ div_ true_divide_ floor_divide_ remainder_ fmod_ pow_ neg_ abs_ sign_ exp_ expm1_ exp2_ log_ log1p_
            log2_ log10_ sqrt_ rsqrt_ square_ reciprocal_ sin_ cos_ tan_ asin_ acos_ atan_ atan2_ sinh_ cosh_ tanh_ sigmoid_
            logit_ erf_ relu_ floor_ ceil_ round_ trunc_ frac_ clamp_ clip_ lerp_ addcmul_ addcdiv_ hypot_ nan_to_num_ eq_ ne_
            lt_ le_ gt_ ge_ logical_and_ logical_or_ logical_xor_ logical_not_ bitwise_and_ bitwise_or_ bitwise_xor_
            bitwise_not_ cumsum_ cumprod_ tril_ triu_ scatter_ scatter_add_ scatter_reduce_ index_add_ index_copy_ index_fill_
            masked_fill_ masked_scatter_ addmm_ baddbmm_ __iadd__ __isub__ __imul__ __itruediv__ __ifloordiv__ __imod__
            __ipow__ __iand__ __ior__ __ixor__""",
    },
    "autograd": {
        "autograd": "grad backward gradcheck gradgradcheck Function detect_anomaly",
        "autograd.graph": "saved_tensors_hooks",
        "autograd.functional": "vjp jvp jacobian hessian hvp",
        "func": "vjp jvp jacrev hessian grad",
        "utils.checkpoint": "checkpoint",
    },
    "nn: modules": {
        "nn": """
            Module Parameter ParameterList ParameterDict ModuleList ModuleDict Sequential Identity Flatten Unflatten Linear
            Bilinear LazyLinear Embedding EmbeddingBag Dropout Dropout2d""",
    },
    "nn: convolutions, pools, pads": {
        "nn": """
            Conv1d Conv2d ConvTranspose1d ConvTranspose2d MaxPool1d MaxPool2d AvgPool1d AvgPool2d AdaptiveAvgPool1d
            AdaptiveAvgPool2d AdaptiveMaxPool1d AdaptiveMaxPool2d Upsample PixelShuffle ZeroPad2d ReflectionPad2d Fold
            Unfold""",
    },
    "nn: norms": {"nn": "BatchNorm1d BatchNorm2d LayerNorm RMSNorm GroupNorm InstanceNorm1d InstanceNorm2d"},
    "nn: recurrent": {
        "nn": "RNN LSTM GRU RNNCell LSTMCell GRUCell",
        "nn.utils.rnn": "pad_sequence pack_padded_sequence pad_packed_sequence pack_sequence PackedSequence",
    },
    "nn: Transformer": {
        "nn": """
            MultiheadAttention TransformerEncoderLayer TransformerDecoderLayer TransformerEncoder TransformerDecoder
            Transformer PositionalEncoding""",
    },
    "nn: activations": {
        "nn": """
            ReLU LeakyReLU PReLU ELU SELU CELU GELU SiLU Mish Softplus Softsign Tanh Sigmoid Hardtanh Hardswish Hardsigmoid
            ReLU6 LogSigmoid Softmax LogSoftmax GLU Threshold Tanhshrink Softshrink Hardshrink""",
    },
    "nn: losses": {
        "nn": """
            MSELoss L1Loss SmoothL1Loss HuberLoss CrossEntropyLoss NLLLoss BCELoss BCEWithLogitsLoss KLDivLoss
            CosineEmbeddingLoss TripletMarginLoss""",
    },
    "nn.functional": {
        "nn.functional": """
            linear bilinear embedding embedding_bag one_hot pad interpolate unfold fold normalize cosine_similarity
            pairwise_distance scaled_dot_product_attention gumbel_softmax glu softplus mish silu relu relu6 leaky_relu prelu
            elu selu celu gelu tanh sigmoid softsign hardtanh hardswish hardsigmoid logsigmoid softmax log_softmax softmin
            threshold tanhshrink softshrink hardshrink dropout dropout2d conv1d conv2d conv_transpose1d conv_transpose2d
            max_pool1d max_pool2d avg_pool1d avg_pool2d adaptive_avg_pool1d adaptive_avg_pool2d adaptive_max_pool1d
            adaptive_max_pool2d pixel_shuffle batch_norm layer_norm rms_norm group_norm instance_norm mse_loss l1_loss
            smooth_l1_loss huber_loss cross_entropy nll_loss binary_cross_entropy binary_cross_entropy_with_logits kl_div
            cosine_embedding_loss triplet_margin_loss""",
    },
    "nn.init and nn.utils": {
        "nn.init": """
            uniform_ normal_ constant_ zeros_ ones_ eye_ xavier_uniform_ xavier_normal_ kaiming_uniform_
            kaiming_normal_ trunc_normal_ orthogonal_ calculate_gain""",
        "nn.utils": "clip_grad_norm_ clip_grad_value_ parameters_to_vector vector_to_parameters weight_norm",
    },
    "optim": {
        "optim": "Optimizer SGD Adam AdamW Adagrad Adadelta RMSprop LBFGS Muon lr_scheduler",
        "optim.lr_scheduler": """
            StepLR MultiStepLR ExponentialLR CosineAnnealingLR CosineAnnealingWarmRestarts LinearLR ConstantLR SequentialLR
            LambdaLR OneCycleLR ReduceLROnPlateau CyclicLR PolynomialLR""",
    },
    "utils.data": {
        "utils.data": """
            Dataset IterableDataset TensorDataset Subset ConcatDataset random_split DataLoader Sampler RandomSampler
            SequentialSampler BatchSampler WeightedRandomSampler SubsetRandomSampler get_worker_info default_collate""",
    },
    "distributions": {"distributions": "Distribution Normal Bernoulli Categorical kl_divergence"},
}
OURS = {"PositionalEncoding"}  # what PyTorch leaves to its tutorials


def find(library: str, where: str) -> object | None:
    """A module of a library, or its Tensor class; None if it is not there."""
    if where == "Tensor":
        return importlib.import_module(library).Tensor
    place = importlib.import_module(library)
    for name in where.split(".") if where else ():
        try:
            place = importlib.import_module(f"{place.__name__}.{name}")
        except ImportError:
            place = getattr(place, name, None)
    return place


def public(*places: str) -> Iterator[tuple[str, str, object]]:
    """(place, name, what it is) of all that minigrad has at some places."""
    for sections in SURFACE.values():
        for place in sections.keys() & set(places):
            yield from ((place, name, getattr(find("minigrad", place), name)) for name in sections[place].split())


def missing(library: str) -> Iterator[tuple[str, str]]:
    """(section, name) of all that a library lacks."""
    for section, places in SURFACE.items():
        for where, names in places.items():
            place = find(library, where)
            if place is None:
                yield section, where
            for name in names.split():
                if place is None or not hasattr(place, name):
                    yield section, f"{where}.{name}".lstrip(".")


def test_every_name_is_there():
    lines: dict[str, list[str]] = {}
    for section, name in missing("minigrad"):
        lines.setdefault(section, []).append(name)
    report = "\n".join(f"{section}: {', '.join(names)}" for section, names in lines.items())
    assert not report, f"missing names, by section:\n{report}"


def test_every_name_is_pytorchs():
    """No name in the lists is misspelt, or in another place than PyTorch has it."""
    torch = pytest.importorskip("torch", reason="compares with PyTorch, which is not installed")
    absent = [name for _, name in missing(torch.__name__) if name.split(".")[-1] not in OURS]
    assert absent == []
