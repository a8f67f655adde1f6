"""Pictures of a training run."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping, Sequence
from itertools import cycle
from typing import Any

import numpy as np

from minigrad.errors import ShapeError
from minigrad.tensor import Tensor

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
    from matplotlib.ticker import EngFormatter

    figure, axes = _empty()
    for name, points in curves.items():
        style = "o-" if len(points) <= 50 else "-"
        xs, ys = [x for x, _ in points], [y for _, y in points]
        axes.plot(xs, ys, style, alpha=0.8, markersize=4, label=name)
    for (name, level), dashes in zip((levels or {}).items(), cycle(("--", ":", "-."))):
        axes.axhline(level, color="tab:gray", linestyle=dashes, label=name)
    axes.set(xlabel=xlabel, ylabel=ylabel)
    axes.xaxis.set_major_formatter(EngFormatter())
    axes.grid(alpha=0.3)
    if curves or levels:  # an empty legend is warned of
        axes.legend(frameon=False)
    figure.savefig(path, dpi=130, format="png")


def plot_bars(
    path: str | os.PathLike[str], bars: Mapping[str, Mapping[str, float]], ylabel: str
) -> None:
    """Draw groups of bars into a PNG file; needs matplotlib.

    Parameters
    ----------
    path : str or path-like
        The file to write.
    bars : mapping
        From names of series, such as models, to heights by group, such as the score of each class. A
        series may lack groups.
    ylabel : str
        What the heights are.

    Raises
    ------
    OSError
        If the file cannot be written.

    Examples
    --------
    >>> scores = {"forward": {"name": 0.8, "number": 0.9}, "both ways": {"name": 0.9, "number": 0.9}}
    >>> nn.training.plot_bars("scores.png", scores, "F1")
    """
    figure, axes = _empty()
    groups = list(dict.fromkeys(group for heights in bars.values() for group in heights))
    width = 0.8 / max(len(bars), 1)
    for number, (name, heights) in enumerate(bars.items()):
        places = [groups.index(group) + width * (number - (len(bars) - 1) / 2) for group in heights]
        axes.bar(places, list(heights.values()), 0.9 * width, label=name)
    axes.set_xticks(range(len(groups)), groups, rotation=30 if len(groups) > 6 else 0)
    axes.set_ylabel(ylabel)
    if bars:
        axes.legend(frameon=False, ncols=3, loc="lower left", bbox_to_anchor=(0, 1))
    figure.savefig(path, dpi=130, format="png")


def plot_attention(
    path: str | os.PathLike[str], weights: Any, source: Sequence[str], output: Sequence[str]
) -> None:
    """Draw what a decoder looked at into a PNG file; needs matplotlib.

    Characters that the font lacks become boxes.

    Parameters
    ----------
    path : str or path-like
        The file to write.
    weights : Tensor or array_like
        Shape (T, S): for each token that was written, the weight of each one that was read.
    source : sequence of str
        The S tokens that were read.
    output : sequence of str
        The T tokens that were written.

    Raises
    ------
    ShapeError
        If the weights have another shape.
    OSError
        If the file cannot be written.

    Examples
    --------
    >>> nn.training.plot_attention("attention.png", [[0.9, 0.1], [0.2, 0.8]], "ab", "xy")
    """
    values = np.asarray(weights.detach().cpu().numpy() if isinstance(weights, Tensor) else weights)
    if values.shape != (len(output), len(source)):
        raise ShapeError(
            f"plot_attention: the weights have shape {values.shape}; with these tokens it must be "
            f"({len(output)}, {len(source)})"
        )
    figure, axes = _empty()
    axes.imshow(values, cmap="Blues", vmin=0, aspect="auto")
    turned = 90 if max(map(len, source), default=0) > 2 else 0
    axes.set_xticks(range(len(source)), source, rotation=turned)
    axes.set_yticks(range(len(output)), output)
    axes.set(xlabel="read", ylabel="written")
    axes.tick_params(length=0)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from", UserWarning)
        figure.savefig(path, dpi=130, format="png")


def _empty() -> tuple[Any, Any]:
    """Return a figure, and its axes."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4.2), layout="constrained")
    axes = figure.subplots()
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes
