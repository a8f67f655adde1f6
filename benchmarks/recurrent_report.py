"""What is published of the figures of the recurrent layers: a page, and a section of the README."""

import statistics

import char_lm
import recurrent_plot
import start
from measuring import ROOT
from recurrent_cases import CELLS, SIZES, STEP

DOCS = ROOT / "docs" / "recurrent_benchmarks.md"
PICTURE = DOCS.with_suffix(".svg")
README = ROOT / "README.md"
BEGIN = "<!-- recurrent benchmark: written by make bench -->"
END = "<!-- end of the recurrent benchmark -->"
OURS, MODEL = "minigrad", "LSTM"

# What is aimed at, for the sizes A to H: the time of the fastest other library divided by ours.
AIMS = {
    ("LSTM", "training"): (2.0, 1.3, 1.8, 1.4, 1.1, 3.3, 2.3, 1.35),
    ("GRU", "training"): (2.8, 3.3, 2.5, 1.8, 1.9, 4.3, 4.2, 3.5),
    ("RNN", "training"): (2.6, 2.9, 2.6, 2.0, 1.8, 4.0, 4.8, 2.2),
    ("LSTM", "inference"): (1.3, 1.15, 1.2, 1.15, 1.0, 1.6, 1.4, 1.35),
    ("GRU", "inference"): (2.1, 2.0, 1.6, 1.4, 1.2, 3.6, 2.0, 3.3),
    ("RNN", "inference"): (1.9, 2.5, 2.4, 2.5, 2.0, 2.7, 3.2, 3.4),
}
DUE = 0.9  # of each aim
LIMITS = {"full lengths": 1.05, "ragged lengths": 1.15, "bidirectional": 1.05}
STREAMING = 12e-6  # seconds
SHARE = 0.8  # of the peak, in training, for the sizes:
WIDE = [name for name, (_, N, D, H) in SIZES.items() if N >= 32 and H >= 128 and D >= 128]


# figures


def rows_of(report, cell, mode):
    return [row for row in report.get("table", []) if (row["cell"], row["mode"]) == (cell, mode)]


def rivals(row):
    """Return the ratios of the other libraries to ours, of those that were timed."""
    return {
        name: figure["ratio"]
        for name, figure in row["figures"].items()
        if "ratio" in figure and not name.startswith(OURS)
    }


def fastest(row):
    """Return the name of the fastest other library and its ratio, or None."""
    ratios = rivals(row)
    return min(ratios.items(), key=lambda item: item[1]) if ratios else None


def share(row):
    """Return our share of the peak, or None."""
    ours = row["figures"][OURS]
    if "median" not in ours or not row["peak"]:
        return None
    return row["operations"] / ours["median"] / row["peak"]


# text


def shown_time(seconds):
    if seconds < 1e-4:
        return f"{seconds * 1e6:.1f} µs"
    if seconds < 1e-3:
        return f"{seconds * 1e6:.0f} µs"
    return f"{seconds * 1e3:.3g} ms" if seconds < 0.9995 else f"{seconds:.2f} s"


def shown_figure(figure):
    """Return one entry of a table."""
    if figure is None:
        return ""
    if "failed" in figure:
        return "missing" if "not installed" in figure["failed"] else "failed"
    if "median" not in figure:
        return "not timed"
    ratio = f" ({figure['ratio']:.2f}x)" if "ratio" in figure else ""
    return shown_time(figure["median"]) + ratio


def markdown(head, rows):
    lines = ["| " + " | ".join(head) + " |", "|:--|" + "--:|" * (len(head) - 1)]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows])


def cell_tables(report):
    """Return a heading and a table for each cell and mode."""
    parts = []
    for cell in CELLS:
        for mode in ("inference", "training", STEP):
            if rows := rows_of(report, cell, mode):
                parts += [f"### {cell}, {mode}", "", cell_table(rows), ""]
    return "\n".join(parts)


