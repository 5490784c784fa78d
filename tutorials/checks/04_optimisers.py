"""Lesson 4: what its exercises should give, and the mistakes that are known."""

from __future__ import annotations

import math

import numpy as np

import minigrad as mg
from minigrad.learn import Exercise

rng = np.random.default_rng(404)

# ---------------------------------------------------------------------------------------------------------- 4.1 limit

limit = Exercise(
    "4.1", "limit", cases=[(np.array([25.0, 1.0]),), (np.array([0.7, 3.1, 1.9]),), (np.array([0.4]),)],
    nudges=[
        "One step multiplies theta_i by 1 - rate * k_i. When does that bring it closer to 0?",
        "When the factor is between -1 and 1. And it must be so for the steepest direction, too.",
    ],
)


@limit.right
def _(k):
    low, high = 0.0, 100.0
    for _ in range(80):  # try it: the largest rate at which no factor is above 1
        middle = (low + high) / 2
        if (abs(1 - middle * k) < 1).all():
            low = middle
        else:
            high = middle
    return low


@limit.wrong("At that rate the steepest direction arrives in a single step. One can go faster still, to and fro, and come closer all the same.")
def one_over_the_steepest(k):
    return 1 / k.max()


@limit.wrong("This is what the flattest direction allows. The steepest one has flown off long before.")
def two_over_the_flattest(k):
    return 2 / k.min()


@limit.wrong("The average direction does not help the steepest one: it must not fly off, either.")
def two_over_the_average(k):
    return 2 / k.mean()


@limit.wrong("The directions do not add up: each goes its own way, as if the others were not there. Which one is in danger first?")
def two_over_the_sum(k):
    return 2 / k.sum()


# ----------------------------------------------------------------------------------------------------- 4.2, 4.3 Adam

GRADIENTS = rng.normal(size=(5, 3)) * [0.02, 1.7, 30.0]
START = np.array([0.6, -1.3, 2.4])


def five_steps(answer, start, gradients, options):
    """Where five steps lead, and the averages at the end."""
    p, m, v = start, np.zeros(3), np.zeros(3)
    for t, g in enumerate(gradients, 1):
        p, m, v = answer(p, g, m, v, t, **options)
    return {"p": p, "m": m, "v": v}


def library(make):
    """What an optimizer of minigrad does in these steps."""

    def run(start, gradients, options):
        p = mg.tensor(start, requires_grad=True)
        optimizer = make(p, options)
        for g in gradients:
            p.grad = mg.tensor(g)
            optimizer.step()
        state = optimizer.state[p]
        return {"p": p, "m": state["exp_avg"], "v": state["exp_avg_sq"]}

    return run


adam_step = Exercise(
    "4.2", "adam_step", cases=[(START, GRADIENTS, {}), (START, GRADIENTS, {"rate": 0.03, "beta1": 0.8, "beta2": 0.95, "eps": 0.01})],
    nudges=[
        "Five lines, in the order of the formulas: m, v, m hat, v hat, p. The hats are new names: m and v themselves are returned without.",
        "t is a power: beta1**t.",
        "The root is of v hat alone; eps is added after it.",
    ],
)


@adam_step.observe
def _(answer, start, gradients, options):
    return answer(start, gradients, options) if answer is adam_reference else five_steps(answer, start, gradients, options)


adam_reference = adam_step.right(
    library(lambda p, o: mg.optim.Adam([p], lr=o.get("rate", 0.1), betas=(o.get("beta1", 0.9), o.get("beta2", 0.999)), eps=o.get("eps", 1e-8)))
)


@adam_step.wrong("v is computed and never used, and m is corrected twice: this is the formula from the wild that flies off. Divide by the root of v hat.")
def the_wild_formula(p, g, m, v, t, rate=0.1, beta1=0.9, beta2=0.999, eps=1e-8):
    m, v = beta1 * m + (1 - beta1) * g, beta2 * v + (1 - beta2) * g * g
    return p - rate / (np.sqrt(1 - beta2**t) * (1 - beta1**t)) * m / (1 - beta1**t), m, v


@adam_step.wrong("The bias correction is missing: at the beginning both averages are too small, and not equally so.")
def without_bias_correction(p, g, m, v, t, rate=0.1, beta1=0.9, beta2=0.999, eps=1e-8):
    m, v = beta1 * m + (1 - beta1) * g, beta2 * v + (1 - beta2) * g * g
    return p - rate * m / (np.sqrt(v) + eps), m, v


