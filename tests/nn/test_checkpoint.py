"""A checkpoint holds all that a run needs, and is restored as a whole or not at all."""

import os
import subprocess
import sys

import numpy as np
import pytest

import minigrad as mg
from minigrad import nn
from minigrad.errors import ArgumentError, FileFormatError
from minigrad.nn.data import Streams
from minigrad.nn.optim.lr_scheduler import CosineAnnealingLR, ReduceLROnPlateau, StepLR

TEXT = np.arange(50) * 7 % 11


@pytest.fixture
def path(tmp_path):
    return tmp_path / "checkpoint.safetensors"


class Training:
    """A small run that draws random numbers in each update."""

    def __init__(self, seed=0, optimizer=nn.optim.Adam, schedule=StepLR, width=3):
        mg.manual_seed(seed)
        self.model = nn.Sequential(nn.Embedding(11, width), nn.Dropout(0.3), nn.Linear(width, 11))
        self.optimizer = optimizer(self.model.parameters(), lr=0.1)
        options = {StepLR: (2, 0.5), CosineAnnealingLR: (9,), ReduceLROnPlateau: ()}[schedule]
        self.schedule = schedule(self.optimizer, *options)
        self.streams = Streams(TEXT, 2, 5)
        self.pen = mg.Generator(seed)

    @property
    def parts(self):
        return dict(vars(self))

    def update(self, count):
        """Make some updates; return what was seen on the way."""
        seen = []
        while len(seen) < count:
            for codes, targets in self.streams:
                loss = nn.CrossEntropyLoss()(self.model(codes).reshape(-1, 11), targets.reshape(-1))
                self.optimizer.zero_grad()
                loss.backward()
                self.optimizer.step()
                plateau = isinstance(self.schedule, ReduceLROnPlateau)
                self.schedule.step(*[loss.item()] * plateau)
                seen.append((loss.item(), self.pen.normal().item(), mg.rand(1).item()))
                if len(seen) == count:
                    break
        return seen

    def everything(self):
        """Return the state of all parts and of the global generator, to be compared bit for bit."""
        states = [
            part.get_state() if isinstance(part, mg.Generator) else part.state_dict()
            for part in vars(self).values()
        ]
        return plain([*states, mg.random.get_state()])


def plain(tree):
    """Return a tree in which bytes stand for tensors."""
    if isinstance(tree, mg.Tensor):
        return tree.dtype, tree.shape, tree.numpy().tobytes()
    if isinstance(tree, dict):
        return {key: plain(value) for key, value in tree.items()}
    return [plain(value) for value in tree] if isinstance(tree, (list, tuple)) else tree


KINDS = [
    (nn.optim.Adam, StepLR),
    (nn.optim.SGD, CosineAnnealingLR),
    (nn.optim.RMSprop, ReduceLROnPlateau),
    (nn.optim.Adagrad, StepLR),
]


@pytest.mark.parametrize(("optimizer", "schedule"), KINDS)
@pytest.mark.parametrize("stop", [0, 1, 4, 5, 7])
def test_a_restored_run_goes_on_bit_for_bit(path, stop, optimizer, schedule):
    whole = Training(1, optimizer, schedule)
    expected = whole.update(13)
    result = whole.everything()

    stopped = Training(1, optimizer, schedule)
    seen = stopped.update(stop)
    nn.save_checkpoint(path, {"seen": seen}, **stopped.parts)
    stopped.update(2)  # what comes after saving does not count

    restored = Training(2, optimizer, schedule)
    checkpoint = nn.Checkpoint(path)
    checkpoint.restore(**restored.parts)
    assert checkpoint.progress["seen"] == seen
    assert seen + restored.update(13 - stop) == expected
    assert restored.everything() == result


def in_a_process(code, *arguments, **environment):
    command, where = [sys.executable, "-c", code, *arguments], {**os.environ, **environment}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=where)
    assert done.returncode == 0, done.stderr


