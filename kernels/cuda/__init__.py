"""CUDA C kernels, and the launcher that starts them.

What lives here: one `.cu` file per operation, each a ladder from the plain kernel to the fast one; beside it a module
of the same name that declares its kernels and offers them as functions of arrays; and the launcher. What does not: the
formulas, which stand in minigrad/ops; anything that knows of tensors; the simulator, which runs these kernels without a
GPU.
"""