@adam_step.wrong("Only m is corrected. v begins at zero, too, and forgets even more slowly.")
def only_m_corrected(p, g, m, v, t, rate=0.1, beta1=0.9, beta2=0.999, eps=1e-8):
    m, v = beta1 * m + (1 - beta1) * g, beta2 * v + (1 - beta2) * g * g
    return p - rate * m / (1 - beta1**t) / (np.sqrt(v) + eps), m, v


@adam_step.wrong("You keep the corrected averages, so that they are corrected again in the next step. Keep m and v; the hats are for this step only.")
def corrected_again_and_again(p, g, m, v, t, rate=0.1, beta1=0.9, beta2=0.999, eps=1e-8):
    m = (beta1 * m + (1 - beta1) * g) / (1 - beta1**t)
    v = (beta2 * v + (1 - beta2) * g * g) / (1 - beta2**t)
    return p - rate * m / (np.sqrt(v) + eps), m, v


@adam_step.wrong("v is the average of the squared gradient, so it is the root of it that measures a size. The root is missing.")
def without_the_root(p, g, m, v, t, rate=0.1, beta1=0.9, beta2=0.999, eps=1e-8):
    m, v = beta1 * m + (1 - beta1) * g, beta2 * v + (1 - beta2) * g * g
    return p - rate * m / (1 - beta1**t) / (v / (1 - beta2**t) + eps), m, v


@adam_step.wrong("eps stands inside the root. It comes after it: sqrt(...) + eps. (With a tiny eps one never notices; with a larger one, one does.)")
def eps_inside_the_root(p, g, m, v, t, rate=0.1, beta1=0.9, beta2=0.999, eps=1e-8):
    m, v = beta1 * m + (1 - beta1) * g, beta2 * v + (1 - beta2) * g * g
    return p - rate * m / (1 - beta1**t) / np.sqrt(v / (1 - beta2**t) + eps), m, v


@adam_step.wrong("The two decay rates are swapped: the direction forgets faster than the size.")
def betas_swapped(p, g, m, v, t, rate=0.1, beta1=0.9, beta2=0.999, eps=1e-8):
    m, v = beta2 * m + (1 - beta2) * g, beta1 * v + (1 - beta1) * g * g
    return p - rate * m / (1 - beta2**t) / (np.sqrt(v / (1 - beta1**t)) + eps), m, v


@adam_step.wrong("The new gradient enters whole. In an average it has its part: 1 minus the decay rate.")
def gradient_enters_whole(p, g, m, v, t, rate=0.1, beta1=0.9, beta2=0.999, eps=1e-8):
    m, v = beta1 * m + g, beta2 * v + g * g
    return p - rate * m / (1 - beta1**t) / (np.sqrt(v / (1 - beta2**t)) + eps), m, v


@adam_step.wrong("You climb. The step goes against the gradient.")
def uphill(p, g, m, v, t, rate=0.1, beta1=0.9, beta2=0.999, eps=1e-8):
    m, v = beta1 * m + (1 - beta1) * g, beta2 * v + (1 - beta2) * g * g
    return p + rate * m / (1 - beta1**t) / (np.sqrt(v / (1 - beta2**t)) + eps), m, v


@adam_step.wrong("In the correction the number of the step is missing: as it stands, it is right for the first step only. 1 - beta to the power of t.")
def correction_without_t(p, g, m, v, t, rate=0.1, beta1=0.9, beta2=0.999, eps=1e-8):
    m, v = beta1 * m + (1 - beta1) * g, beta2 * v + (1 - beta2) * g * g
    return p - rate * m / (1 - beta1) / (np.sqrt(v / (1 - beta2)) + eps), m, v


adamw_step = Exercise(
    "4.3", "adamw_step", cases=[(START, GRADIENTS, {}), (START, GRADIENTS, {"rate": 0.03, "decay": 0.7})],
    nudges=[
        "Two lines: shrink p, then return what adam_step gives for it.",
        "The gradient that Adam gets is g, as it came.",
    ],
)


@adamw_step.observe
def _(answer, start, gradients, options):
    return answer(start, gradients, options) if answer is adamw_reference else five_steps(answer, start, gradients, options)


adamw_reference = adamw_step.right(library(lambda p, o: mg.optim.AdamW([p], lr=o.get("rate", 0.1), weight_decay=o.get("decay", 0.3))))


def adam(p, g, m, v, t, rate=0.1, beta1=0.9, beta2=0.999, eps=1e-8):
    m, v = beta1 * m + (1 - beta1) * g, beta2 * v + (1 - beta2) * g * g
    return p - rate * m / (1 - beta1**t) / (np.sqrt(v / (1 - beta2**t)) + eps), m, v


