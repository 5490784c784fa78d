"""What pyproject.toml cannot say: the top-level folder kernels/ is installed as the package minigrad.kernels.

Kernels stand beside the library, not in it, because they are read on their own: CUDA, C++ and fused loops, as a ladder
from the plain version to the fast one. The packages are found rather than listed, so that a new folder is never
forgotten; a folder is a package if it has an __init__.py. Everything else about the build is in pyproject.toml.
"""

from setuptools import find_packages, setup

library, kernels = find_packages(include=["minigrad*"]), find_packages(include=["kernels*"])
setup(
    packages=[*library, *(f"minigrad.{name}" for name in kernels)],
    package_dir={"minigrad.kernels": "kernels"},
    package_data={"minigrad.kernels": [f"**/*.{kind}" for kind in ("cu", "cuh", "h", "cpp", "md")]},
)
