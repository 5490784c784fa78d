"""Runs and inspects the CUDA kernels on a machine that has no GPU.

What lives here: compiling with NVRTC, running the result on the CPU with every load and store checked, counting what
each line costs. What does not: the kernels (../cuda), and milliseconds: what comes from here is called "counted", and
times come from a real card only.
"""
