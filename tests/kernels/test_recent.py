"""Tables of limited size forget what was used longest ago, and nothing else."""

import random
import threading

import minigrad as mg
from minigrad.kernels import cell, scan
from minigrad.kernels.runtime import specialization
from minigrad.recent import Recent


def test_the_least_recently_used_entry_goes():
    """As a list of keys does, of which the last one is the one used last."""
    table, model, draw = Recent(5), [], random.Random(0)
    for _ in range(2000):
        key = draw.randrange(9)
        match draw.choice(("get", "put", "found", "pop")):
            case "get":
                assert table.get(key) == (key if key in model else None)
                used = key in model
            case "pop":
                table.pop(key)
                model, used = [k for k in model if k != key], False
            case "put":
                used = table.put(key, key) == key
            case "found":
                made = []
                used = table.found(key, lambda key=key, made=made: made.append(0) or key) == key
                assert bool(made) is (key not in model)
        if used:
            model = [*(k for k in model if k != key), key][-5:]
        assert len(table) == len(model)
        assert all(k in table for k in model)
        assert sorted(table.values()) == sorted(model)


def test_threads_use_a_table_at_once():
    table, wrong = Recent(8), []

    def work(seed):
        draw = random.Random(seed)
        for _ in range(5000):
            key = draw.randrange(20)
            if table.found(key, lambda key=key: key) != key or len(table) > 8:
                wrong.append(key)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


@cell(state="h")
def step(x, h):
    return mg.tanh(x + h)


def test_what_is_known_of_a_step_is_bounded(monkeypatch):
    monkeypatch.setattr(specialization, "_MOST", 64)
    for steps in range(100):
        scan(step, mg.ones((steps, 1, 1)), mg.ones((1, 1)), compile="never")
    assert len(specialization._specializations[step]) == 64