def cell_table(rows):
    names = list(dict.fromkeys(name for row in rows for name in row["figures"] if name != OURS))
    lines = []
    for row in rows:
        part = share(row)
        ours = row["figures"][OURS]
        shown = shown_time(ours["median"]) if "median" in ours else "failed"
        note = " (interpreted)" if "said" in ours else ""
        lines.append(
            [
                f"{row['size']} {tuple(row['shape'])}",
                shown + note,
                "" if part is None else f"{part:.0%}",
                *(shown_figure(row["figures"].get(name)) for name in names),
            ]
        )
    return markdown(["size (T, N, D, H)", OURS, "of the peak", *names], lines)


def special_table(report):
    rows = []
    for row in report.get("special", []):
        figures, special = row["figures"], row["special"]
        figure = figures[special]
        cost = f"{figure['ratio'] / row['work']:.3f}" if "ratio" in figure else "failed"
        rows.append(
            [
                f"{row['cell']}, {row['mode']}, {row['size']}: {special}",
                shown_figure(figures[row["measure"]] | {"ratio": 1.0}),
                shown_figure(figure),
                f"{row['work']:.2f}",
                cost,
            ]
        )
    return markdown(["", "compared with", "time", "steps that are real", "cost of one"], rows)


def memory_table(report):
    rows = []
    for row in report.get("memory", []):
        sizes = row["figures"]
        shown = {
            name: "failed" if size is None else f"{size / 2**20:.0f} MiB"
            for name, size in sizes.items()
        }
        theirs = shown.get("PyTorch", "missing")
        if sizes.get("PyTorch") and sizes[OURS]:
            theirs += f" ({sizes['PyTorch'] / sizes[OURS]:.2f}x)"
        rows.append([f"{row['cell']}, {row['size']} {tuple(row['shape'])}", shown[OURS], theirs])
    return markdown(["training step", OURS, "PyTorch"], rows)


def start_table(report):
    seconds = report.get("start", {})
    rows = [
        [meaning, f"{seconds[name]:.2f}"]
        for name, (meaning, _) in start.MEANINGS.items()
        if seconds
    ]
    return markdown(["first training step", "seconds"], rows)


def compilation(report):
    """Say how long the first call took where PyTorch compiles a whole loop."""
    peer, lines = "PyTorch compiled loop", []
    for row in report.get("table", []):
        first = {
            name: row["figures"][name]["first"]
            for name in (OURS, peer)
            if "first" in row["figures"].get(name, {})
        }
        if len(first) == 2:
            seconds = ", ".join(f"{name} {value:.2f} s" for name, value in first.items())
            lines.append(f"- {row['cell']}, {row['mode']}, {row['size']}: {seconds}")
    return "\n".join(lines) or "PyTorch's compiled loop was not measured."


# aims


def aims(report):
    """Yield (what, what was reached, what is due, whether that is enough), for each aim measured."""
    letters = [name for name in SIZES if len(name) == 1]
    for (cell, mode), wanted in AIMS.items():
        due = {size: DUE * ratio for size, ratio in zip(letters, wanted, strict=True)}
        for row in rows_of(report, cell, mode):
            if row["size"] in due and (rival := fastest(row)):
                yield _at_least(f"{_name(row)}: times {rival[0]}", rival[1], due[row["size"]])
    for row in report.get("table", []):
        ours, figures = row["figures"][OURS], row["figures"]
        if row["cell"] == "custom":
            for name in ("PyTorch loop", "PyTorch compiled loop"):
                if "ratio" in figures.get(name, {}):
                    yield _at_least(f"{_name(row)}: times {name}", figures[name]["ratio"], 3)
            model = figures.get(f"{OURS} {MODEL}", {})
            if "ratio" in model:
                what = f"{_name(row)}: time, in that of our {MODEL}"
                yield _at_most(what, 1 / model["ratio"], 1.15)
        if row["mode"] == STEP and "median" in ours:
            yield _at_most(f"{_name(row)}: µs", ours["median"] * 1e6, STREAMING * 1e6)
        if row["mode"] == "training" and row["size"] in WIDE and (part := share(row)):
            yield _at_least(f"{_name(row)}: share of the peak", part, SHARE)
    for row in report.get("special", []):
        special = row["special"]
        figure = row["figures"][special]
        if "ratio" in figure:
            what = f"{_name(row)}: {special}, cost"
            yield _at_most(what, figure["ratio"] / row["work"], LIMITS[special])
    for name, seconds in report.get("start", {}).items():
        meaning, most = start.MEANINGS[name]
        yield _at_most(f"first training step: {meaning}, s", seconds, most)
    figures = report.get("char_lm", {"figures": {}})["figures"]
    for name, least in ((char_lm.REFERENCE, 5), (char_lm.PYTORCH, 1)):
        if "ratio" in figures.get(name, {}):
            yield _at_least(f"char_lm: times {name}", figures[name]["ratio"], least)


