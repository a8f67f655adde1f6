"""Time one training step of the networks of examples beside the same networks in PyTorch.

Each library has a process of its own. The processes take turns in a random order, with pauses. Before
they are timed, both must compute the same losses and gradients, without dropout.
"""

import argparse
import datetime
import functools
import importlib.metadata
import importlib.util
import json
import os
import warnings
from pathlib import Path

from measuring import ROOT, commit, machine, say
from racing import race, typical
from recurrent_report import markdown, shown_figure
from workers import processes

RESULTS = ROOT / "benchmarks" / "results" / "steps.json"
DOCS = ROOT / "docs" / "step_benchmarks.md"
CASES = ("word_lm", "sentiment", "date_translation")
OURS, PYTORCH = "minigrad", "PyTorch"
PAUSE = 0.15  # seconds, as for the recurrent layers
UPDATES = 3  # losses that are compared


def library(threads, name):
    """Return what answers the orders for a library: ``(task, example, tiny)``."""
    if name == OURS:
        from step_ours import Ours as Network
    else:
        import torch
        from step_peers import PyTorch as Network

        torch.set_num_threads(threads)
    networks = {}

    def answer(task, example, tiny):
        if task == "prepare":
            with warnings.catch_warnings(record=True) as said:
                warnings.simplefilter("always")
                arrays = results(Network(example, tiny=tiny, dropout=0.0))
                networks[example] = Network(example, tiny=tiny)
                networks[example].update()
            told = {"shape": networks[example].shape}
            if said:  # by a loop that is not compiled, for instance
                told["said"] = [str(warning.message).splitlines()[0] for warning in said]
            return told, arrays
        return typical(networks[example].update)

    return answer


def results(network):
    """Return what two libraries must agree on: losses of some updates, gradients of the first."""
    losses = [network.update()]
    gradients = network.gradients()
    arrays = [gradients[name].copy() for name in sorted(gradients)]
    losses += [network.update() for _ in range(UPDATES - 1)]
    return [losses, *arrays]


def measure(threads, rounds, tiny):
    """Return the report of a run."""
    names = [OURS, *([PYTORCH] if installed() else [])]
    report = {
        "machine": machine(),
        "versions": {name: importlib.metadata.version(name) for name in packages()},
        "commit": commit(),
        "date": datetime.date.today().isoformat(),
        "threads": threads,
        "rounds": rounds,
        "table": {},
    }
    start, usual = functools.partial(library, threads), {"OPENBLAS_NUM_THREADS": "1"}
    with processes(start, names, threads=threads, pause=PAUSE, environment=usual) as ask:
        for example in CASES:
            say(example)
            order = example, tiny
            contenders = {
                name: tuple(
                    functools.partial(ask, name, task, *order) for task in ("prepare", "time")
                )
                for name in names
            }
            figures = race(contenders, rounds)
            if not installed():
                figures[PYTORCH] = {"failed": "torch is not installed; make bench installs it"}
            report["table"][example] = figures
    return report | {"load": round(os.getloadavg()[1], 1)}  # over five minutes


def installed():
    """Tell whether PyTorch can be measured."""
    return importlib.util.find_spec("torch") is not None


def packages():
    return ["minigrad", "numpy", "numba", *(["torch"] if installed() else [])]


PAGE = """<!-- Written by "make bench ARGS=--write-docs" from results/steps.json: do not edit -->

# Benchmarks of whole training steps

One update of the networks of [the examples](../examples/README.md) at their default sizes, beside the
same networks in PyTorch: forward, loss, backward, clipping of the gradients, Adam, in float32.
`python benchmarks/steps.py --write-docs` measures it in some minutes, and writes this page.

| | |
|:--|:--|
| Machine | {machine} |
| Versions | {versions} |
| Commit | {commit}, {date} |
| Threads | {threads} for each library |
| Load of the machine | {load} (more than the threads means that other work disturbed it) |
| Rounds | {rounds} at most; each figure is the median |

Each library has a process of its own. The processes take turns in a random order, with pauses. Ratios
are taken within a round. Both must compute the same losses and gradients first, without dropout; the
timed steps drop as the example does. Ours is the class and the loss of the example, updated by the loop
of `nn.training.fit`. A number in brackets is PyTorch's time in ours: above 1 we are ahead.

{table}

## Where we lose, and what was not timed

{losses}
"""


def page(report):
    """Return docs/step_benchmarks.md for a report."""
    rows, losses = [], []
    for example, figures in report["table"].items():
        ours, theirs = figures[OURS], figures[PYTORCH]
        own = {name: value for name, value in ours.items() if name != "ratio"}
        rows.append([f"`{example}`: {ours.get('shape')}", shown_figure(own), shown_figure(theirs)])
        if theirs.get("ratio", 1) < 1:
            losses.append(f"- {example}: PyTorch ({theirs['ratio']:.2f}x)")
        for name, figure in figures.items():
            if "failed" in figure:
                losses.append(f"- {example}: {name} was not timed: {figure['failed']}")
            if "said" in figure:
                losses.append(f"- {example}: {name} said: {figure['said'][0]}")
    return PAGE.format(
        **{key: report[key] for key in ("machine", "commit", "date", "threads", "load", "rounds")},
        versions=", ".join(f"{name} {number}" for name, number in report["versions"].items()),
        table=markdown(["training step", OURS, PYTORCH], rows),
        losses="\n".join(losses) or "Nowhere.",
    )


def main(arguments=None):
    """Measure, print the page, and write the JSON and the page if asked to."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="tiny networks; writes no results")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument(
        "--output", type=Path, help=f"JSON file (default {RESULTS.name}, not if quick)"
    )
    parser.add_argument("--write-docs", action="store_true", help=f"write docs/{DOCS.name}")
    parser.add_argument("--no-run", action="store_true", help="measure nothing: use the JSON file")
    chosen = parser.parse_args(arguments)
    if chosen.quick and chosen.write_docs:
        parser.error("--write-docs needs the figures of a whole run; leave out --quick")
    output = chosen.output or (None if chosen.quick else RESULTS)
    if chosen.no_run:
        report = json.loads((output or RESULTS).read_text())
    else:
        report = measure(chosen.threads, *((2, True) if chosen.quick else (15, False)))
        if output:
            output.write_text(json.dumps(report, indent=1) + "\n")
    print(page(report))
    if chosen.write_docs:
        DOCS.write_text(page(report))


if __name__ == "__main__":
    raise SystemExit(main())
