"""How the lessons draw: few lines, and colours that can be read on a white page and on a black one."""

from __future__ import annotations

import warnings
from typing import Any

GRAY, BLUE, ORANGE, GREEN, RED, PURPLE = "#7d8590", "#3b82c4", "#d9702b", "#2f9e6e", "#d1495b", "#8e6bbf"


def figure(rows: int = 1, columns: int = 1, width: float = 6, height: float = 3, **options: Any) -> tuple[Any, Any]:
    """`matplotlib.pyplot.subplots`, in the colours of the lessons; in a notebook the picture is an SVG.

    Args:
        rows, columns: how many pictures there are.
        width, height: of all together, in inches; above 6.5 the writing is too small on a phone.
        options: further ones of `subplots`.

    Returns:
        The figure and its axes.

    Raises:
        ModuleNotFoundError: matplotlib is not installed.
    """
    try:
        import matplotlib.pyplot as plt
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError("figure: needs matplotlib: pip install 'minigrad[learn]'") from error
    _prefer_svg()
    plt.rcParams.update(_style())  # not for this call only: ticks and titles take their colours when they are made
    return plt.subplots(rows, columns, figsize=(width, height), layout="constrained", **options)


def show() -> None:
    """`matplotlib.pyplot.show`, which says nothing where there is no screen to show anything on."""
    import matplotlib.pyplot as plt

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        plt.show()
    plt.close("all")


def _style() -> Any:
    from cycler import cycler

    gray = dict.fromkeys(
        ["text.color", "axes.edgecolor", "axes.labelcolor", "axes.titlecolor", "xtick.color", "ytick.color"], GRAY
    )
    return {
        **gray,
        "figure.facecolor": "none",
        "axes.facecolor": "none",
        "savefig.facecolor": "none",
        "legend.frameon": False,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.titlesize": "medium",
        "lines.linewidth": 1.8,
        "font.size": 11,
        "axes.prop_cycle": cycler(color=[BLUE, ORANGE, GREEN, RED, PURPLE, GRAY]),
    }


def _prefer_svg() -> None:
    """In Jupyter and on the site, draw as SVG."""
    try:
        from IPython import get_ipython
        from matplotlib_inline.backend_inline import set_matplotlib_formats
    except ModuleNotFoundError:
        return
    if get_ipython() is not None:
        set_matplotlib_formats("svg")
