"""What README and CONTRIBUTING say is so: examples run, and whatever they point to is there."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / name for name in ("README.md", "CONTRIBUTING.md")]
BLOCKS = [code for page in PAGES for code in re.findall(r"^```python\n(.*?)^```", page.read_text(), re.M | re.S)]
IN_PYTORCH = BLOCKS[0].replace("import minigrad as torch", "import torch")  # README says that this runs, too


@pytest.mark.parametrize("code", [*BLOCKS, IN_PYTORCH], ids=[f"block{i}" for i in range(len(BLOCKS))] + ["torch"])
def test_example_prints_what_it_says(code: str, tmp_path: Path):
    """Each block runs by itself, and prints what the comments behind its print lines say."""
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stderr
    assert run.stdout.splitlines() == re.findall(r"^print\(.*\)  # (.*)$", code, re.M)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_what_it_points_to_exists(page: Path):
    """Links, pictures, paths in backticks (but those that a run makes), and targets of make."""
    text = page.read_text()
    links = [link for link in re.findall(r"\]\(([^)#]+)", text) if "://" not in link]
    paths = [path for path in re.findall(r"`([\w.-]+/[\w./-]*)`", text) if not path.startswith("runs/")]
    assert links + paths
    missing = [path for path in links + paths if not (ROOT / path).exists()]
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.M))
    made = re.findall(r"(?:^|`)make ([a-z][\w-]*)", text, re.M)
    assert missing + [f"make {name}" for name in made if name not in targets] == []
