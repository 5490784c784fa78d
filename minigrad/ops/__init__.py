"""The formula sheets: every operation with its derivative, by family.

What lives here: functions of tensors. A primitive has derivative rules (see op.py); everything else is a plain function
of other operations. What does not: layers (nn), kernels (the top-level folder kernels/), anything that keeps state.
"""
