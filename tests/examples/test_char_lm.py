"""The character language model as a user runs it.

It learns, stops and goes on bit for bit, and answers mistakes with one line.
"""

import contextlib
import importlib.util
import math
import os
import pty
import random
import re
import resource
import shlex
import signal
import subprocess
import sys
import termios
from pathlib import Path
from typing import NamedTuple

import pytest

import minigrad as mg
from minigrad import nn

SCRIPT = Path(__file__).parents[2] / "examples" / "char_lm.py"
SMALL = "--hidden 8 --batch 4 --seq-len 8 --epochs 3 --limit 900".split()
UPDATES = 26  # of an epoch with SMALL
FINISHED = "bits per character, held out"


class Done(NamedTuple):
    """What a run left behind."""

    status: int
    out: str
    err: str

    def scores(self):
        """Return the bits per character of the network and of n-grams: the best two, n = 2, n = 1."""
        return [float(bits) for bits in re.findall(r" (\d+\.\d{3})", self.out.split(FINISHED)[1])]

    def samples(self):
        """Return everything about epochs and all samples."""
        return [line for line in self.out.splitlines() if line.startswith("epoch")]

    def last_sample(self):
        return self.out.split("--- a sample ---\n")[1].split("\n------")[0]


@pytest.fixture(scope="module")
def example():
    """Return the example as a module."""
    spec = importlib.util.spec_from_file_location("char_lm", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OPENBLAS_NUM_THREADS", "1")  # the example sets it for its process
        spec.loader.exec_module(module)
    return module


@pytest.fixture
def char_lm(example, tmp_path, monkeypatch, capsys):
    """Return a function that runs the example in this process, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)

    def run(*arguments):
        try:
            status = example.PROGRAM.run(example.main, [str(argument) for argument in arguments])
        except SystemExit as ended:
            status = ended.code
        return Done(status, *capsys.readouterr())

    yield run
    signal.signal(signal.SIGINT, before)


def heed_interrupts():
    """Let Ctrl-C end a process; a shell makes what it starts in the background ignore it."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def start(folder, *arguments, stderr=subprocess.PIPE, before=heed_interrupts, **options):
    """Start the example as a process of its own, in which ``before`` is called first."""
    return subprocess.Popen(
        [sys.executable, str(SCRIPT), *map(str, arguments)],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=stderr,
        text=True,
        preexec_fn=before,  # noqa: PLW1509 (the tests have one thread)
        **options,
    )


def finish(process):
    """Wait for the end of a process; return what it has printed since it was last read."""
    with process:
        out, err = process.stdout.read(), process.stderr.read() if process.stderr else ""
    return Done(process.returncode, out, err)


def words(*vocabulary):
    """Return a text of words in random order, in which a character depends on several before it."""
    return " ".join(random.Random(0).choices(vocabulary, k=1500))


# it learns


@pytest.mark.full
def test_a_quick_run_learns(tmp_path, backend_name):
    place = ("--device", "cpu" if backend_name == "numpy" else "cuda")
    done = finish(start(tmp_path, "--quick", *place, "--out", "here/and there"))
    warned = "" if backend_name == "numpy" else "cannot be compiled: its arrays are not on the CPU"
    assert (done.status, warned in done.err, done.err.count("Warning")) == (0, True, bool(warned))
    lstm, plain, best, bigram, unigram = done.scores()
    assert 1.0 < lstm < bigram - 0.3 < bigram < unigram
    assert 1.0 < best < plain < bigram
    assert len(done.last_sample()) == 1 + 500  # it goes on from the first character of the text
    assert [line.split(":")[0] for line in done.samples()[1::2]] == [
        f"epoch {n}/3" for n in (1, 2, 3)
    ]
    files = sorted(path.name for path in tmp_path.rglob("*") if path.is_file())
    assert files == ["checkpoint.safetensors", "loss.png", "scores.json"]
    assert (tmp_path / "here/and there/loss.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.full
@pytest.mark.parametrize("cell", ["rnn", "gru", "lstm"])
def test_every_cell_learns(char_lm, tmp_path, cell):
    (tmp_path / "text.txt").write_text(words("banana", "bandana", "cabana", "canna", "nabob"))
    options = "--data text.txt --hidden 32 --batch 8 --seq-len 16 --epochs 2 --lr 0.02".split()
    done = char_lm(*options, "--cell", cell)
    assert done.status == 0, done.err
    network, *_, bigram, unigram = done.scores()
    assert network < 0.7 * bigram < 0.7 * unigram
    assert f"{cell.upper()}(128, 32" in done.out
    assert f"{FINISHED} (text.txt): {cell} " in done.out


@pytest.mark.full
@pytest.mark.parametrize(
    "text",
    [words("быть", "или", "не", "вот", "в", "чём"), words("🙂", "🙃", "🙂🙂", "日本"), words("a")],
)
def test_other_alphabets(char_lm, tmp_path, text):
    (tmp_path / "text.txt").write_text(text, encoding="utf-8")
    done = char_lm("--data", "text.txt", *SMALL, "--prompt", text[:3])
    assert done.status == 0, done.err
    assert f"Embedding({len(set(text[:900]))}, 128)" in done.out
    assert done.last_sample().startswith(text[:3])
    assert set(done.last_sample()) <= set(text)


@pytest.mark.full
def test_a_terminal_without_these_characters(tmp_path):
    (tmp_path / "text.txt").write_text(words("быть", "или"), encoding="utf-8")
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    done = finish(start(tmp_path, "--data", "text.txt", *SMALL, env=environment))
    assert (done.status, done.err) == (0, "")
    assert r"\u0431\u044b\u0442\u044c" in done.out


@pytest.mark.full
def test_the_same_seed_writes_the_same(char_lm):
    one, again = char_lm(*SMALL), char_lm(*SMALL, "--out", "elsewhere")
    assert one.out == again.out.replace("elsewhere", "runs/char_lm")
    other = char_lm(*SMALL, "--seed", "1")
    assert other.scores() != one.scores()
    assert other.last_sample() != one.last_sample()


@pytest.mark.full
def test_what_it_is_compared_with_has_counted_the_training_part_only(char_lm, tmp_path):
    text = words("banana", "bandana") + words("cabana")  # the end is unlike the beginning
    (tmp_path / "text.txt").write_text(text)
    cut = len(text) * 9 // 10
    training, held_out = text[:cut], text[cut:]
    arguments = "--data text.txt --batch 4 --hidden 2 --epochs 1 --seq-len 500".split()
    given_up = len(set(training)) / 2 / len(set(text))  # half a count of each character, to all
    share = {c: (max(training.count(c) - 0.5, 0) + given_up) / cut for c in set(text)}
    expected = -sum(math.log2(share[c]) for c in held_out) / len(held_out)
    assert char_lm(*arguments).scores()[-1] == pytest.approx(expected, abs=5e-4)


@pytest.mark.full
def test_the_state_goes_from_chunk_to_chunk_and_starts_anew_with_an_epoch(
    char_lm, example, monkeypatch
):
    given, returned, compute = [], [], example.CharacterModel.forward

    def watched(model, codes, state=None):
        scores, new = compute(model, codes, state)
        if model.training:
            given.append(state)
            returned.append(new)
        return scores, new

    monkeypatch.setattr(example.CharacterModel, "forward", watched)
    assert char_lm(*SMALL).status == 0
    assert len(given) == 3 * UPDATES
    for update, state in enumerate(given):
        assert (state is None) == (update % UPDATES == 0)
        for part, before in zip(state or (), returned[update - 1], strict=False):
            assert not part.requires_grad
            assert part.tolist() == before.tolist()


@pytest.mark.full
def test_the_progress_bar(tmp_path):
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, 120))
    process = start(tmp_path, *SMALL, stderr=theirs, env={**os.environ, "TQDM_MININTERVAL": "0"})
    os.close(theirs)
    shown = b""
    with contextlib.suppress(OSError):  # which says that the other end was closed
        while True:
            shown += os.read(ours, 1 << 16)
    os.close(ours)
    assert finish(process).status == 0
    bars = [line for line in re.split(r"[\r\n]+", shown.decode()) if "train_loss" in line]
    form = (
        r"epoch \d/3: +\d+%\|.+\| \d+/78 \[\d\d:\d\d<\d\d:\d\d, +[\d.]+batch/s, "
        r"train_loss ([\d.]+), lr [\d.e-]+(, loss [\d.]+)?\]"
    )
    matches = [re.fullmatch(form, line.strip()) for line in bars]
    assert len(bars) > UPDATES
    assert all(matches[5:]), bars
    losses = [float(match[1]) for match in matches[5:]]
    assert losses[0] > losses[-1]