def _name(row):
    return f"{row['cell']}, {row['mode']}, {row['size']}"


def _at_least(what, reached, due):
    return what, reached, f"at least {due:.3g}", reached >= due


def _at_most(what, reached, due):
    return what, reached, f"at most {due:.3g}", reached <= due


def aims_text(report):
    found = list(aims(report))
    missed = [[what, f"{value:.2f}", due] for what, value, due, enough in found if not enough]
    text = f"{len(found) - len(missed)} of {len(found)} are reached."
    return text + ("\n\n" + markdown(["missed", "reached", "due"], missed) if missed else "")


def losses(report):
    """List every case in which another library is faster, or was not timed."""
    lines = []
    for row in report.get("table", []):
        slower = [f"{name} ({ratio:.2f}x)" for name, ratio in rivals(row).items() if ratio < 1]
        if slower:
            lines.append(f"- {_name(row)}: {', '.join(slower)}")
        for name, figure in row["figures"].items():
            if "failed" in figure:
                lines.append(f"- {_name(row)}: {name} was not timed: {figure['failed']}")
            if "said" in figure:
                lines.append(f"- {_name(row)}: {name} said: {figure['said'][0]}")
    return "\n".join(lines) or "Nowhere, against the libraries measured here."


def spread(report):
    """Return the spread of the rounds of each figure: widest less narrowest, in its median."""
    return [
        (max(figure["rounds"]) - min(figure["rounds"])) / figure["median"]
        for row in report.get("table", [])
        for figure in row["figures"].values()
        if "median" in figure
    ] or [0.0]


# what is written

PAGE = """<!-- Written by "make bench ARGS=--write-docs" from results/recurrent.json: do not edit -->

# Benchmarks of the recurrent layers

`make bench` measures minigrad side by side with its peers and writes the figures to
`benchmarks/results/recurrent.json`; `make bench ARGS=--write-docs` also writes this page, its picture
and a section of the README.

| | |
|:--|:--|
| Machine | {machine} |
| Peak | {peak:.0f} billion operations a second in float32, reached by our own microkernel |
| Versions | {versions} |
| Missing | {missing} |
| Commit | {commit}, {date} |
| Threads | {threads} for every library |
| Load of the machine | {load} (more than the threads means that other work disturbed it) |
| Rounds | {rounds} at most; each figure is the median |
| Waiting | {waited} s in all: a round begins when the peak is about the best so far |
| Spread | the rounds of a figure lie {spread:.0%} apart in the middle case, {widest:.0%} at most |

Everything is float32 and goes through the public layers: `nn.LSTM`, `nn.GRU`, `nn.RNN`, and
`nn.Recurrent` with two cells of the benchmark's own. *Inference* is a call without the tape; a
*training step* is a call, and a backward pass with the gradients of the input and of all parameters;
a *streaming step* is one time step of one sequence from a kept state. Sizes are (T, N, D, H): steps,
sequences, width of the input, width of the state.

Each library has a process of its own. The processes take turns in a random order, with pauses. Ratios
are taken within a round. All must compute the same numbers first. *PyTorch* is `torch.nn`, *PyTorch
loop* the cell as a Python loop, *PyTorch compiled loop* that loop under `torch.compile`, for short
sequences only. *JAX* is `lax.scan` under `jit`, with the product of the input before the loop and
weights as (in, out). A number in brackets is the peer's time in ours: above 1 we are ahead.

*custom* is a cell of ten lines with the products, gates and states of the LSTM; beside it stands our
LSTM. *GRU reset before* resets the state before the product, as MyGrad does.

![the time of the peers divided by ours]({picture})

## Time

{tables}
## The first call

In fresh processes, with an empty cache and then with what is kept there:

{start}

The first call of a loop that PyTorch compiles as a whole, beside ours, which may have been in the cache:

{compilation}

## Special cases

What a layer costs with lengths, and in both directions beside two runs in one direction. The last
column is the ratio of the times, for each step that is real.

{special}

## Memory

The highest resident set during one training step less the one before it, when inputs and weights are
there already, in a fresh process that has made a tiny step before.

{memory}

## A whole program

`examples/char_lm.py` at its defaults: the whole update, with embedding, readout, loss, clipping and
Adam.

{char_lm}

## The aims

{aims}

## Where we lose, and what was not timed

{losses}
"""


