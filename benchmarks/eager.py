"""Time the eager engine side by side with its peers: ``make bench``.

Each library lives in a process of its own, so that no thread pool and no allocator disturbs another
one's. The processes wait for orders and work one at a time, in a new random order each round, with
pauses between them. Before anything is timed, all libraries must agree on the numbers.
"""

import argparse
import datetime
import json
import math
import os
import random
import statistics
import time
from pathlib import Path

import peers
from measuring import ROOT, commit, machine, memory_growth, say
from workers import processes

RESULTS = ROOT / "benchmarks" / "results" / "eager.json"
DOCS = ROOT / "docs" / "benchmarks.md"
OURS = "minigrad"
FLOOR = "NumPy alone"
PAUSE = 0.02  # seconds between two libraries

CHAIN = 1000
BATCH = 64
# name: (what to build, its arguments, steps in each round)
TIMED = {
    "chain, all operands tracked": ("chain", (10, CHAIN, True), 15),
    "chain, one operand tracked": ("chain", (10, CHAIN, False), 15),
    **{
        f"network, width {width}": ("network", (width, 2, BATCH), steps)
        for width, steps in ((16, 60), (64, 60), (256, 20), (1024, 5))
    },
}
# name: (what to build, its arguments)
MEMORY = {
    "chain of 200 ops on 1 MiB": ("chain", (2**18, 200, True)),
    "chain of 100 000 ops on 10 elements": ("chain", (10, 100_000, True)),
    "network, 12 layers of width 256, batch 1024": ("network", (256, 12, 1024)),
}


# in the processes of the libraries


def library(name):
    """Return what answers the orders for a library: ``(task, kind, arguments, steps)``."""
    peer = peers.PEERS[name]()
    steps = {}

    def answer(*order):
        task, kind, arguments, count = order
        if task == "check":
            return [array.tolist() for array in peers.as_numpy(first(peer, order))]
        if task == "memory":
            first(peer, ("warm up", kind, (8, 8, 8), 1))
            return memory_growth(lambda: first(peer, order))
        if (kind, arguments) not in steps:
            steps[kind, arguments] = getattr(peer, kind)(*arguments)
        step = steps[kind, arguments]
        step()  # the caches are cold after the others' turn
        times = []
        for _ in range(count):
            start = time.perf_counter()
            step()
            times.append(time.perf_counter() - start)
        return statistics.median(times)

    return answer


def first(peer, order):
    """Build what ``order`` asks for and return the result of its first step."""
    _, kind, arguments, _ = order
    return getattr(peer, kind)(*arguments)()


# in the parent


def check_agreement(ask, names):
    """Refuse to time libraries that compute different things."""
    for case, (kind, arguments, _) in TIMED.items():
        answers = {name: ask(name, "check", kind, arguments, 1) for name in names}
        flat = {name: [float(v) for row in a for v in flatten(row)] for name, a in answers.items()}
        for name, values in flat.items():
            expected = flat[names[0]]
            size = max(map(abs, expected))
            if len(values) != len(expected) or not all(
                math.isclose(v, e, rel_tol=1e-3, abs_tol=1e-4 * size)
                for v, e in zip(values, expected, strict=True)
            ):
                raise SystemExit(f"{case}: {name} and {names[0]} compute different numbers")


def flatten(row):
    """Return the numbers of nested lists, or of a single number."""
    return [v for part in row for v in flatten(part)] if isinstance(row, list) else [row]