# what it writes


@pytest.mark.full
def test_choices_for_the_samples(char_lm):
    first = char_lm(*SMALL)
    again = ["--resume", "runs/char_lm/checkpoint.safetensors"]
    prompted = char_lm(*again, "--prompt", "the ")
    assert prompted.last_sample().startswith("the ")
    assert len(prompted.last_sample()) == 504
    greedy = char_lm(*again, "--top-k", "1")
    hot = char_lm(*again, "--top-k", "1", "--temperature", "100")
    assert greedy.last_sample() == hot.last_sample()
    assert greedy.last_sample() != first.last_sample()
    few = char_lm(*again, "--top-k", "2", "--temperature", "100").last_sample()
    wild = char_lm(*again, "--temperature", "100").last_sample()
    assert len(set(greedy.last_sample())) <= len(set(few)) < len(set(wild))


@pytest.mark.full
def test_a_finished_run_that_is_resumed_only_writes_a_sample(char_lm, tmp_path):
    first = char_lm(*SMALL, "--save", "a.safetensors")
    before = (tmp_path / "a.safetensors").stat().st_mtime_ns
    again = char_lm("--resume", "a.safetensors")
    assert again.status == 0
    assert again.samples() == []
    assert again.last_sample() == first.last_sample()
    assert again.scores() == first.scores()
    assert (tmp_path / "a.safetensors").stat().st_mtime_ns == before
    assert char_lm("--resume", "a.safetensors", "--save", "b.safetensors").status == 0
    contents = [(tmp_path / name).read_bytes() for name in ("a.safetensors", "b.safetensors")]
    assert contents[0] == contents[1]


