"""Tools for finding out what went wrong: gradient checks, and more to come (graph drawing, profiler).

What lives here is for people at work on a model. Nothing in the library depends on it.
"""
