"""The peers of the benchmarks compute what we compute."""

import os
import subprocess
import sys
from pathlib import Path

FOLDER = Path(__file__).resolve().parents[2] / "benchmarks"

COMPARE = """
from racing import prepared, refuse_difference
from recurrent_cases import CELLS, SIZES, STEP, STREAM, Case
from recurrent_ours import Minigrad
from recurrent_peers import PEERS

peers = {name: PEERS[name](1) for name in ("PyTorch", "PyTorch loop", "onnxruntime")}
ours, compared = Minigrad(1), 0
for cell in CELLS:
    for mode in ("inference", "training", STEP):
        case = Case(cell, mode, STREAM if mode == STEP else SIZES["tiny"])
        _, expected = prepared(*ours.build(case), 3)
        for peer in peers.values():
            if peer.offers(case):
                _, arrays = prepared(*peer.build(case), 3)
                refuse_difference(arrays, expected)
                compared += 1
print(compared)
"""

STEPS = """
from racing import refuse_difference
from step_ours import Ours
from step_peers import PyTorch
from steps import CASES, results

for name in CASES:
    ours, theirs = (results(kind(name, tiny=True, dropout=0.0)) for kind in (Ours, PyTorch))
    refuse_difference(theirs, ours)
    print(name, len(ours))
"""


def run(code):
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=FOLDER,
        env={**os.environ, "MINIGRAD_COMPILE": "0"},  # other tests compile
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_every_case_that_a_peer_offers_equals_ours():
    compared = run(COMPARE)
    torch, loop, onnxruntime = 3 * 3, 4 * 3, 4 * 2
    assert int(compared) == torch + loop + onnxruntime


def test_pytorch_trains_the_networks_of_the_examples_as_we_do():
    parameters = {"word_lm": 6, "sentiment": 12, "date_translation": 23}
    compared = [line.split() for line in run(STEPS).splitlines()]
    assert {name: int(count) - 1 for name, count in compared} == parameters