README_SECTION = """\
## Speed

How many times our time the fastest other library needs: PyTorch, JAX or onnxruntime; for a cell of \
your own a loop in PyTorch or JAX; for the GRU that resets before its product MyGrad or onnxruntime. \
Measured side by side with {threads} threads in float32 on {machine}. In bold where we are slower.

{table}

{sizes}: steps, sequences, widths of input and state. [All figures]({page}), with memory, streaming \
and special cases.

![the time of the peers divided by ours]({picture})"""


def page(report):
    """Return docs/recurrent_benchmarks.md for a report."""
    apart = spread(report)
    return PAGE.format(
        **{key: report[key] for key in ("machine", "commit", "date", "threads", "load", "rounds")},
        peak=statistics.median([row["peak"] / 1e9 for row in report.get("table", [])] or [0]),
        versions=", ".join(f"{name} {number}" for name, number in report["versions"].items()),
        missing=", ".join(report["missing"]) or "nothing",
        waited=report.get("waited", 0),
        spread=statistics.median(apart),
        widest=max(apart),
        picture=PICTURE.name,
        tables=cell_tables(report),
        start=start_table(report),
        compilation=compilation(report),
        special=special_table(report),
        memory=memory_table(report),
        char_lm="\n".join(char_lm.lines(report["char_lm"])) if "char_lm" in report else "",
        aims=aims_text(report),
        losses=losses(report),
    )


def section(report):
    """Return what stands in the README between its two marks."""
    letters = [name for name in SIZES if len(name) == 1]
    rows = []
    for cell in CELLS:
        for mode in ("training", "inference"):
            found = {row["size"]: fastest(row) for row in rows_of(report, cell, mode)}
            if found:
                rows.append([f"{cell}, {mode}", *(_entry(found.get(size)) for size in letters)])
    return README_SECTION.format(
        threads=report["threads"],
        machine=report["machine"],
        table=markdown(["", *letters], rows),
        sizes="; ".join(f"{name} {SIZES[name]}" for name in letters),
        page=DOCS.relative_to(ROOT).as_posix(),
        picture=PICTURE.relative_to(ROOT).as_posix(),
    )


def _entry(rival):
    if rival is None:
        return ""
    return f"{rival[1]:.2f}" if rival[1] >= 1 else f"**{rival[1]:.2f}**"


def with_section(readme, report):
    """Return the text of a README with the section of this report."""
    before, begin, rest = readme.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise SystemExit(
            f"the README has no section between {BEGIN!r} and {END!r}; add the two lines"
        )
    return f"{before}{BEGIN}\n\n{section(report)}\n\n{END}{after}"


def write(report):
    """Write the page, its picture and the section of the README."""
    DOCS.write_text(page(report))
    recurrent_plot.draw(report, PICTURE)
    README.write_text(with_section(README.read_text(), report))


def check(report):
    """Refuse a page or a README that says something else than the figures."""
    readme = README.read_text()
    wrong = [
        path.name
        for path, agrees in (
            (DOCS, DOCS.exists() and DOCS.read_text() == page(report)),
            (README, readme == with_section(readme, report)),
        )
        if not agrees
    ]
    if wrong:
        raise SystemExit(
            f"{' and '.join(wrong)} differ from the figures; write them again: "
            "python benchmarks/recurrent.py --no-run --write-docs"
        )