RUN = """
import sys
import minigrad as mg
from minigrad import nn

class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.loop = nn.Linear(512, 512), nn.GRU(512, 16)

    def forward(self, x):
        return self.loop(mg.tanh(self.first(x)))[0]

class Training:
    def __init__(self, seed):
        mg.manual_seed(seed)
        self.model = Model()
        self.optimizer = nn.optim.Adam(self.model.parameters(), lr=0.01)

    def update(self, number, sizes):
        x = mg.Generator(number).normal((*sizes, 512))
        self.optimizer.zero_grad()
        (self.model(x) ** 2).mean().backward()
        self.optimizer.step()

    def weights(self):
        return [p.detach().numpy().tobytes() for p in self.model.parameters()]

folder, what = sys.argv[1:]
mg.set_num_threads(1 if what == "whole" else 2)
for sizes in (2, 4), (8, 16):  # the products of the Linear are NumPy's, and ours
    at = [f"{folder}/{sizes[0]}-{number}.safetensors" for number in range(11)]
    if what == "whole":
        runs = Training(0), Training(0)
        for number in range(11):
            nn.save_checkpoint(at[number], None, model=runs[0].model, optimizer=runs[0].optimizer)
            runs[0].update(number, sizes)
        for number in range(11):
            runs[1].update(number, sizes)
        assert runs[1].weights() == runs[0].weights(), f"the same seed again, {sizes}"
    else:
        for number in reversed(range(10)):
            run, other = Training(1), Training(1)
            nn.Checkpoint(at[number]).restore(model=run.model, optimizer=run.optimizer)
            nn.Checkpoint(at[number + 1]).restore(model=other.model, optimizer=other.optimizer)
            run.update(number, sizes)
            assert run.weights() == other.weights(), f"stopped before update {number}, {sizes}"
"""


def test_a_run_goes_on_bit_for_bit_in_a_fresh_process(tmp_path):
    """A Linear in front of a loop: what computes its products depends on nothing that ran before."""
    for what in ("whole", "resumed"):
        in_a_process(RUN, str(tmp_path), what)


PRODUCTS = """
import sys
import numpy as np
import minigrad as mg
from minigrad import nn

def products(sizes):
    found = []
    for rows, inner, columns in sizes:
        rng = np.random.default_rng(rows)
        a, b = (mg.tensor(rng.normal(size=size).astype("f4"), requires_grad=True)
                for size in ((rows, inner), (inner, columns)))
        y = a @ b
        found += [t.detach().numpy() for t in (y, *mg.grad((y * y).sum(), [a, b]))]
    return found

SMALL = (64, 784, 256), (8, 512, 512), (200, 200, 300)
LARGE = (2000, 128, 100), (8, 2048, 2048), (300, 300, 300)
before = products(SMALL)
assert "numba" not in sys.modules
before += products(LARGE)
assert ("numba" in sys.modules) is (sys.argv[1] == "on")
nn.GRU(3, 4)(mg.randn(5, 2, 3))[0].sum().backward()
for threads in 1, 2:
    mg.set_num_threads(threads)
    assert all(map(np.array_equal, before, products(SMALL + LARGE)))
"""


@pytest.mark.full(but=["off"])
@pytest.mark.parametrize("compile", ["on", "off"])
def test_what_computes_a_product_depends_on_nothing_that_ran_before(compile):
    """Small ones load no compiler, and with MINIGRAD_COMPILE=off large ones do not either."""
    in_a_process(PRODUCTS, compile, MINIGRAD_COMPILE=compile)


def test_saving_changes_nothing(path):
    one, other = Training(1), Training(1)
    one_seen = one.update(3)
    nn.save_checkpoint(path, None, **one.parts)
    one_seen += one.update(3)
    mg.manual_seed(1)
    other = Training(1)
    assert other.update(6) == one_seen


def test_progress_is_any_tree(path):
    progress = {
        "epoch": 3,
        "state": (mg.ones((2, 3)), [mg.zeros((), dtype="float64"), None]),
        "curve": [(1, 0.1), (2, float("inf"))],
        7: "text",
    }
    nn.save_checkpoint(path, progress)
    found = nn.Checkpoint(path).progress
    assert plain(found) == plain(progress)
    assert isinstance(found["state"], tuple)
    assert not found["state"][0].requires_grad
    nn.save_checkpoint(path)
    assert nn.Checkpoint(path).progress is None