# it stops and goes on

CONFIGURATIONS = {
    "lstm": [*SMALL, "--layers", "2"],
    "gru": [*SMALL, "--cell", "gru", "--seed", "5"],
    "rnn": [*SMALL, "--cell", "rnn", "--lr", "0.02", "--layers", "2"],
}


@pytest.fixture(scope="module")
def uninterrupted():
    """Return what whole runs left behind, by name; a cache."""
    return {}


@pytest.fixture
def whole(char_lm, uninterrupted, tmp_path):
    """Return a function that gives the outcome and the checkpoint of a run that is not interrupted."""

    def run(name):
        if name not in uninterrupted:
            done = char_lm(*CONFIGURATIONS[name], "--save", "whole.safetensors")
            assert done.status == 0, done.err
            uninterrupted[name] = done, (tmp_path / "whole.safetensors").read_bytes()
        return uninterrupted[name]

    return run


@pytest.fixture
def interrupting(monkeypatch):
    """Return a function that makes Ctrl-C come during certain updates, counted from now on."""
    updates, step = [], nn.optim.AdamW.step
    times = {}

    def counting(self, *arguments):
        step(self, *arguments)
        updates.append(None)
        for _ in range(times.get(len(updates), 0)):
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(nn.optim.AdamW, "step", counting)

    def set_times(new):
        updates.clear()
        times.clear()
        times.update(new)

    return set_times


