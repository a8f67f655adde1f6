"""Time the recurrent layers side by side with their peers: ``make bench``.

Each library lives in a process of its own. The processes wait for orders and work one at a time, in a
new random order each round, with pauses between them. What computes other numbers is not timed.
"""

import argparse
import dataclasses
import datetime
import functools
import importlib.metadata
import json
import os
import statistics
import time
import warnings
from pathlib import Path

import char_lm
import recurrent_report
import start
from measuring import ROOT, commit, machine, memory_growth, say
from racing import prepared, race, typical
from recurrent_cases import CELLS, SIZES, STEP, STREAM, Case, ragged
from recurrent_peers import PEERS
from workers import Failure, processes

RESULTS = ROOT / "benchmarks" / "results" / "recurrent.json"
OURS, PEAK = "minigrad", "peak"
# Seconds between two libraries. The threads of OpenBLAS, which MyGrad uses, stay awake for a tenth of
# one: who came next had half a core less.
PAUSE = 0.15
# A round begins when the machine, which others use too, is about as fast as it has been. Seconds of
# waiting in a whole run; a quick one waits for nothing.
CALM, PATIENCE = 0.92, 240
LETTERS = [name for name in SIZES if name != "tiny"]
MODEL = "LSTM"  # has the products, gates and states of our custom cell
SPECIALS = {  # what is compared with the plain layer
    "full lengths": "",
    "ragged lengths": "",
    "bidirectional": "two runs",
}


# in the processes of the libraries


def library(threads, name):
    """Return what answers the orders for a library: ``(task, case)``."""
    if name == PEAK:
        from peak import Peak

        peak = Peak(threads)
        return lambda *_: peak.measure()
    if name == OURS:
        from recurrent_ours import Minigrad

        peer = Minigrad(threads)
    else:
        peer = PEERS[name](threads)
    works = {}

    def answer(task, case=None):
        if task == "prepare":
            works[case], show = peer.build(case)
            with warnings.catch_warnings(record=True) as said:
                warnings.simplefilter("always")
                told, arrays = prepared(works[case], show, 3 if case.mode == STEP else 1)
            if name == OURS and said:  # a loop that is not compiled, for instance
                told["said"] = [str(warning.message).splitlines()[0] for warning in said]
            return told, arrays
        if task == "time":
            return typical(works[case])
        if task == "memory":
            _, _, D, H = case.size
            peer.build(Case(case.cell, case.mode, (2, 2, D, H)))[0]()  # what is made once
            return memory_growth(peer.build(case)[0])
        return works.clear()

    return answer


# in the parent


def contender(ask, name, case):
    """Return how `race` prepares and times a library."""
    return (lambda: ask(name, "prepare", case)), (lambda: ask(name, "time", case))


def absent(name):
    """Return why a library cannot be measured, or None."""
    try:
        importlib.metadata.version(PEERS[name].package)
    except importlib.metadata.PackageNotFoundError:
        return f"{PEERS[name].package} is not installed; make bench installs it"
    return None


def measure_table(ask, names, chosen, calm):
    """Return one row for each cell, mode and size: the figures of all libraries that offer it."""
    rows = []
    for case, size in cases(chosen):
        say(f"{case.cell}, {case.mode}, {size}")
        offering = [name for name in names if PEERS[name].offers(case)]
        missing = {name: {"failed": reason} for name in offering if (reason := absent(name))}
        present = [OURS, *(name for name in offering if name not in missing)]
        contenders = {name: contender(ask, name, case) for name in present}
        if case.cell == "custom":
            model = dataclasses.replace(case, cell=MODEL)
            contenders[f"{OURS} {MODEL}"] = unlike(contender(ask, OURS, model))
        calm.peaks = []
        found = race(contenders, chosen.rounds, calm.wait)
        for name in contenders:
            tell_failure(name, found[name])
        drop(ask, present)
        row = {"cell": case.cell, "mode": case.mode, "size": size, "shape": case.size}
        row |= {"operations": case.operations(), "peak": statistics.median(calm.peaks or [0])}
        rows.append({**row, "figures": found | missing})
    return rows