@adamw_step.wrong("The decay went through the gradient, so Adam divided it by the gradient's size. This is the coupled kind, Adam(weight_decay=...).")
def through_the_gradient(p, g, m, v, t, rate=0.1, beta1=0.9, beta2=0.999, eps=1e-8, decay=0.3):
    return adam(p, g + decay * p, m, v, t, rate, beta1, beta2, eps)


@adamw_step.wrong("The decay must be times the rate: when the rate falls towards zero, the decay shall, too.")
def decay_without_the_rate(p, g, m, v, t, rate=0.1, beta1=0.9, beta2=0.999, eps=1e-8, decay=0.3):
    return adam(p * (1 - decay), g, m, v, t, rate, beta1, beta2, eps)


@adamw_step.wrong("Nearly: you shrink the parameters after the step, and so the step itself. It is the parameters as they were that shrink.")
def shrunk_after_the_step(p, g, m, v, t, rate=0.1, beta1=0.9, beta2=0.999, eps=1e-8, decay=0.3):
    p, m, v = adam(p, g, m, v, t, rate, beta1, beta2, eps)
    return p * (1 - rate * decay), m, v


@adamw_step.wrong("The parameters grow in place of shrinking.")
def grows(p, g, m, v, t, rate=0.1, beta1=0.9, beta2=0.999, eps=1e-8, decay=0.3):
    return adam(p * (1 + rate * decay), g, m, v, t, rate, beta1, beta2, eps)


@adamw_step.wrong("This is Adam alone: nothing decays.")
def no_decay(p, g, m, v, t, rate=0.1, beta1=0.9, beta2=0.999, eps=1e-8, decay=0.3):
    return adam(p, g, m, v, t, rate, beta1, beta2, eps)


@adamw_step.wrong("All parameters lose the same amount here. Each shall lose a share of itself.")
def the_same_for_all(p, g, m, v, t, rate=0.1, beta1=0.9, beta2=0.999, eps=1e-8, decay=0.3):
    return adam(p - rate * decay, g, m, v, t, rate, beta1, beta2, eps)


# ------------------------------------------------------------------------------------------------------- 4.4 schedule

rate_at = Exercise(
    "4.4", "rate_at", cases=[(s, 50, 8, 0.3) for s in (0, 3, 7, 8, 19, 49)] + [(6, 21, 5, 1.7)],
    nudges=[
        "Two cases: is step below warmup, or not?",
        "In the second case, u = (step - warmup) / (steps - warmup). Python: math.cos(math.pi * u).",
    ],
)


@rate_at.right
def _(step, steps, warmup, top):
    rising = np.linspace(top / warmup, top, warmup)
    falling = top * np.cos(np.linspace(0, math.pi / 2, steps - warmup + 1)) ** 2  # the same curve, by another formula
    return float(np.concatenate([rising, falling])[step])


def wave(u, top):
    return top * (1 + math.cos(math.pi * u)) / 2


@rate_at.wrong("The first step has the rate 0, and does nothing: you count from 0. It shall have top / warmup.")
def begins_at_zero(step, steps, warmup, top):
    return top * step / warmup if step < warmup else wave((step - warmup) / (steps - warmup), top)


@rate_at.wrong("There is no warm-up here: the rate falls from the beginning.")
def no_warmup(step, steps, warmup, top):
    return wave(step / steps, top)


@rate_at.wrong("After the warm-up the wave must begin at its top: u counts from step warmup, not from step 0.")
def wave_counts_from_zero(step, steps, warmup, top):
    return top * (step + 1) / warmup if step < warmup else wave(step / steps, top)


@rate_at.wrong("The wave begins where it should, but it has only steps - warmup steps to come down.")
def wave_too_long(step, steps, warmup, top):
    return top * (step + 1) / warmup if step < warmup else wave((step - warmup) / steps, top)


@rate_at.wrong("The cosine goes from 1 to -1, and the rate becomes negative. It must be raised and halved.")
def negative_rates(step, steps, warmup, top):
    return top * (step + 1) / warmup if step < warmup else top * math.cos(math.pi * (step - warmup) / (steps - warmup))


@rate_at.wrong("The rate stays at the top after the warm-up. It shall fall.")
def stays_at_the_top(step, steps, warmup, top):
    return top * min(1.0, (step + 1) / warmup)


@rate_at.wrong("It falls along a straight line. Along half a wave it shall be slow at first, and slow at the end.")
def straight_line(step, steps, warmup, top):
    return top * (step + 1) / warmup if step < warmup else top * (1 - (step - warmup) / (steps - warmup))