def run_with_stops(char_lm, interrupting, name, stops):
    """Run with interruptions after these numbers of updates; return all outcomes."""
    done, before = [], 0
    for stop in stops:
        interrupting({stop - before: 1})
        begun = ["--resume", "run.safetensors"] if done else [*CONFIGURATIONS[name], "--save"]
        done.append(char_lm(*begun, *[] if done else ["run.safetensors"]))
        assert done[-1].status == 130, done[-1].err
        assert "stopped and saved; to go on:\n" in done[-1].out
        before = stop
    interrupting({})
    done.append(char_lm("--resume", "run.safetensors"))
    assert done[-1].status == 0, done[-1].err
    return done


RANDOM_STOPS = random.Random(20).sample(range(2, 3 * UPDATES), 10)
STOPS = [
    *[
        (name, (stop,))
        for name, stop in zip(["lstm", "gru", "rnn"] * 4, RANDOM_STOPS, strict=False)
    ],
    ("lstm", (1,)),
    ("gru", (UPDATES,)),  # exactly at the end of an epoch
    ("lstm", (2 * UPDATES,)),
    ("rnn", (3 * UPDATES,)),  # only scoring and writing were left
    ("lstm", (5, 40)),
    ("gru", (1, 2, UPDATES, UPDATES + 1)),
]


@pytest.mark.full
@pytest.mark.parametrize(("name", "stops"), STOPS)
def test_a_stopped_run_goes_on_bit_for_bit(char_lm, interrupting, whole, tmp_path, name, stops):
    expected, checkpoint = whole(name)
    done = run_with_stops(char_lm, interrupting, name, stops)
    assert [line for part in done for line in part.samples()] == expected.samples()
    assert done[-1].last_sample() == expected.last_sample()
    assert done[-1].scores() == expected.scores()
    # weights, state of the optimiser, random numbers and curves are all in the file
    assert (tmp_path / "run.safetensors").read_bytes() == checkpoint


@pytest.mark.full
def test_the_checkpoint_holds_the_whole_run(whole, tmp_path):
    """What the comparison of files above compares."""
    (tmp_path / "copy").write_bytes(whole("lstm")[1])
    found = mg.load(tmp_path / "copy")
    parts = found["parts"]
    assert {"embedding.weight", "recurrent.weight_hh_l1", "readout.bias"} <= set(parts["model"])
    state = parts["optimizer"]["state"]
    assert len(state) == len(parts["model"])
    assert {entry["step"] for entry in state.values()} == {3 * UPDATES}
    assert all(set(entry) == {"step", "exp_avg", "exp_avg_sq"} for entry in state.values())
    assert parts["scheduler"]["last_epoch"] == 3 * UPDATES
    assert {"counter", "key", "buffer"} <= set(parts["random"]) & set(parts["generator"])
    assert parts["run"]["updates"] == 3 * UPDATES
    assert [row["epoch"] for row in parts["run"]["history"]] == [1, 2, 3]
    assert len(parts["settings"]["settings"]) == 13


