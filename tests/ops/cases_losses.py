"""Cases of activations and losses that have no rule of their own: what nn/ makes of operations."""

from __future__ import annotations

from .cases import I, Input, P, U, case

for name in ("mish", "tanhshrink", "selu", "celu", "hardswish", "hardshrink", "softshrink"):
    for shape in ((3, 4), (), (2, 0)):
        case(name, lambda t, x, f=name: getattr(t.nn.functional, f)(x), shape)
case("hardsigmoid", lambda t, x: t.nn.functional.hardsigmoid(x), (3, 4), tolerance=1e5)  # PyTorch divides in float32
case("threshold", lambda t, x: t.nn.functional.threshold(x, 0.2, 7.0), (3, 4))
case("rrelu", lambda t, x: t.nn.functional.rrelu(x, 0.2, 0.3), (3, 4))
case("prelu", lambda t, x, w: t.nn.functional.prelu(x, w), (2, 3, 4), (3,))
case("prelu", lambda t, x, w: t.nn.functional.prelu(x, w), (), (1,))
case("glu", lambda t, x: t.nn.functional.glu(x, 0), (4, 3))
case("softmax", lambda t, x: t.nn.Softmax2d()(x), (3, 2, 4))
for reduction in ("mean", "none"):
    r = reduction
    case("mse_loss", lambda t, x, y, w, r=r: t.nn.functional.mse_loss(x, y, weight=w, reduction=r), (3, 4), (3, 4), P(3, 4))
    case("l1_loss", lambda t, x, y, w, r=r: t.nn.functional.l1_loss(x, y, weight=w, reduction=r), (3, 4), (3, 4), P(3, 4))
    for full in (False, True):
        case(
            "gaussian_nll_loss",
            lambda t, x, y, v, r=r, f=full: t.nn.functional.gaussian_nll_loss(x, y, v, f, reduction=r),
            (3, 4), (3, 4), P(3, 1),
        )  # fmt: skip
        for log_input in (False, True):
            case(
                "poisson_nll_loss",
                lambda t, x, y, r=r, f=full, i=log_input: t.nn.functional.poisson_nll_loss(x, y, i, f, reduction=r),
                P(3, 4), Input((3, 4), "positive", grad=False),
            )  # fmt: skip
    case(
        "margin_ranking_loss",
        lambda t, x, y, s, r=r: t.nn.functional.margin_ranking_loss(x, y, (s > 0) * 2.0 - 1, 0.3, reduction=r),
        (3, 4), (3, 4), Input((3, 4), grad=False),
    )  # fmt: skip
    case(
        "hinge_embedding_loss",
        lambda t, x, s, r=r: t.nn.functional.hinge_embedding_loss(x, (s > 0) * 2.0 - 1, 0.3, reduction=r),
        (3, 4), Input((3, 4), grad=False),
    )  # fmt: skip
    case(
        "cosine_embedding_loss",
        lambda t, x, y, s, r=r: t.nn.functional.cosine_embedding_loss(x, y, (s > 0) * 2.0 - 1, 0.03, reduction=r),
        (3, 4), (3, 4), Input((3,), grad=False),
    )  # fmt: skip
    case(
        "triplet_margin_loss",
        lambda t, x, y, z, r=r: t.nn.functional.triplet_margin_loss(x, y, z, 1.5, swap=True, reduction=r),
        (3, 4), (3, 4), (3, 4),
    )  # fmt: skip
    case(
        "soft_margin_loss",
        lambda t, x, s, r=r: t.nn.functional.soft_margin_loss(x, (s > 0) * 2.0 - 1, reduction=r),
        (3, 4), Input((3, 4), grad=False),
    )  # fmt: skip
    case(
        "multi_margin_loss",
        lambda t, x, y, w, r=r: t.nn.functional.multi_margin_loss(x, y, 2, 0.7, w, reduction=r),
        (3, 5), I(3), Input((5,), "positive", grad=False),
    )  # fmt: skip
    case(
        "multilabel_soft_margin_loss",
        lambda t, x, y, r=r: t.nn.functional.multilabel_soft_margin_loss(x, y, reduction=r), (3, 5), U(3, 5),
    )  # fmt: skip
case("pairwise_distance", lambda t, x, y: t.nn.functional.pairwise_distance(x, y, 3.0), (3, 4), (4,))
