"""Kernels: the same operations, written for speed. Installed as `minigrad.kernels`.

What lives here: functions of arrays that do what an operation of minigrad/ops does, faster: fused loops for the CPU
(cpu/), CUDA C (cuda/), and a simulator that runs and counts the CUDA kernels without a GPU (simulator/). Each is told
as a ladder, from the plain version to the fast one, with the reason for each step.
What does not: the formulas. They are in minigrad/ops, run wherever no kernel applies, and are what every kernel is
tested against. Nothing here knows of Tensors or of the graph.
"""
