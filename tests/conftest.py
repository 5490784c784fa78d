"""What all tests share: one thread per worker, repeatable hypothesis, and the reason why a GPU test is skipped."""

from __future__ import annotations

import os

# Tests run in several processes (see pyproject.toml), and threads on top of that would only get into each other's way.
# NumPy and torch read this when they are imported, so it comes first.
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

import pytest
from hypothesis import HealthCheck, settings

# A test that fails here must fail there, so the examples are the same everywhere and always. To look for new ones:
# pytest --hypothesis-profile=explore -n0 tests/...
settings.register_profile("repeatable", derandomize=True, deadline=None, max_examples=25)
settings.register_profile("explore", deadline=None, max_examples=1000, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("repeatable")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    gpu = [item for item in items if item.get_closest_marker("gpu")]
    if not gpu:
        return
    from minigrad.backend import cuda_problem

    if problem := cuda_problem():
        for item in gpu:
            item.add_marker(pytest.mark.skip(reason=problem))
