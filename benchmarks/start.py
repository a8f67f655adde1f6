"""How long a program waits for its first training step: on a new machine, with a new cell, and later."""

import json
import os
import statistics
import subprocess
import sys
import tempfile

from measuring import say

# In a process of its own: the first argument says whether to run another loop before.
PROGRAM = """
import json, sys, time
import numba, numpy
try:
    import scipy.linalg  # Numba imports it as soon as it compiles, if it is there
except ImportError:
    pass
imported = time.perf_counter()
import minigrad as mg
from minigrad import nn

def train(kind):
    outputs, _ = kind(64, 128)(mg.ones((8, 4, 64), requires_grad=True))
    mg.sum(outputs).backward()
    return time.perf_counter()

before = train(nn.RNN) if sys.argv[1] == "first" else imported
print(json.dumps([before - imported, train(nn.LSTM) - before]))
"""
MEANINGS = {  # each with the most seconds that it may take
    "machine": ("what all loops share, compiled once on a machine, and the loop of an RNN", 8),
    "cell": ("the loop of a new cell, an LSTM, forward and backward", 5),
    "later": ("both from the cache: longer than the import of NumPy and Numba", 0.3),
}


def measure(threads, rounds):
    """Return the seconds of each of the `MEANINGS`, the median over some rounds."""
    say("the first training step")
    found = {name: [] for name in MEANINGS}
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as folder:
            machine, cell = _seconds("first", folder, threads)
            found["machine"].append(machine)
            found["cell"].append(cell)
            _, later = _seconds("later", folder, threads)
            found["later"].append(later)
    return {name: statistics.median(seconds) for name, seconds in found.items()}


def _seconds(when, folder, threads):
    surroundings = {"MINIGRAD_CACHE_DIR": folder, "MINIGRAD_NUM_THREADS": str(threads)}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, when],
        env={**os.environ, **surroundings},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return json.loads(done.stdout)
