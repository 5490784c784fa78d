"""What pyproject.toml cannot say: the top-level folders kernels/ and tutorials/ are installed inside minigrad.

Kernels stand beside the library, not in it, because they are read on their own: CUDA, C++ and fused loops, as a ladder
from the plain version to the fast one. So are the lessons, which `minigrad learn` copies for whoever takes them. The
packages are found rather than listed, so that a new folder is never forgotten; a folder is a package if it has an
__init__.py. Everything else about the build is in pyproject.toml.
"""

from setuptools import find_packages, setup

library, beside = find_packages(include=["minigrad*"]), find_packages(include=["kernels*", "tutorials*"])
setup(
    packages=[*library, *(f"minigrad.{name}" for name in beside)],
    package_dir={"minigrad.kernels": "kernels", "minigrad.tutorials": "tutorials"},
    package_data={
        "minigrad.kernels": [f"**/*.{kind}" for kind in ("cu", "cuh", "h", "cpp", "md")],
        "minigrad.tutorials": ["*.json"],  # what a lesson shows where its tools are missing
    },
)