@pytest.mark.full
def test_an_interrupt_between_training_and_saving(char_lm, example, monkeypatch, whole, tmp_path):
    expected, checkpoint = whole("gru")
    write = example.Writer.on_epoch

    def interrupted(*arguments):
        signal.raise_signal(signal.SIGINT)
        return write(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(example.Writer, "on_epoch", interrupted)
        stopped = char_lm(*CONFIGURATIONS["gru"], "--save", "run.safetensors")
    assert stopped.status == 130
    assert len(stopped.samples()) == 2
    done = char_lm("--resume", "run.safetensors")
    assert stopped.samples() + done.samples() == expected.samples()
    assert (tmp_path / "run.safetensors").read_bytes() == checkpoint


@pytest.mark.full
def test_a_second_interrupt_ends_at_once(char_lm, interrupting, whole, tmp_path):
    expected, checkpoint = whole("gru")
    interrupting({UPDATES + 3: 2})
    stopped = char_lm(*CONFIGURATIONS["gru"], "--save", "run.safetensors")
    assert (stopped.status, stopped.err) == (130, "stopped\n")
    assert "to go on" not in stopped.out
    interrupting({})
    done = char_lm("--resume", "run.safetensors")  # from the end of the first epoch
    assert stopped.samples() + done.samples() == expected.samples()
    assert (tmp_path / "run.safetensors").read_bytes() == checkpoint


def until(process, text):
    """Read what a process prints up to a line that begins with ``text``; return it."""
    lines = []
    for line in process.stdout:
        lines.append(line)
        if line.startswith(text):
            return "".join(lines)
    raise AssertionError(f"it ended: {lines} {process.stderr.read()}")


@pytest.mark.full
def test_ctrl_c_in_a_terminal_and_the_command_that_it_prints(char_lm, tmp_path):
    settings = [*SMALL, "--epochs", "9", "--out", "it's here", "--prompt", "-the ", "--top-k", "3"]
    with start(tmp_path, *settings) as process:
        shown = until(process, "epoch 1/9")
        process.send_signal(signal.SIGINT)
        stopped = finish(process)
    assert (stopped.status, stopped.err) == (130, "")
    text, _, command = stopped.out.rpartition("to go on:\n")
    assert text.endswith("stopped and saved; ")
    assert shlex.split(command)[1] == str(SCRIPT)
    again = subprocess.run(
        command, shell=True, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=300
    )
    done = Done(again.returncode, again.stdout, again.stderr)
    assert (done.status, done.err) == (0, "")
    saved = (tmp_path / "it's here" / "checkpoint.safetensors").read_bytes()
    expected = char_lm(*settings)
    assert Done(0, shown + text, "").samples() + done.samples() == expected.samples()
    assert done.last_sample() == expected.last_sample()
    assert done.last_sample().startswith("-the ")
    assert (tmp_path / "it's here" / "checkpoint.safetensors").read_bytes() == saved
    assert (tmp_path / "it's here" / "loss.png").exists()
    assert not (tmp_path / "runs").exists()


@pytest.mark.full
def test_kill_leaves_the_last_good_checkpoint(char_lm, whole, tmp_path):
    expected, checkpoint = whole("lstm")
    with start(tmp_path, *CONFIGURATIONS["lstm"], "--save", "run.safetensors") as process:
        until(process, "epoch 1/3")
        process.kill()
        killed = finish(process)
    assert killed.status == -signal.SIGKILL
    done = char_lm("--resume", "run.safetensors")
    assert done.last_sample() == expected.last_sample()
    assert (tmp_path / "run.safetensors").read_bytes() == checkpoint


def test_there_is_a_checkpoint_from_the_beginning(char_lm, interrupting, tmp_path):
    interrupting({1: 2})
    assert char_lm(*SMALL, "--save", "run.safetensors").status == 130
    assert nn.Checkpoint(tmp_path / "run.safetensors").parts["run"]["updates"] == 0


# mistakes


def assert_one_line(done, text):
    assert done.status == 2
    assert done.err.startswith(f"char_lm: {text}")
    assert done.err.count("\n") == 1
    assert done.err.endswith("\n")
    assert done.out == ""


@pytest.fixture
def files(tmp_path):
    """Lay out files that are wrong in one way each."""
    (tmp_path / "empty.txt").write_text("")
    (tmp_path / "blank.txt").write_text(" \n\n")
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "latin").write_bytes("Straße".encode("latin-1") * 100)
    (tmp_path / "zero").write_bytes(b"ab\0cd" * 1000)
    (tmp_path / "short.txt").write_text("ab" * 10)
    (tmp_path / "good.txt").write_text(words("banana", "bandana"))
    (tmp_path / "bad.safetensors").write_bytes(b"not a checkpoint")
    mg.save(tmp_path / "weights.safetensors", nn.Linear(2, 2).state_dict())
    nn.save_checkpoint(tmp_path / "other.safetensors", {"settings": {"cell": "gru"}})
    nn.save_checkpoint(tmp_path / "plain.safetensors", None)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        # the text
        ("--data missing.txt", "cannot read missing.txt: No such file or directory"),
        ("--data .", "cannot read .: Is a directory"),
        ("--data empty.txt", "empty.txt is empty; give a file with text"),
        ("--data blank.txt", "blank.txt is empty; give a file with text"),
        ("--data binary", "binary is no UTF-8 text: byte 0 is 0xff; convert it to UTF-8, or give"),
        ("--data latin", "latin is no UTF-8 text: byte 4 is 0xdf; convert it to UTF-8, or give"),
        ("--data zero", "zero is no text: it holds a zero byte; give a text file"),
        (
            "--data short.txt",
            "the text has 20 characters, and --batch 32 takes 330; give a longer text or a smaller",
        ),
        ("--batch 1000000 --data good.txt", "the text has 11251 characters, and --batch 1000000"),
        ("--limit 329 --data good.txt", "the text has 329 characters, and --batch 32 takes 330"),
        # settings
        ("--cell tree", "argument --cell: 'tree' is no cell; give rnn, lstm, gru, rnn_tanh,"),
        ("--hidden 0", "argument --hidden: '0' is not a whole number from 1 to 4096"),
        ("--hidden 10000000", "argument --hidden: '10000000' is not a whole number from 1 to 4096"),
        ("--layers 17", "argument --layers: '17' is not a whole number from 1 to 16"),
        ("--batch -3", "argument --batch: '-3' is not a whole number from 1 to 1000000"),
        ("--seq-len many", "argument --seq-len: 'many' is not a whole number from 1 to 1000000"),
        ("--epochs 1.5", "argument --epochs: '1.5' is not a whole number from 1 to 1000000"),
        ("--lr nan", "argument --lr: 'nan' is not a number from 1e-09 to 1"),
        ("--lr 0", "argument --lr: '0' is not a number from 1e-09 to 1"),
        ("--seed -1", "argument --seed: '-1' is not a whole number from 0 to"),
        ("--limit 99", "argument --limit: '99' is not a whole number from 100 to 1000000000"),
        ("--temperature 0", "argument --temperature: '0' is not a number from 0.01 to 100"),
        ("--top-k 0", "argument --top-k: '0' is not a whole number from 1 to 1000000"),
        ("--layer 1 --wrong", "unrecognized arguments: --wrong"),
        ("--prompt café --data good.txt", "the character 'c' does not occur in the text that"),
        # devices
        ("--device tpu --data good.txt", "unknown device 'tpu'; write"),
        # places to write to
        ("--data good.txt --out good.txt", "good.txt: File exists"),
        ("--data good.txt --out good.txt/below", "good.txt/below: Not a directory"),
        (
            "--data good.txt --save missing/a.safetensors",
            "missing/a.safetensors: save(): No such file or directory; check the path, and that its",
        ),
        ("--data good.txt --save .", ".: save(): Is a directory; name a file in it"),
        ("--data good.txt --save /dev/full", "save(): '/dev/full' is a device or a pipe; name a"),
        # checkpoints
        (
            "--resume missing.safetensors",
            "missing.safetensors: load(): No such file or directory; check the path, and that its",
        ),
        ("--resume .", ".: load(): Is a directory; name a file in it"),
        (
            "--resume empty.txt",
            "load(): 'empty.txt' cannot be read as a safetensors file: it has 0",
        ),
        ("--resume bad.safetensors", "load(): 'bad.safetensors' cannot be read as a safetensors"),
        (
            "--resume weights.safetensors",
            "'weights.safetensors' is no checkpoint of a training run; give a file that",
        ),
        (
            "--resume other.safetensors",
            "other.safetensors is the checkpoint of another program; give one of this",
        ),
        ("--resume plain.safetensors", "plain.safetensors is the checkpoint of another program"),
        (
            "--resume other.safetensors --hidden 8",
            "with --resume the settings are those of the checkpoint; leave out the others",
        ),
        ("--resume other.safetensors --quick", "with --resume the settings are those of the"),
    ],
)
@pytest.mark.usefixtures("files")
def test_mistakes_are_answered_with_one_line(char_lm, arguments, text):
    assert_one_line(char_lm(*arguments.split()), text)


