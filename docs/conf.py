"""Configuration of the documentation site: `make docs`. What is generated is made by the folder generate/."""

from __future__ import annotations

import os
import sys
from pathlib import Path

DOCS = Path(__file__).parent
ROOT = DOCS.parent
sys.path[:0] = [str(DOCS), str(ROOT)]

import generate  # noqa: E402 (found by the path that is set above)

import minigrad  # noqa: E402 (this tree, not an installed one)

# The kernels that run the lessons find this tree first, compute on one thread, and draw into the page.
os.environ.pop("MPLBACKEND", None)
os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
for pool in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(pool, "1")

# They say nothing of how they talk to Sphinx, and leave their history in the build.
profile = DOCS / "build" / "ipython" / "profile_default"
profile.mkdir(parents=True, exist_ok=True)
(profile / "ipython_kernel_config.py").write_text('c.IPKernelApp.log_level = "ERROR"\n')
os.environ["IPYTHONDIR"] = str(profile.parent)

project, author, release = "minigrad", "The minigrad authors", minigrad.__version__
copyright = "the minigrad authors, MIT licence"
language = "en"
extensions = ["myst_nb"]
exclude_patterns = ["README.md", "*.py", "build", "generate"]
source_suffix = {".md": "myst-nb", ".rst": "restructuredtext", ".py": "myst-nb"}

nb_custom_formats = {".py": ["jupytext.reads", {"fmt": "py:percent"}]}
nb_execution_mode = "off" if os.environ.get("LESSONS") == "off" else "force"
nb_execution_raise_on_error = True
nb_execution_timeout = 180  # seconds, for one cell
nb_merge_streams = True
nb_code_prompt_show = "Show the code of this picture"
nb_code_prompt_hide = "Hide the code"
myst_enable_extensions = ["amsmath", "colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3
suppress_warnings = ["mystnb.unknown_mime_type"]

html_theme = "sphinx_book_theme"
html_title = "minigrad"
html_static_path = ["static", "generated/static"]
html_css_files = ["minigrad.css"]
html_favicon = "static/favicon.svg"
html_theme_options = {
    "home_page_in_toc": True,
    "show_toc_level": 2,
    "secondary_sidebar_items": {"**": ["page-toc"], "generated/operations": [], "generated/names": [], "index": []},
    "use_download_button": False,
    "use_fullscreen_button": False,
    "navbar_persistent": [],
    "pygments_light_style": "a11y-high-contrast-light",
    "pygments_dark_style": "a11y-high-contrast-dark",
}
html_context = {"default_mode": "auto"}
html_sidebars = {"**": ["navbar-logo.html", "search-button-field.html", "sbt-sidebar-nav.html"]}
html_copy_source = html_show_sourcelink = False
python_maximum_signature_line_length = 100
add_module_names = True
toc_object_entries_show_parents = "hide"

# Formulas are set by a copy of MathJax within the site, so that it can be read without a network.
mathjax_path = "mathjax/tex-mml-chtml.js"
mathjax_options = {"defer": "defer"}


def setup(app):
    """Write the generated pages before Sphinx looks for its sources."""
    app.add_config_value("tree", "", "env")  # what is run and documented: all pages are made anew when it changes
    app.config["tree"] = generate.fingerprint(ROOT)
    app.connect("config-inited", lambda app, config: generate.pages(ROOT, DOCS / "generated"), priority=1)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