class Calm:
    """Waits until the machine is calm, and notes what it can do then, in operations per second."""

    def __init__(self, ask, patience):
        self.ask, self.patience = ask, patience
        self.peaks, self.best, self.waited = [], 0.0, 0

    def wait(self):
        """Return when the machine is about as fast as it has been, or there is no patience left."""
        try:
            peak = self.ask(PEAK, "time")
            while peak < CALM * self.best and self.waited < self.patience:
                time.sleep(1)
                self.waited += 1
                peak = self.ask(PEAK, "time")
        except Failure as failure:
            tell_failure(PEAK, {"failed": str(failure)})
        else:
            self.best = max(self.best, peak)
            self.peaks.append(peak)


def cases(chosen):
    """Return the cases of the table, each with the name of its size."""
    found = []
    for cell in chosen.cells:
        for mode in chosen.modes:
            if mode == STEP:
                found.append((Case(cell, mode, STREAM), "stream"))
            else:
                found += [(Case(cell, mode, SIZES[size]), size) for size in chosen.sizes]
    return found


def measure_specials(ask, chosen, calm):
    """Return rows that compare our layers in special situations with our plain layers."""
    rows = []
    for cell in chosen.special_cells:
        for mode in (mode for mode in chosen.modes if mode != STEP):
            for size in chosen.special_sizes:
                say(f"special cases: {cell}, {mode}, {size}")
                for special, measure in SPECIALS.items():
                    plain = Case(cell, mode, SIZES[size])
                    found = race(
                        {
                            name: unlike(
                                contender(ask, OURS, dataclasses.replace(plain, special=name))
                            )
                            for name in (measure, special)
                        },
                        chosen.rounds,
                        calm.wait,
                    )
                    tell_failure(special, found[special])
                    row = {"cell": cell, "mode": mode, "size": size, "special": special}
                    T, N, _, _ = SIZES[size]
                    row["work"] = sum(ragged(T, N)) / (T * N) if special == "ragged lengths" else 1
                    rows.append({**row, "measure": measure, "figures": found})
                    drop(ask, [OURS])
    return rows


def unlike(contender):
    """Return a contender whose result is not compared: it is meant to be another one."""
    prepare, measure = contender
    return (lambda: (prepare()[0], None)), measure


def measure_memory(names, chosen):
    """Return rows with the memory of a training step, each figure from a fresh process."""
    rows = []
    for cell in chosen.special_cells:
        for size in chosen.memory_sizes:
            say(f"memory: {cell}, {size}")
            found = {}
            for name in (OURS, *(name for name in names if name == "PyTorch" and not absent(name))):
                with started([name], chosen.threads) as ask:
                    try:
                        found[name] = ask(name, "memory", Case(cell, "training", SIZES[size]))
                    except Failure as failure:
                        found[name] = None
                        tell_failure(name, {"failed": str(failure)})
            rows.append({"cell": cell, "size": size, "shape": SIZES[size], "figures": found})
    return rows


def tell_failure(name, figures):
    if "failed" in figures:
        say(f"{name}: {figures['failed']}")


def drop(ask, names):
    """Let libraries free what they have built."""
    for name in names:
        try:
            ask(name, "drop")
        except Failure:
            continue  # it died, and this was told


def started(names, threads):
    return processes(
        functools.partial(library, threads),
        names,
        threads=threads,
        pause=PAUSE,
        environment={"JAX_PLATFORMS": "cpu"},
    )