def test_a_gpu_that_is_not_there(char_lm, tmp_path, files, monkeypatch):
    monkeypatch.setitem(sys.modules, "cupy", None)  # as if it were not installed
    done = char_lm("--device", "cuda", "--data", "good.txt")
    assert done.status == 2
    assert re.match(r"char_lm: .*cupy.*\n$", done.err, re.IGNORECASE)
    assert done.out == ""


def test_mistakes_of_a_process(tmp_path):
    assert_one_line(finish(start(tmp_path, "--data", "missing.txt")), "cannot read missing.txt: No")


@pytest.mark.full
def test_a_model_that_does_not_fit_into_the_memory(tmp_path):
    def limited():
        resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))

    sizes = "--hidden 4096 --layers 8 --limit 1000".split()
    done = finish(start(tmp_path, *sizes, before=limited))
    assert_one_line(done, "out of memory: Unable to allocate")


@pytest.fixture
def finished(char_lm, tmp_path):
    """Return the checkpoint of a run on ``text.txt``."""
    (tmp_path / "text.txt").write_text(words("banana", "bandana", "cabana"))
    done = char_lm("--data", "text.txt", *SMALL, "--limit", "2000", "--save", "run.safetensors")
    assert done.status == 0, done.err
    return tmp_path / "run.safetensors"


