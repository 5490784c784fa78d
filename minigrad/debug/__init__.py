"""Tools for finding out what went wrong and what takes long: gradient checks, anomaly mode, the profiler.

What lives here is for people at work on a model. Nothing in the library depends on it.
"""

from .profiler import profile

__all__ = ["profile"]
