"""Pictures of a training run."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from itertools import cycle

Points = Sequence[tuple[float, float]]


def plot_curves(
    path: str | os.PathLike[str],
    curves: Mapping[str, Points],
    xlabel: str,
    ylabel: str,
    levels: Mapping[str, float] | None = None,
) -> None:
    """Draw curves into a PNG file; needs matplotlib.

    Parameters
    ----------
    path : str or path-like
        The file to write.
    curves : mapping
        From names to points (x, y). Curves of up to 50 points get markers.
    xlabel : str
        What the horizontal axis shows.
    ylabel : str
        What the vertical axis shows.
    levels : mapping, optional
        From names to the heights of dashed lines, for scores to compare with.

    Raises
    ------
    OSError
        If the file cannot be written.

    Examples
    --------
    >>> nn.training.plot_curves("loss.png", {"training": [(0, 3.0), (1, 2.0)]}, "epoch", "loss")
    """
    from matplotlib.figure import Figure
    from matplotlib.ticker import EngFormatter

    figure = Figure(figsize=(7, 4.2), layout="constrained")
    axes = figure.subplots()
    for name, points in curves.items():
        style = "o-" if len(points) <= 50 else "-"
        xs, ys = [x for x, _ in points], [y for _, y in points]
        axes.plot(xs, ys, style, alpha=0.8, markersize=4, label=name)
    for (name, level), dashes in zip((levels or {}).items(), cycle(("--", ":", "-."))):
        axes.axhline(level, color="tab:gray", linestyle=dashes, label=name)
    axes.set(xlabel=xlabel, ylabel=ylabel)
    axes.xaxis.set_major_formatter(EngFormatter())
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.3)
    axes.legend(frameon=False)
    figure.savefig(path, dpi=130, format="png")
