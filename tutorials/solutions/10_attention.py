"""Lesson 10, solved."""

# %% tags=["exercise-10.1"]
def embed(vectors):
    n, d = vectors.shape
    angles = np.arange(n)[:, None] / 10000 ** (np.arange(0, d, 2) / d)  # places down, pairs of columns to the right
    result = vectors * math.sqrt(d)  # up to the size of the waves, and only then are these added
    result[:, 0::2] += np.sin(angles)
    result[:, 1::2] += np.cos(angles)
    return result


# %% tags=["exercise-10.2"]
def may_see(lengths, n):
    place = np.arange(n)
    not_ahead = place[None, :] <= place[:, None]  # j <= i
    real = place[None, :] < np.asarray(lengths)[:, None]  # it is who is seen that must be real, so this is about j
    return not_ahead[None, :, :] & real[:, None, :]


# %% tags=["exercise-10.3"]
def split_heads(x, heads):
    texts, places, width = x.shape
    # Reshaping may only cut an axis in two, never carry numbers from one to another: cut the columns first,
    # then move the axis of the heads to where it is wanted.
    return x.reshape(texts, places, heads, width // heads).transpose(0, 2, 1, 3)


# %% tags=["exercise-10.4"]
def attention_backward(q, k, v, g):
    scale = 1 / math.sqrt(q.shape[1])
    scores = q @ k.T * scale
    w = np.exp(scores - scores.max(1, keepdims=True))
    w /= w.sum(1, keepdims=True)
    u = g @ v.T  # the result is w @ v
    s = w * (u - (w * u).sum(1, keepdims=True))  # through the softmax, row by row
    return s @ k * scale, s.T @ q * scale, w.T @ g