def measure_times(names, rounds, shorter):
    """Return ``{case: {library: [seconds for each round]}}``."""
    results = {case: {name: [] for name in names} for case in TIMED}
    order = random.Random(0)
    with processes(library, names, threads=1, pause=PAUSE) as ask:
        check_agreement(ask, names)
        for case, (kind, arguments, steps) in TIMED.items():
            say(case)
            count = max(1, steps // shorter)
            for name in names:
                ask(name, "time", kind, arguments, count)  # warm up, not kept
            for _ in range(rounds):
                for name in order.sample(names, len(names)):
                    results[case][name].append(ask(name, "time", kind, arguments, count))
    return results


def measure_memory(names, rounds):
    """Return ``{case: {library: [bytes for each round]}}``; each figure in a fresh process."""
    results = {case: {name: [] for name in names} for case in MEMORY}
    for case, (kind, arguments) in MEMORY.items():
        say(f"memory: {case}")
        for _ in range(rounds):
            for name in names:
                with processes(library, [name], threads=1, pause=PAUSE) as ask:
                    results[case][name].append(ask(name, "memory", kind, arguments, 1))
    return results


# what is reported


def summary(rounds):
    """Return the median of each library and its ratio to ours, the median over the rounds."""
    return {
        name: {
            "median": statistics.median(values),
            "ratio": statistics.median(v / o for v, o in zip(values, rounds[OURS], strict=True)),
            "rounds": values,
        }
        for name, values in rounds.items()
    }


def shown_time(case, seconds):
    """Return a time for the table: of one op in a chain, of a step of a network."""
    if case.startswith("chain"):
        return f"{seconds / CHAIN * 1e6:.2f} µs"
    return f"{seconds * 1e6:.0f} µs" if seconds < 1e-3 else f"{seconds * 1e3:.2f} ms"


def shown_memory(case, size):
    return f"{size / 2**20:.1f} MiB"


def table(cases, shown):
    """Return a Markdown table with one row for each case: our figure, theirs, and the ratio."""
    names = list(next(iter(cases.values())))
    lines = [f"| | {' | '.join(names)} |", f"|:--|{'--:|' * len(names)}"]
    for case, found in cases.items():
        cells = [shown(case, found[OURS]["median"])]
        cells += [
            f"{shown(case, found[name]['median'])} ({found[name]['ratio']:.2f}x)"
            for name in names
            if name != OURS
        ]
        lines.append(f"| {case} | {' | '.join(cells)} |")
    return "\n".join(lines)


AIMS = (("PyTorch", 1.0), ("HIPS autograd", 2.5), ("MyGrad", 2.5))


def verdicts(report):
    """Say, for each aim, whether the figures reach it; then list every case that we lose."""
    lines = []
    for peer, least in AIMS:
        for case, found in report["time"].items():
            if case.startswith("chain") and peer in found:
                ratio = found[peer]["ratio"]
                aim = "no slower than" if least == 1 else f"at least {least}x faster than"
                word = "reached" if ratio >= least else "**missed**"
                lines.append(f"- {case}: {aim} {peer}: {word} ({ratio:.2f}x).")
    for case, found in report["memory"].items():
        if "MyGrad" in found:
            ratio = found["MyGrad"]["ratio"]
            word = "reached" if ratio >= 1 else "**missed**"
            lines.append(f"- {case}: no more memory than MyGrad: {word} ({ratio:.2f}x).")
    losses = [
        f"- {case}: {peer} needs {what['ratio']:.2f} of our {measure}."
        for measure in ("time", "memory")
        for case, found in report[measure].items()
        for peer, what in found.items()
        if peer not in (OURS, FLOOR) and what["ratio"] < 0.98
    ]
    return "\n".join(lines), "\n".join(losses) or "Nowhere, against the libraries measured here."


PAGE = """<!-- Written by "make bench ARGS=--write-docs" from results/eager.json: do not edit -->

# Benchmarks of the eager engine

`make bench` measures minigrad side by side with its peers and writes the figures to
`benchmarks/results/eager.json`; `make bench ARGS=--write-docs` also writes this page.

| | |
|:--|:--|
| Machine | {machine} |
| Versions | {versions} |
| Commit | {commit}, {date} |
| Command | `{command}` |
| Threads | {threads} for every library |
| Load of the machine | {load} (1 is this benchmark alone; more means that other work disturbed it) |
| Rounds | {rounds} for times, {memory_rounds} for memory; each figure is the median of the rounds |

Each library has a process of its own. The processes take turns in a random order, with pauses, and
ratios are taken within a round. Garbage collection stays on, as for a user. The libraries must agree
on the numbers before they are timed. "NumPy alone" is the same arithmetic with the backward pass
written by hand: the floor for a library that computes with NumPy.

A figure in brackets says how many times our time or memory the peer needs: above 1 we are ahead.

## Time

*Chain*: forward and backward of {chain} ops, one after the other, on 10 elements of float32; multiply,
add, tanh and exp in turn; the time of one op. In the first row the second operands of multiply and add
want gradients too. *Network*: one training step (forward, mean squared error, backward, SGD update,
in each library's own idiom) of a network with 2 hidden layers of relu, batch {batch}, 10 outputs.

{times}

## Memory

The highest resident set during one forward and backward pass, less the one before it, in a fresh
process that has made a small pass of the same kind before. The operating system counts it, in the same
way for every library, whatever allocator it uses.

{memory}

## The aims

The aims for time are about one op on a small array, where the engine itself is what takes the time.

{aims}

## Where we lose

{losses}
"""


def page(report):
    """Return docs/benchmarks.md for a report."""
    aims, losses = verdicts(report)
    return PAGE.format(
        **{key: report[key] for key in ("machine", "commit", "date", "command", "threads", "load")},
        rounds=report["rounds"],
        memory_rounds=report["memory_rounds"],
        versions=", ".join(f"{name} {number}" for name, number in report["versions"].items()),
        chain=CHAIN,
        batch=BATCH,
        times=table(report["time"], shown_time),
        memory=table(report["memory"], shown_memory),
        aims=aims,
        losses=losses,
    )


def measure(names, quick):
    """Return the report of a run."""
    rounds, memory_rounds = (2, 1) if quick else (15, 3)
    report = {
        "machine": machine(),
        "versions": {
            peers.PEERS[n].package: peers.version(n) for n in {**dict.fromkeys(names), FLOOR: 0}
        },
        "commit": commit(),
        "date": datetime.date.today().isoformat(),
        "command": f"python benchmarks/eager.py{' --quick' if quick else ''}",
        "threads": 1,
        "rounds": rounds,
        "memory_rounds": memory_rounds,
        "time": {
            case: summary(found)
            for case, found in measure_times(names, rounds, 5 if quick else 1).items()
        },
        "memory": {
            case: summary(found) for case, found in measure_memory(names, memory_rounds).items()
        },
    }
    return {**report, "load": round(os.getloadavg()[1], 1)}  # over five minutes


def libraries(wanted):
    """Return the libraries asked for that are installed, ours first."""
    names = wanted.split(",") if wanted else list(peers.PEERS)
    unknown = [name for name in names if name not in peers.PEERS]
    if unknown:
        raise SystemExit(f"unknown libraries {unknown}; choose from {', '.join(peers.PEERS)}")
    missing = [name for name in names if peers.version(name) is None]
    if missing:
        say(f"not installed, left out: {', '.join(missing)} (make bench installs them)")
    return [OURS, *(name for name in names if name not in (OURS, *missing))]


def main(arguments=None):
    """Measure, print the tables, and write the JSON and the page if asked to."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="few rounds; writes no results")
    parser.add_argument("--libraries", help="names with commas between them; by default all")
    parser.add_argument(
        "--output", type=Path, help=f"JSON file (default {RESULTS.name}, not if quick)"
    )
    parser.add_argument(
        "--write-docs", action="store_true", help="write docs/benchmarks.md from the JSON file"
    )
    parser.add_argument("--no-run", action="store_true", help="measure nothing: use the JSON file")
    options = parser.parse_args(arguments)
    if options.quick and options.write_docs:
        parser.error("--write-docs needs the figures of a whole run; leave out --quick")
    output = options.output or (None if options.quick else RESULTS)
    if options.no_run:
        report = json.loads((output or RESULTS).read_text())
    else:
        report = measure(libraries(options.libraries), options.quick)
        if output:
            output.parent.mkdir(parents=True, exist_ok=True)
            output.write_text(json.dumps(report, indent=1) + "\n")
    print(table(report["time"], shown_time), table(report["memory"], shown_memory), sep="\n\n")
    if options.write_docs:
        DOCS.write_text(page(report))


if __name__ == "__main__":
    main()
