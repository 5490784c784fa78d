"""Fused loops for the CPU: one pass over memory where the formula takes several.

What lives here: a file per family of operations, compiled by numba if installed: pip install 'minigrad[fast]'.
What does not: anything that NumPy alone must have. Without numba minigrad computes the same results, more slowly.
"""