def test_without_parts_only_the_random_numbers_are_restored(path):
    mg.manual_seed(4)
    mg.rand(3)
    nn.save_checkpoint(path)
    expected = mg.rand(5).tolist()
    mg.manual_seed(5)
    checkpoint = nn.Checkpoint(path)
    assert mg.rand(5).tolist() != expected  # reading alone does not restore
    checkpoint.restore()
    assert mg.rand(5).tolist() == expected
    checkpoint.restore()  # a second time, too
    assert mg.rand(5).tolist() == expected


def test_the_file_holds_the_weights_under_their_names(path):
    training = Training()
    nn.save_checkpoint(path, None, **training.parts)
    weights = mg.load(path)["parts"]["model"]
    assert plain(weights) == plain(training.model.state_dict())


# parts that do not fit


@pytest.mark.parametrize(
    ("drop", "add", "message"),
    [
        (["pen"], {}, "missing here: pen; give the parts that were saved"),
        ([], {"extra": nn.Linear(1, 1)}, "not in the file: extra; give the parts that were saved"),
        (
            ["pen", "model"],
            {"net": nn.Linear(1, 1)},
            "missing here: model; missing here: pen; not in the file: net; give",
        ),
    ],
)
def test_all_wrong_names_are_listed(path, drop, add, message):
    training = Training()
    nn.save_checkpoint(path, None, **training.parts)
    before = training.everything()
    parts = {name: part for name, part in training.parts.items() if name not in drop} | add
    with pytest.raises(ArgumentError) as caught:
        nn.Checkpoint(path).restore(**parts)
    assert str(caught.value).startswith(f"restoring {str(path)!r}: {message}")
    assert training.everything() == before


class Refusing:
    """A part that cannot take a state over."""

    def __init__(self, error):
        self.error = error
        self.loads = 0

    def state_dict(self):
        return {}

    def load_state_dict(self, state):
        self.loads += 1
        if self.loads == 1:
            raise self.error


@pytest.mark.parametrize("error", [ValueError("mine"), KeyboardInterrupt()])
def test_whatever_goes_wrong_all_parts_are_as_they_were(path, error):
    saved = Training(1)
    saved.update(4)
    nn.save_checkpoint(path, None, **saved.parts, last=Refusing(None))
    present = Training(2)
    present.update(2)
    before = present.everything()
    with pytest.raises(type(error)) as caught:
        nn.Checkpoint(path).restore(**present.parts, last=Refusing(error))
    assert caught.value is error
    assert present.everything() == before
    expected = present.update(3)
    again = Training(2)
    again.update(2)
    assert again.update(3) == expected


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model": nn.Linear(3, 11)}, "model: load_state_dict into Linear; nothing was changed"),
        ({"streams": Streams(TEXT + 1, 2, 5)}, "streams: this is not the data that the position"),
        ({"streams": Streams(TEXT, 3, 5)}, "streams: the position was saved with batch=2"),
        ({"pen": nn.Linear(3, 11)}, "pen: load_state_dict into Linear"),
        ({"schedule": mg.Generator()}, "schedule: this is not the state of a generator"),
        (
            {"optimizer": nn.optim.SGD([mg.ones(1, requires_grad=True)], lr=0.1)},
            "optimizer: SGD.load_state_dict",
        ),
    ],
)
def test_the_part_that_does_not_fit_is_named(path, change, message):
    saved = Training(1)
    saved.update(4)
    nn.save_checkpoint(path, None, **saved.parts)
    present = Training(2)
    before = present.everything()
    with pytest.raises(ArgumentError) as caught:
        nn.Checkpoint(path).restore(**present.parts | change)
    assert f"restoring {str(path)!r}: {message}" in str(caught.value)
    assert present.everything() == before


