"""Models as people write them for PyTorch, from their papers: the same source builds them in either engine.

Each module has

    build(torch)    the model and a function `start()`, which makes the optimizer and returns `step(*batch)`, one step of
                    training that returns its loss or losses
    batch(rng)      arrays for one step, tiny

where `torch` is PyTorch or minigrad. Nothing in them knows which.
"""
