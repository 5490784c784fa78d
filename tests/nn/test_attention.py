"""MultiheadAttention against PyTorch's, over all of its options."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import minigrad as mg
from minigrad import nn

from .twin import load, same, scramble

E, H, N, L, S = 6, 2, 3, 4, 5
rng = np.random.default_rng(0)


def twins(**options):
    theirs = scramble(torch.nn.MultiheadAttention(E, H, **options))
    return load(nn.MultiheadAttention(E, H, **options), theirs), theirs


def random(length, batch_first, features=E):
    return rng.standard_normal((N, length, features) if batch_first else (length, N, features))


def no_row_hidden(shape):
    """A bool mask that lets every query see some key."""
    mask = rng.random(shape) < 0.4
    mask[..., 0] = False
    return mask


MASKS = {
    "none": {},
    "bool": {"attn_mask": no_row_hidden((L, S))},
    "numbers": {"attn_mask": rng.standard_normal((L, S))},
    "per head": {"attn_mask": no_row_hidden((N * H, L, S))},
    "numbers per head": {"attn_mask": rng.standard_normal((N * H, L, S))},
    "padding": {"key_padding_mask": no_row_hidden((N, S))},
    "padding in numbers": {"key_padding_mask": rng.standard_normal((N, S))},
    "both": {"attn_mask": no_row_hidden((L, S)), "key_padding_mask": no_row_hidden((N, S))},
    "mixed": {"attn_mask": rng.standard_normal((L, S)), "key_padding_mask": rng.standard_normal((N, S)) * 2},
}


@pytest.mark.parametrize("need_weights", [True, False])
@pytest.mark.parametrize("batch_first", [True, False])
@pytest.mark.parametrize("masks", MASKS)
def test_masks(masks, batch_first, need_weights):
    ours, theirs = twins(batch_first=batch_first)
    q, k, v = random(L, batch_first), random(S, batch_first), random(S, batch_first)
    same(ours, theirs, q, k, v, need_weights=need_weights, **MASKS[masks])


def test_mixed_bool_and_numbers():
    """PyTorch warns about this mixture, but computes the same."""
    ours, theirs = twins()
    q, k = random(L, False), random(S, False)
    padding, numbers = no_row_hidden((N, S)), rng.standard_normal((L, S))
    with pytest.warns(UserWarning, match="mismatched"):
        same(ours, theirs, q, k, k, key_padding_mask=padding, attn_mask=numbers)


@pytest.mark.parametrize("average", [True, False])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("sizes", [{}, {"kdim": 3}, {"vdim": 7}, {"kdim": 3, "vdim": 7}])
def test_sizes_bias_and_weights(sizes, bias, average):
    ours, theirs = twins(bias=bias, **sizes)
    q, k, v = random(L, False), random(S, False, sizes.get("kdim", E)), random(S, False, sizes.get("vdim", E))
    same(ours, theirs, q, k, v, average_attn_weights=average)


@pytest.mark.parametrize("batch_first", [True, False])
@pytest.mark.parametrize("need_weights", [True, False])
@pytest.mark.parametrize("padded", [True, False])
@pytest.mark.parametrize("is_causal", [True, False])
def test_self_attention(batch_first, need_weights, padded, is_causal):
    ours, theirs = twins(batch_first=batch_first)
    causal = np.triu(np.ones((L, L), bool), 1)
    padding = no_row_hidden((N, L)) if padded else None

    def run(attention):
        return lambda x, mask, padding: attention(
            x, x, x, key_padding_mask=padding, attn_mask=mask, need_weights=need_weights, is_causal=is_causal
        )

    x = random(L, batch_first)
    same(run(ours), run(theirs), x, causal, padding)
    for (name, a), (_, b) in zip(ours.named_parameters(), theirs.named_parameters()):
        np.testing.assert_allclose(a.grad.numpy(), b.grad.numpy(), 1e-10, 1e-12, err_msg=name)


@pytest.mark.parametrize("need_weights", [True, False])
@pytest.mark.parametrize("average", [True, False])
def test_unbatched(need_weights, average):
    ours, theirs = twins()
    q, k, v = (rng.standard_normal((n, E)) for n in (L, S, S))
    options = {"need_weights": need_weights, "average_attn_weights": average}
    same(ours, theirs, q, k, v, **options)
    mask, padding = no_row_hidden((H, L, S)), no_row_hidden((S,))
    same(ours.requires_grad_(), theirs, q, k, v, attn_mask=mask, key_padding_mask=padding, **options)


@pytest.mark.parametrize("need_weights", [True, False])
def test_a_query_that_may_see_nothing_gets_zeros(need_weights):
    """The heads give zeros, so that the output is the bias of out_proj; nothing is NaN, no gradient either."""
    attention = nn.MultiheadAttention(E, H, batch_first=True)
    x = mg.randn(N, L, E, requires_grad=True)
    mask = mg.zeros(L, L, dtype=bool)
    mask[1] = True
    out, weights = attention(x, x, x, attn_mask=mask, need_weights=need_weights)
    assert mg.allclose(out[:, 1], attention.out_proj.bias.detach().expand(N, E), atol=1e-6)
    assert not need_weights or (weights[:, 1] == 0).all()
    out.backward(mg.randn(N, L, E))
    assert x.grad.isfinite().all()


def test_dropout_drops_weights_in_training_only():
    attention = nn.MultiheadAttention(E, H, dropout=0.5, batch_first=True)
    x = mg.randn(N, L, E)
    for need_weights in (True, False):
        first, again = (attention.train()(x, x, x, need_weights=need_weights)[0] for _ in range(2))
        assert not mg.equal(first, again)
        first, again = (attention.eval()(x, x, x, need_weights=need_weights)[0] for _ in range(2))
        assert mg.equal(first, again)


def test_first_values():
    mg.manual_seed(0)
    attention = nn.MultiheadAttention(60, 3)
    bound = np.sqrt(6 / (60 + 180))
    weight = attention.in_proj_weight.detach().numpy()
    assert abs(weight).max() <= bound and abs(weight).max() > 0.98 * bound
    assert (attention.in_proj_bias == 0).all() and (attention.out_proj.bias == 0).all()
    assert abs(attention.out_proj.weight.detach().numpy()).max() <= 1 / np.sqrt(60)


def ones(*shape):
    return mg.ones(*shape)


@pytest.mark.parametrize(
    ("run", "error", "words"),
    [
        (lambda a: nn.MultiheadAttention(6, 4), ValueError, "multiple of num_heads, got 6, 4"),
        (lambda a: nn.MultiheadAttention(6, 2, add_zero_attn=True), NotImplementedError, "not supported"),
        (lambda a: a(ones(4, 3, 5), ones(4, 3, 6), ones(4, 3, 6)), RuntimeError, "must have 6, 6 and 6 features"),
        (lambda a: a(ones(4, 3, 6), ones(4, 6), ones(4, 6)), RuntimeError, "must all be 3-d"),
        (lambda a: a(ones(4, 3, 6), ones(5, 3, 6), ones(4, 3, 6)), RuntimeError, "key and value must agree"),
        (lambda a: a(ones(4, 3, 6), ones(4, 2, 6), ones(4, 2, 6)), RuntimeError, "query in batch size"),
        (lambda a: a(*[ones(4, 3, 6)] * 3, is_causal=True), RuntimeError, "attn_mask must be given"),
        (lambda a: a(*[ones(4, 3, 6)] * 3, attn_mask=ones(4, 5)), RuntimeError, r"attn_mask must have shape \(4, 4\)"),
        (lambda a: a(*[ones(4, 3, 6)] * 3, key_padding_mask=ones(4, 3)), RuntimeError, r"must have shape \(3, 4\)"),
        (lambda a: a(*[ones(4, 3, 6)] * 3, attn_mask=ones(4, 4).long()), RuntimeError, "bool or floating point"),
    ],
)
def test_bad_input(run, error, words):
    with pytest.raises(error, match=words):
        run(nn.MultiheadAttention(E, H))
