"""The picture of the figures of the recurrent layers."""

from recurrent_cases import CELLS, SIZES

LETTERS = [name for name in SIZES if len(name) == 1]
MARKS = {
    "PyTorch": ("C0", "o"),
    "PyTorch loop": ("C1", "s"),
    "PyTorch compiled loop": ("C2", "D"),
    "JAX": ("C3", "^"),
    "onnxruntime": ("C4", "v"),
    "MyGrad": ("C5", "P"),
}


def draw(report, path):
    """Draw, for each cell and mode, the times of the peers divided by ours over the sizes."""
    import matplotlib

    matplotlib.use("agg")
    matplotlib.rcParams["svg.hashsalt"] = "minigrad"  # the same figures make the same file
    from matplotlib import pyplot

    modes = ("training", "inference")
    figure, axes = pyplot.subplots(
        len(modes), len(CELLS), figsize=(14, 6), sharex=True, sharey=True, layout="constrained"
    )
    for row, mode in zip(axes, modes, strict=True):
        for panel, cell in zip(row, CELLS, strict=True):
            panel.axhline(1, color="black", linewidth=1)
            panel.set_title(f"{cell}, {mode}", fontsize="medium")
            panel.set_yscale("log")
            panel.set_xlim(-0.5, len(LETTERS) - 0.5)
            panel.grid(visible=True, axis="y", alpha=0.3)
            for peer, (color, marker) in MARKS.items():
                points = _points(report, cell, mode, peer)
                panel.plot(*points, marker, color=color, label=peer)
            panel.set_xticks(range(len(LETTERS)), LETTERS)
        row[0].set_ylabel("time of the peer ÷ ours")
    handles, labels = axes[0][0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(MARKS))
    figure.savefig(path, metadata={"Date": None})
    pyplot.close(figure)


def _points(report, cell, mode, peer):
    found = [
        (LETTERS.index(row["size"]), row["figures"][peer]["ratio"])
        for row in report.get("table", [])
        if (row["cell"], row["mode"]) == (cell, mode)
        and row["size"] in LETTERS
        and "ratio" in row["figures"].get(peer, {})
    ]
    return [place for place, _ in found], [ratio for _, ratio in found]
