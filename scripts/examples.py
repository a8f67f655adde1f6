"""Run the examples at their defaults, one after the other; write examples/README.md from their scores.

    .venv/bin/python scripts/examples.py                 all of them: about an hour
    .venv/bin/python scripts/examples.py char_lm tagging these; the others keep their rows
    .venv/bin/python scripts/examples.py --no-run        only the page, from what was measured
    .venv/bin/python scripts/examples.py --quick         small runs; nothing is written

What a row says of an example is the first line of its docstring, its data what `--help` says of --data,
and its scores what the program reported.
"""

from __future__ import annotations

import argparse
import datetime
import importlib.util
import json
import re
import shlex
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).resolve().parents[1] / "benchmarks"))

from measuring import ROOT, machine, say

EXAMPLES = ROOT / "examples"
PAGE = EXAMPLES / "README.md"
RESULTS = ROOT / "benchmarks" / "results" / "examples.json"
MORE = {  # runs beside that at the defaults
    "sentiment": ["--task stars"],
    "tagging": ["--task names"],
    "translation": ["--language fr"],
}
TEXT = """<!-- Written by "make examples" from benchmarks/results/examples.json: do not edit -->

# Examples

Each file is a program of its own: `python examples/char_lm.py`. All of them take

- `--data FILE`, a file of yours instead of the default data;
- `--cell NAME`, a recurrent cell: `rnn`, `lstm`, `gru`, [one of the table](../docs/cells.md), or \
[your own](../docs/own_cell.md) as `module:cell` or `file.py:cell`;
- `--quick`, a small run; `--seed`, `--device`;
- `--out FOLDER` for pictures, scores and the checkpoint, `--save FILE` for the checkpoint alone, and \
`--resume FILE` to go on after Ctrl-C as if nothing had happened.

`--help` tells the rest. The default data are texts of Python's standard library and of packages, which \
`pip install -e ".[examples]"` brings; nothing is downloaded at run time.

Scores are of data that the model was not trained on, beside those of the baselines that the program \
computes on the same data. `make examples` has run them at their defaults{place}. The texts of \
Python and of packages differ from version to version, and the scores with them.

{table}
"""


def runs() -> dict[str, tuple[str, list[str]]]:
    """Return the name of the example, and arguments, of each run by its title."""
    found = {}
    for path in sorted(EXAMPLES.glob("*.py")):
        for more in ("", *MORE.get(path.stem, ())):
            found[f"{path.name} {more}".strip()] = path.stem, shlex.split(more)
    return found


def program(name: str) -> Any:
    """Return the `Program` of an example."""
    sys.path.append(str(EXAMPLES))  # as Python does for a script
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.PROGRAM


def measure(name: str, arguments: list[str]) -> dict[str, Any] | None:
    """Run an example; return its scores and what is to be known about the run, or None if it failed."""
    out = ROOT / "runs" / re.sub(r"\W+", "_", " ".join([name, *arguments]))
    scores = out / "scores.json"
    scores.unlink(missing_ok=True)
    command = [sys.executable, str(EXAMPLES / f"{name}.py"), *arguments, "--out", str(out)]
    start = time.perf_counter()
    done = subprocess.run(command, cwd=ROOT, check=False)
    seconds = time.perf_counter() - start
    if done.returncode or not scores.exists():
        return None
    return {
        "scores": json.loads(scores.read_text(encoding="utf-8"))["scores"],
        "seconds": round(seconds, 1),
        "machine": machine(),
        "date": datetime.date.today().isoformat(),
    }


def table(results: dict[str, Any]) -> str:
    """Return a row for each run."""
    head = ["example", "what it does", "its data", "score", "seconds"]
    lines = [f"| {' | '.join(head)} |", "|:--|:--|:--|:--|--:|"]
    for title, (name, _) in runs().items():
        example, found = program(name), results.get(title)
        cells = [f"[`{title}`]({name}.py)", example.description, example.settings["data"].meaning]
        if found:
            cells += [shown(found["scores"]), f"{found['seconds']:.0f}"]
        else:
            cells += ["failed" if title in results else "not run yet", ""]
        lines.append(f"| {' | '.join(cell.replace('|', '&#124;') for cell in cells)} |")
    return "\n".join(lines)


def page(results: dict[str, Any]) -> str:
    """Return examples/README.md."""
    places = {f"{found['machine']}, {found['date']}" for found in results.values() if found}
    place = f" on {'; on '.join(sorted(places))}" if places else ""
    return TEXT.format(place=place, table=table(results))


def write(results: dict[str, Any]) -> None:
    """Write the results, in the order of the runs, and the page."""
    results = {title: results[title] for title in runs() if title in results}
    RESULTS.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    PAGE.write_text(page(results), encoding="utf-8")


def shown(scores: dict[str, dict[str, float]]) -> str:
    """Return scores as text."""
    return "<br>".join(
        f"{score}: {', '.join(f'{name} {value:.4g}' for name, value in values.items())}"
        for score, values in scores.items()
    )


def main() -> int:
    """Run what was asked for, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    names = sorted({name for name, _ in runs().values()})
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help=f"(default: all) {', '.join(names)}"
    )
    parser.add_argument("--no-run", action="store_true", help="write the page of what was measured")
    parser.add_argument("--quick", action="store_true", help="small runs; nothing is written")
    chosen = parser.parse_args()
    if unknown := sorted({*chosen.names} - {*names}):
        parser.error(f"there is no example {unknown[0]!r}; there are {', '.join(names)}")
    results = {}
    if RESULTS.exists() and not chosen.quick:
        results = json.loads(RESULTS.read_text(encoding="utf-8"))
    failed = []
    for title, (name, arguments) in runs().items():
        if chosen.no_run or name not in (chosen.names or names):
            continue
        say(f"--- {title}")
        results[title] = measure(name, [*arguments, *["--quick"] * chosen.quick])
        failed += [title] * (results[title] is None)
        if not chosen.quick:
            write(results)
    if chosen.quick:
        print(table(results))
    else:
        write(results)
    if failed:
        say(f"failed: {', '.join(failed)}")
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main())
