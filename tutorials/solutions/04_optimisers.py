"""Lesson 4, solved."""

# %% tags=["exercise-4.1"]
def limit(k):
    # |1 - rate * k| < 1 holds up to rate = 2 / k: the steepest direction sets the limit for all
    return 2 / k.max()


# %% tags=["exercise-4.2"]
def adam_step(p, g, m, v, t, rate=0.1, beta1=0.9, beta2=0.999, eps=1e-8):
    m = beta1 * m + (1 - beta1) * g  # which way, on average
    v = beta2 * v + (1 - beta2) * g * g  # how large, usually
    direction = m / (1 - beta1**t)  # the averages began at zero, and at step t only 1 - beta^t of them is filled
    size = np.sqrt(v / (1 - beta2**t))
    return p - rate * direction / (size + eps), m, v


# %% tags=["exercise-4.3"]
def adamw_step(p, g, m, v, t, rate=0.1, beta1=0.9, beta2=0.999, eps=1e-8, decay=0.3):
    shrunk = p * (1 - rate * decay)
    return adam_step(shrunk, g, m, v, t, rate, beta1, beta2, eps)  # g is the gradient alone: the decay is not in it


# %% tags=["exercise-4.4"]
def rate_at(step, steps, warmup, top):
    if step < warmup:
        return top * (step + 1) / warmup  # the first step moves, too
    u = (step - warmup) / (steps - warmup)
    return top * (1 + np.cos(np.pi * u)) / 2