@pytest.mark.full
@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda text: text.replace("c", "k"), "vocabulary: the text has other characters than"),
        (lambda text: text.upper(), "vocabulary: the text has other characters than"),
        (lambda text: "a" + text[1:], "train: this is not the data that the position belongs"),
        (lambda text: text[:1999] + "a" + text[2000:], "validation: this is not the data that"),
        (lambda text: text[:1900], "train: this is not the data that the position belongs to"),
    ],
)
def test_a_text_that_has_changed_meanwhile(char_lm, finished, change, text):
    path = finished.parent / "text.txt"
    before, after = path.read_text(), change(path.read_text())
    assert before[:2000] != after[:2000]
    path.write_text(after)
    assert_one_line(char_lm("--resume", finished.name), f"restoring 'run.safetensors': {text}")
    path.write_text(before[:2000] + "more that is not read")
    assert char_lm("--resume", finished.name).status == 0


@pytest.mark.full
def test_a_text_that_is_gone(char_lm, finished):
    (finished.parent / "text.txt").unlink()
    assert_one_line(char_lm("--resume", finished.name), "cannot read text.txt: No such file")


@pytest.mark.full(but=["0.5"])
@pytest.mark.parametrize("share", [0.0, 0.001, 0.5, 0.999])
def test_a_checkpoint_that_is_cut_off(char_lm, finished, share):
    content = finished.read_bytes()
    finished.write_bytes(content[: int(share * len(content))])
    done = char_lm("--resume", finished.name)
    assert_one_line(done, "load(): 'run.safetensors' ")
    assert re.search("is damaged|cannot be read", done.err)


@pytest.mark.full
def test_a_checkpoint_with_a_changed_bit(char_lm, finished):
    content = bytearray(finished.read_bytes())
    content[len(content) // 2] ^= 4
    finished.write_bytes(content)
    done = char_lm("--resume", finished.name)
    assert_one_line(done, "load(): 'run.safetensors' is damaged: its checksum does not match")


def test_help_says_everything(char_lm, example):
    done = char_lm("--help")
    assert (done.status, done.err) == (0, "")
    for name in example.PROGRAM.settings:
        assert f"--{name.replace('_', '-')} " in done.out
    assert "(default: 384)" in done.out
    shown = done.out.split("options:\n")[1]
    options = [" ".join(text.split()) for text in re.split(r"\n  (?=-)", shown)[1:]]  # no --help
    assert [text for text in options if "(default: " not in text and "--quick" not in text] == []
    assert "--hidden 96, --dropout 0.0" in " ".join(done.out.split())