def measure(chosen):
    """Return the report of a run."""
    installed = [name for name in chosen.peers if not absent(name)]
    for name in chosen.peers:
        if reason := absent(name):
            say(f"{name} is missing: {reason}")
    report = {
        "machine": machine(),
        "versions": versions(installed),
        "commit": commit(),
        "date": datetime.date.today().isoformat(),
        "threads": chosen.threads,
        "rounds": chosen.rounds,
        "missing": [name for name in chosen.peers if absent(name)],
    }
    if {"table", "special"} & set(chosen.parts):
        with started([OURS, PEAK, *installed], chosen.threads) as ask:
            calm = Calm(ask, 0 if chosen.quick else PATIENCE)
            if "table" in chosen.parts:
                report["table"] = measure_table(ask, chosen.peers, chosen, calm)
            if "special" in chosen.parts:
                report["special"] = measure_specials(ask, chosen, calm)
            report["waited"] = calm.waited
    if "memory" in chosen.parts:
        report["memory"] = measure_memory(chosen.peers, chosen)
    if "char_lm" in chosen.parts:
        report["char_lm"] = char_lm.measure(chosen.threads, chosen.rounds)
    if "start" in chosen.parts:
        report["start"] = start.measure(chosen.threads, min(chosen.rounds, 3))
    return report | {"load": round(os.getloadavg()[1], 1)}  # over five minutes


def versions(names):
    packages = {"minigrad", "numpy", "numba", *(PEERS[name].package for name in names)}
    return {package: importlib.metadata.version(package) for package in sorted(packages)}


PARTS = ("table", "special", "memory", "char_lm", "start")


def parse(arguments):
    """Read the command line; fill in what was not chosen."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="two rounds, two sizes; no results")
    modes = {"inference": "inference", "training": "training", "streaming": STEP}
    for name, choices, usual in (
        ("parts", PARTS, PARTS),
        ("cells", list(CELLS), list(CELLS)),
        ("sizes", list(SIZES), None),
        ("modes", list(modes), list(modes)),
        ("peers", list(PEERS), list(PEERS)),
    ):
        parser.add_argument(
            f"--{name}",
            type=functools.partial(_several, choices),
            default=usual,
            help=f"with commas between them: {', '.join(choices)}",
        )
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--output", type=Path, help=f"JSON file (default {RESULTS.name}, if whole)")
    parser.add_argument("--write-docs", action="store_true", help="write page, picture and README")
    parser.add_argument(
        "--check", action="store_true", help="are page and README those of the JSON?"
    )
    parser.add_argument("--no-run", action="store_true", help="measure nothing: use the JSON file")
    chosen = parser.parse_args(arguments)
    chosen.modes = [modes[mode] for mode in chosen.modes]
    whole = [chosen.parts, chosen.cells, chosen.peers] == [PARTS, list(CELLS), list(PEERS)]
    chosen.whole = whole and len(chosen.modes) == 3 and not (chosen.quick or chosen.sizes)
    if chosen.write_docs and not (chosen.whole or chosen.no_run):
        parser.error("--write-docs needs the figures of a whole run; choose nothing, or --no-run")
    chosen.rounds = 2 if chosen.quick else 5
    chosen.special_sizes = chosen.sizes or (["H"] if chosen.quick else ["B", "C"])
    chosen.memory_sizes = chosen.sizes or (["H"] if chosen.quick else ["C", "D", "F"])
    chosen.special_cells = [cell for cell in chosen.cells if cell in ("LSTM", "GRU")]
    chosen.sizes = chosen.sizes or (["A", "H"] if chosen.quick else LETTERS)
    return chosen


def _several(choices, text):
    names = [name for name in text.split(",") if name]
    unknown = [name for name in names if name not in choices]
    if unknown:
        raise argparse.ArgumentTypeError(f"unknown {unknown}; choose from {', '.join(choices)}")
    return names


def main(arguments=None):
    """Measure, print the page, and write the JSON, the page and the README if asked to."""
    chosen = parse(arguments)
    output = chosen.output or (RESULTS if chosen.whole or chosen.no_run or chosen.check else None)
    if chosen.no_run or chosen.check:
        if not output.exists():
            raise SystemExit(f"there are no figures in {output}; measure them first: make bench")
        report = json.loads(output.read_text())
    else:
        report = measure(chosen)
        if output:
            output.parent.mkdir(parents=True, exist_ok=True)
            output.write_text(json.dumps(report, indent=1) + "\n")
    if chosen.check:
        return recurrent_report.check(report)
    print(recurrent_report.page(report))
    if chosen.write_docs:
        recurrent_report.write(report)
    return None


if __name__ == "__main__":
    raise SystemExit(main())