def test_every_part_in_turn_may_be_the_one_that_does_not_fit(path):
    """Parts of a wider model refuse the state of a narrow one; the others are put back."""
    saved, present = Training(1), Training(2, width=4)
    saved.update(2)
    present.update(1)
    before = present.everything()
    names = list(present.parts)
    nn.save_checkpoint(path, None, **saved.parts)
    for shift in range(len(names)):
        order = names[shift:] + names[:shift]
        with pytest.raises(ArgumentError, match=r"restoring .*: (model|optimizer): "):
            nn.Checkpoint(path).restore(**{name: present.parts[name] for name in order})
        assert present.everything() == before


# what cannot be saved


def test_things_without_a_state_are_refused(path):
    with pytest.raises(ArgumentError) as caught:
        nn.save_checkpoint(path, model=nn.Linear(1, 1), epoch=3)
    assert str(caught.value) == (
        "a checkpoint cannot hold epoch, of type int: it has no state_dict() and load_state_dict(); "
        "put plain data and tensors into progress"
    )
    assert not path.exists()


def test_the_name_of_the_global_generator_is_taken(path):
    message = "the name 'random' stands for the global random generator; give the part another one"
    with pytest.raises(ArgumentError, match=message):
        nn.save_checkpoint(path, random=mg.Generator())
    nn.save_checkpoint(path)
    with pytest.raises(ArgumentError, match=message):
        nn.Checkpoint(path).restore(random=mg.Generator())


def test_a_failed_save_leaves_the_file_before(path):
    nn.save_checkpoint(path, "first")
    with pytest.raises(ArgumentError, match="progress"):
        nn.save_checkpoint(path, {"bad": object()})
    assert nn.Checkpoint(path).progress == "first"
    with pytest.raises(OSError, match="No such file or directory; check the path"):
        nn.save_checkpoint(path.parent / "missing" / "file")


# wrong files


@pytest.mark.parametrize(
    "content",
    [
        {},
        [1],
        None,
        {"weight": np.ones((2, 2))},
        {"checkpoint": np.ones(3), "parts": {}, "progress": None},
        {"checkpoint": 1},
        {"checkpoint": 1, "parts": [], "progress": None},
        {"checkpoint": "1", "parts": {}, "progress": None},
    ],
)
def test_other_files_are_no_checkpoints(path, content):
    mg.save(path, content)
    with pytest.raises(FileFormatError) as caught:
        nn.Checkpoint(path)
    assert str(caught.value) == (
        f"{str(path)!r} is no checkpoint of a training run; give a file that save_checkpoint() wrote "
        "(read others with minigrad.load())"
    )


def test_checkpoints_of_another_version_are_refused(path):
    mg.save(path, {"checkpoint": 2, "something": "new"})
    with pytest.raises(
        FileFormatError, match="is a checkpoint of another version of minigrad; load"
    ):
        nn.Checkpoint(path)


def test_damaged_and_missing_files_are_refused(path):
    with pytest.raises(FileNotFoundError, match="No such file"):
        nn.Checkpoint(path)
    training = Training()
    nn.save_checkpoint(path, "progress", **training.parts)
    content = path.read_bytes()
    rng = np.random.default_rng(0)
    for size in (0, 1, 8, *rng.integers(9, len(content), 20).tolist(), len(content) - 1):
        path.write_bytes(content[:size])
        with pytest.raises(FileFormatError):
            nn.Checkpoint(path)
    for bit in rng.integers(0, len(content) * 8, 50).tolist():
        changed = bytearray(content)
        changed[bit // 8] ^= 1 << bit % 8
        path.write_bytes(changed)
        with pytest.raises(FileFormatError):
            nn.Checkpoint(path)
    path.write_bytes(content)
    assert nn.Checkpoint(path).progress == "progress"


def test_the_file_is_read_once(path):
    training = Training(1)
    nn.save_checkpoint(path, **training.parts)
    checkpoint = nn.Checkpoint(path)
    path.unlink()
    checkpoint.restore(**Training(2).parts)
