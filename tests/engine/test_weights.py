"""Saving and loading: every tree comes back, every damaged or hostile file is refused."""

# ruff: noqa: E501  the texts are compared whole
import collections
import contextlib
import errno
import hashlib
import json
import math
import os
import pathlib
import pickle
import random
import re
import struct
import sys
import tempfile
import zipfile

import ml_dtypes
import numpy as np
import pytest
import safetensors.numpy
from hypothesis import given
from hypothesis import strategies as st

import minigrad as mg
from minigrad import nn
from minigrad.errors import ArgumentError, BackendError, DtypeError, FileFormatError

BFLOAT16 = np.dtype(ml_dtypes.bfloat16)
DTYPES = [
    *map(np.dtype, "bool float16 float32 float64 int8 int16 int32 int64".split()),
    *map(np.dtype, "uint8 uint16 uint32 uint64".split()),
    BFLOAT16,
]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "state.safetensors"


def round_trip(state, path):
    mg.save(path, state)
    return mg.load(path)


def bits(array):
    """Return the bytes of an array, element by element in C order, little end first."""
    native = array.astype(array.dtype.newbyteorder("="))  # moves bytes, computes nothing
    return b"".join(element.tobytes() for element in native.reshape(-1))


def key(tree):
    """Return a value that is equal only for trees of the same types and bits."""
    if isinstance(tree, mg.Tensor):
        assert type(tree) is mg.Tensor
        assert not tree.requires_grad
        tree = tree.numpy()
    if isinstance(tree, np.ndarray):
        return "array", tree.dtype.name, tree.shape, bits(tree)
    if isinstance(tree, dict):
        return "dict", [(type(k), k, key(v)) for k, v in tree.items()]
    if isinstance(tree, (list, tuple)):
        return type(tree), [key(item) for item in tree]
    return type(tree), struct.pack("<d", tree) if isinstance(tree, float) else tree


def random_bits(dtype, shape, seed=0):
    """Return an array of random bits, so that NaNs of all kinds and denormals are among them."""
    rng = np.random.default_rng(seed)
    if dtype.kind == "b":
        return rng.integers(0, 2, shape).astype(bool)
    raw = rng.bytes(math.prod(shape) * dtype.itemsize)
    return np.frombuffer(bytearray(raw), dtype).reshape(shape)


# arrays

LAYOUTS = {
    "contiguous": lambda a: a,
    "transposed": lambda a: a.T,
    "strided": lambda a: a[::2, ::3],
    "backwards": lambda a: a[::-1, ::-2],
    "Fortran": np.asfortranarray,
    "broadcast": lambda a: np.broadcast_to(a[0], (3, *a[0].shape)),
    "zero-dimensional": lambda a: a[1, 2:3].reshape(()),
    "empty": lambda a: a[:0],
    "empty in the middle": lambda a: a[:, :0, None],
    "big-endian": lambda a: a.astype(a.dtype.newbyteorder(">")),
    "big-endian, strided": lambda a: a.astype(a.dtype.newbyteorder(">"))[::2, ::-1],
    "read-only": lambda a: np.frombuffer(a.tobytes(), a.dtype).reshape(a.shape),
    "unaligned": lambda a: np.frombuffer(b"x" + a.tobytes(), np.uint8)[1:].view(a.dtype),
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", DTYPES, ids=lambda dtype: dtype.name)
def test_arrays_come_back_bit_for_bit(dtype, layout, path):
    array = LAYOUTS[layout](random_bits(dtype, (4, 7)))
    found = round_trip({"w": array}, path)["w"]
    assert (found.dtype, found.shape) == (dtype, array.shape)
    assert bits(found.numpy()) == bits(array)


@pytest.mark.parametrize("dtype", DTYPES, ids=lambda dtype: dtype.name)
def test_the_file_holds_the_elements_in_order_as_the_format_says(dtype, path):
    array = random_bits(dtype, (4, 7)).T
    mg.save(path, {"w": array})
    content = path.read_bytes()
    length = int.from_bytes(content[:8], "little")
    entry = json.loads(content[8 : 8 + length])["w"]
    start, stop = entry["data_offsets"]
    assert entry["shape"] == [7, 4]
    assert content[8 + length :][start:stop] == bits(array)


def test_signalling_nans_keep_their_payload(path):
    words = np.array([0x7F800001, 0xFF923456, 0x7FC00000, 0x80000000], np.uint32)
    for given_as in (words.view(np.float32), words.astype(">u4").view(">f4")):
        found = round_trip(given_as, path).numpy()
        assert found.view(np.uint32).tolist() == words.tolist()


def test_tensors_and_parameters_come_back_as_tensors_without_gradient(path):
    x = mg.tensor([1.0, 2.0], requires_grad=True)
    found = round_trip([x, x * x, nn.Parameter(mg.ones(2))], path)
    assert key(found) == key([np.float32([1, 2]), np.float32([1, 4]), np.float32([1, 1])])


def test_views_of_tensors_come_back(path):
    x = mg.tensor(np.arange(24.0).reshape(2, 3, 4))
    views = {"t": x.mT, "row": x[:, 1], "back": mg.flip(x, axis=0), "wide": x[..., ::2]}
    assert key(round_trip(views, path)) == key({k: v.numpy() for k, v in views.items()})


def test_saving_does_not_share_or_change_memory(path):
    array = np.arange(6, dtype=">f4").reshape(2, 3).T
    before = array.tobytes()
    mg.save(path, array)
    found = mg.load(path)
    array[:] = 7
    assert before == np.asarray(found.numpy(), ">f4").tobytes()
    found[0, 0] = 1.0  # is memory of its own, not that of the file
    assert mg.load(path)[0, 0].item() == 0.0


def test_a_bool_of_a_foreign_file_is_0_or_1(path):
    write_file(path, {"w": {"dtype": "BOOL", "shape": [3], "data_offsets": [0, 3]}}, b"\0\1\2")
    found = mg.load(path)["w"]
    assert found.numpy().view(np.uint8).tolist() == [0, 1, 1]


# plain data

PLAIN = [
    None, True, False, 0, -1, 2**63, -(2**64), 2**64, 10**5000, -(10**400),
    0.1, -0.0, 5e-324, 1.7976931348623157e308, math.inf, -math.inf, math.nan,
    struct.unpack(">d", bytes.fromhex("fff0000000abcdef"))[0],
    "", "text", 'quotes " and \\ and \n', "ß→𝄞", "\ud800", "\0", '{"dict":[]}',
    [], (), {}, [[]], ((),), {"a": {}}, [None, (1, [2.5, ("x",)])],
    {1: "int", "1": "str", -5: 0, 2**70: 0, "": 0},
    {"dict": [], "tensor": "w", "tuple": 3}, {"tensor": "w"}, {"float": "7ff0000000000000"},
]  # fmt: skip


@pytest.mark.parametrize("number", range(len(PLAIN)))
def test_plain_data_come_back_with_their_types(number, path):
    value = PLAIN[number]
    assert key(round_trip(value, path)) == key(value)


def test_a_checkpoint_comes_back_in_its_order(path):
    state = {
        "model": {"b": mg.ones(2), "a": mg.zeros((2, 3), dtype="float64")},
        "optimizer": {
            "state": {0: {"step": 3, "exp_avg": mg.ones(2)}, 1: {}},
            "param_groups": [{"lr": 1e-3, "betas": (0.9, 0.999), "params": [0, 1]}],
        },
        "losses": [2.5, math.inf, 1.25],
        "text": "abc",
    }
    assert key(round_trip(state, path)) == key(state)


def test_numbers_of_numpy_become_numbers_of_python(path):
    given_as = {
        "f2": np.float16(0.1), "f4": np.float32(0.1), "f8": np.float64(0.1), "nan": np.float64("nan"),
        "i1": np.int8(-3), "u8": np.uint64(2**64 - 1), "b": np.True_, "s": np.str_("x"),
        "bf": BFLOAT16.type(0.1),
    }  # fmt: skip
    expected = {
        "f2": 0.0999755859375, "f4": 0.10000000149011612, "f8": 0.1, "nan": math.nan,
        "i1": -3, "u8": 18446744073709551615, "b": True, "s": "x", "bf": 0.10009765625,
    }  # fmt: skip
    assert key(round_trip(given_as, path)) == key(expected)


def test_dicts_of_other_classes_come_back_as_dicts(path):
    counts = collections.defaultdict(list, {"b": [1], "a": [2]})
    found = round_trip([counts, collections.OrderedDict(x=1)], path)
    assert key(found) == key([{"b": [1], "a": [2]}, {"x": 1}])


def test_what_stands_twice_is_saved_twice(path):
    w, numbers = mg.ones(2), [1]
    found = round_trip({"in": w, "out": w, "n": numbers, "m": numbers}, path)
    found["in"][0] = 5.0
    found["n"].append(2)
    assert found["out"].tolist() == [1.0, 1.0]
    assert found["m"] == [1]


def test_the_same_state_gives_the_same_file(path):
    state = {"b": mg.ones(2), "a": [mg.zeros(3), 1.5]}
    mg.save(path, state)
    first = path.read_bytes()
    mg.save(path, state)
    assert path.read_bytes() == first


@pytest.mark.parametrize("drawn", [0, 1, 3])
def test_a_generator_goes_on_exactly(drawn, path):
    generator = mg.Generator(2**80 + 1).split(2)[1]
    generator.uniform((drawn,))
    generator.integers(0, 2**31, (drawn,))
    state = round_trip(generator.get_state(), path)
    assert key(state) == key(generator.get_state())
    other = mg.Generator(0)
    other.set_state(state)
    for draw in ("uniform", "normal"):
        assert key(getattr(other, draw)((9,))) == key(getattr(generator, draw)((9,)))
    assert key(other.split()[0].uniform((3,))) == key(generator.split()[0].uniform((3,)))


leaves = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=True),
    st.text(st.characters(exclude_categories=())),
    st.builds(
        random_bits,
        st.sampled_from(DTYPES),
        st.lists(st.integers(0, 3), max_size=3).map(tuple),
        st.integers(0, 99),
    ),
)
keys = st.one_of(st.text(st.characters(exclude_categories=()), max_size=4), st.integers())
trees = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.lists(inner, max_size=4).map(tuple),
        st.dictionaries(keys, inner, max_size=4),
        st.dictionaries(st.sampled_from(["a", "a.b", "b", "0", 0, "__metadata__"]), inner),
    ),
    max_leaves=20,
)


@given(tree=trees)
def test_any_tree_comes_back(tree, tmp_path_factory):
    path = tmp_path_factory.mktemp("tree") / "t.safetensors"
    assert key(round_trip(tree, path)) == key(tree)


# names

NAMES = [
    ({"w": 0, "b": 0}, ["w", "b"]),
    ({"model": {"lstm.weight_ih_l0": 0}}, ["model.lstm.weight_ih_l0"]),
    ({"state": {0: [0, (0,)]}}, ["state.0.0", "state.0.1.0"]),
    (0, ["tensor"]),
    ({"a.b": 0, "a": {"b": 0}}, ["a.b", "a.b'"]),
    ({1: 0, "1": 0}, ["1", "1'"]),
    ({"a'": 0, "a": {"": 0}}, ["a'", "a."]),
    ({"a.b": 0, "a.b'": 0, "a": {"b": 0}}, ["a.b", "a.b'", "a.b''"]),
    ({"__metadata__": 0}, ["__metadata__'"]),
    ({"\ud800": 0, "ä": 0}, ["\\ud800", "ä"]),
]


@pytest.mark.parametrize(("tree", "names"), NAMES)
def test_names_of_tensors_are_paths(tree, names, path):
    def filled(tree):
        if isinstance(tree, dict):
            return {k: filled(v) for k, v in tree.items()}
        if isinstance(tree, (list, tuple)):
            return type(tree)(map(filled, tree))
        return mg.tensor(next(numbers))

    numbers = iter(range(9))
    state = filled(tree)
    mg.save(path, state)
    read = safetensors.numpy.load_file(path)
    assert {name: array.item() for name, array in read.items()} == {
        name: n for n, name in enumerate(names)
    }
    assert key(mg.load(path)) == key(state)


def test_a_file_of_another_program_gives_its_tensors_by_name(path):
    arrays = {"z.w": np.arange(6.0).reshape(2, 3), "a": np.array(3), "": np.ones((0, 2))}
    for metadata in (None, {}, {"format": "pt"}, {"minigrad": "not ours"}):
        safetensors.numpy.save_file(arrays, path, metadata)
        found = mg.load(path)
        assert {n: key(t) for n, t in found.items()} == {n: key(a) for n, a in arrays.items()}


def test_tensors_of_another_program_come_in_the_order_of_its_header(path):
    entry = {"dtype": "U8", "shape": [1], "data_offsets": None}
    names = list("qwertzuiop")
    header = {n: {**entry, "data_offsets": [i, i + 1]} for i, n in enumerate(names)}
    write_file(path, header, bytes(10))
    assert list(mg.load(path)) == names


def test_another_program_reads_what_we_write(path):
    state = {"w": mg.tensor(np.arange(6.0).reshape(2, 3)), "n": mg.tensor([1, 2])}
    mg.save(path, state)
    found = safetensors.numpy.load_file(path)
    assert {n: key(a) for n, a in found.items()} == {n: key(t) for n, t in state.items()}


# paths and devices


def test_a_path_may_be_a_str_a_path_or_bytes(path):
    for kind in (str, pathlib.Path, os.fsencode):
        mg.save(kind(path), kind.__name__)
        assert mg.load(kind(path)) == kind.__name__


def test_names_may_hold_any_character(tmp_path):
    for name in ("with space", "ß→", "new\nline", "x" * 250, ".hidden"):
        assert round_trip(name, tmp_path / name) == name


@pytest.mark.parametrize("device", [None, "cpu"])
def test_tensors_go_to_the_device(device, path):
    mg.save(path, mg.ones(2))
    assert mg.load(path, device).device == mg.load(path, device=device).device == "cpu"


def test_an_unknown_device_is_refused_before_reading(path):
    with pytest.raises(BackendError, match="unknown device 'gpu'; write"):
        mg.load(path, device="gpu")


# what cannot be saved


class Thing:
    pass


Point = collections.namedtuple("Point", "x y")
ADVICE = (
    "; use tensors, NumPy arrays, numbers, strings, None, lists, tuples and dicts, for a module its "
    "state_dict()"
)
DEEP = (
    "save(): state[0][0][0]... is more than 64 levels deep, or contains itself; save a flatter tree"
)


def nested(levels):
    tree = []
    for _ in range(levels):
        tree = [tree]
    return tree


def itself():
    tree = []
    tree += [tree, tree]
    return tree


STORED = (
    "is not supported; use one of float16, float32, float64, int8, int16, int32, int64, uint8, uint16, "
    "uint32, uint64, bool, bfloat16"
)
REFUSED = [
    (lambda: {"optimizer": [0, 1, 2, len]}, "state['optimizer'][3]: cannot save a builtin_function_or_method"),
    (lambda: {"f": lambda: 0}, "state['f']: cannot save a function"),
    (Thing, "state: cannot save a Thing"),
    (lambda: [{1, 2}], "state[0]: cannot save a set"),
    (lambda: (b"ab",), "state[0]: cannot save a bytes"),
    (lambda: {3: 1j}, "state[3]: cannot save a complex"),
    (lambda: {"m": nn.Linear(2, 3)}, "state['m']: cannot save a Linear"),
    (lambda: Point(1, 2), "state: cannot save a Point"),
    (lambda: np.ma.masked_array([1.0, 2.0], [True, False]), "state: cannot save a MaskedArray"),
    (lambda: errno, "state: cannot save a module"),
    (lambda: np.longdouble(1), "state: cannot save a longdouble"),
    (lambda: np.complex64(1), "state: cannot save a complex64"),
    (lambda: np.datetime64("2026-01-01", "ns"), "state: cannot save a datetime64"),
    (lambda: np.zeros(1, "i4,f4")[0], "state: cannot save a void"),
]  # fmt: skip
REFUSED = [(state, f"save(): {text}{ADVICE}", ArgumentError) for state, text in REFUSED]
REFUSED += [
    (lambda: {"a": [np.ones(2, complex)]}, f"save(): state['a'][0]: dtype dtype('complex128') {STORED}", DtypeError),
    (lambda: np.array([None]), f"save(): state: dtype dtype('O') {STORED}", DtypeError),
    (lambda: np.array(["x"]), f"save(): state: dtype dtype('<U1') {STORED}", DtypeError),
    (lambda: np.ones(1, "i4,f4"), f"save(): state: dtype dtype([('f0', '<i4'), ('f1', '<f4')]) {STORED}", DtypeError),
    (lambda: {(1, 2): 0}, "save(): state has the key (1, 2), a tuple; use str or int", ArgumentError),
    (lambda: [{True: 0}], "save(): state[0] has the key True, a bool; use str or int", ArgumentError),
    (lambda: {None: 0}, "save(): state has the key None, a NoneType; use str or int", ArgumentError),
    (lambda: nested(65), DEEP, ArgumentError),
    (itself, DEEP, ArgumentError),
]  # fmt: skip


@pytest.mark.parametrize(("state", "text", "kind"), REFUSED, ids=[r[1][:50] for r in REFUSED])
def test_what_cannot_be_saved_is_refused_with_its_place(state, text, kind, path):
    with pytest.raises(kind) as caught:
        mg.save(path, state())
    assert type(caught.value) is kind
    assert str(caught.value) == text
    assert list(path.parent.iterdir()) == []


def test_64_levels_can_be_saved(path):
    assert round_trip(nested(64), path) == nested(64)


def test_more_plain_data_than_the_format_holds_is_refused(path):
    with pytest.raises(ArgumentError) as caught:
        mg.save(path, "x" * 100_000_001)
    assert re.fullmatch(
        r"save\(\): the safetensors format cannot hold this state \(.*header too large\); it holds names "
        r"and plain data of up to 100 MB: put long lists of numbers in tensors",
        str(caught.value),
    )
    assert list(path.parent.iterdir()) == []


def test_a_safetensors_that_writes_another_header_is_noticed(path, monkeypatch):
    other = lambda arrays, metadata: b"\2" + bytes(7) + b"{}"
    monkeypatch.setattr(safetensors.numpy, "save", other)
    with pytest.raises(FileFormatError) as caught:
        mg.save(path, mg.ones(1))
    assert str(caught.value) == (
        f"save(): safetensors {safetensors.__version__} writes files that load() would not know as "
        "ours; install the version that minigrad asks for"
    )


# damage

TINY = {"w": np.arange(3, dtype=np.float32), "n": 1}


def refused(path, content):
    """Return the error that loading `content` gives, which must be ours and name the file."""
    path.write_bytes(content)
    with pytest.raises(FileFormatError) as caught:
        mg.load(path)
    assert str(caught.value).startswith(f"load(): {str(path)!r} ")
    assert len(str(caught.value)) < 600 + len(str(path))
    return str(caught.value).removeprefix(f"load(): {str(path)!r} ")


def flipped(content, bit):
    changed = bytearray(content)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


def saved(path, state):
    mg.save(path, state)
    return path.read_bytes()


def test_every_flipped_bit_of_a_tiny_file_is_noticed(path):
    content = saved(path, TINY)
    for bit in range(8 * len(content)):
        refused(path, flipped(content, bit))


def test_2000_flipped_bits_of_a_checkpoint_are_noticed(path):
    generator = mg.Generator(1)
    weights = {f"layer.{i}.weight": generator.normal((16, 9)) for i in range(4)}
    content = saved(path, {"model": weights, "random": generator.get_state(), "text": " " * 99})
    for bit in random.Random(7).sample(range(8 * len(content)), 2000):
        refused(path, flipped(content, bit))


def test_every_truncation_is_noticed(path):
    content = saved(path, TINY)
    for length in range(len(content)):
        refused(path, content[:length])


def test_appended_bytes_and_swapped_halves_are_noticed(path):
    content = saved(path, TINY)
    for changed in (content + b"\0", content + content, content[4:] + content[:4]):
        refused(path, changed)


def test_bytes_lost_in_the_middle_are_noticed(path):
    content = saved(path, TINY)
    for at in range(len(content)):
        refused(path, content[:at] + content[at + 1 :])


def test_a_block_of_zeros_is_noticed(path):
    content = saved(path, TINY)
    for start in range(len(content) - 16):
        if any(content[start : start + 16]):
            refused(path, content[:start] + bytes(16) + content[start + 16 :])


def test_what_a_damaged_file_is_told(path):
    content = saved(path, TINY)
    assert refused(path, flipped(content, 8 * len(content) - 1)) == (
        "is damaged: its checksum does not match, so it was cut off or changed after it was written; "
        "load an earlier copy"
    )


def test_the_checksum_is_that_of_the_page(path):
    """Compute it as docs/adr/0007 describes."""
    content = saved(path, TINY)
    (digits,) = re.findall(rb"[0-9a-f]{64}", content)
    assert hashlib.sha256(content.replace(digits, b"0" * 64)).hexdigest() == digits.decode()


# hostile files


def write_file(path, header, data=b""):
    """Write a safetensors file by hand; `header` is a dict or the text itself."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + data)


def write_signed(path, text, header=None, data=b""):
    """Write a file as `save` does, with a right checksum, but with any text in the metadata."""
    header = {"__metadata__": {"minigrad": text}, **(header or {})}
    raw = json.dumps(header, separators=(",", ":")).encode()
    content = len(raw).to_bytes(8, "little") + raw + data
    digits = hashlib.sha256(content).hexdigest().encode()
    path.write_bytes(content.replace(b"0" * 64, digits, 1))


def signed_tree(path, tree, header=None, data=b""):
    ours = f'{{"minigrad":1,"sha256":"{"0" * 64}","tree":'
    write_signed(
        path, ours + (tree if isinstance(tree, str) else json.dumps(tree)) + "}", header, data
    )


def entry(dtype="F32", shape=(1,), start=0, stop=4):
    return {"dtype": dtype, "shape": list(shape), "data_offsets": [start, stop]}


def message(path):
    return refused(path, path.read_bytes())


CANNOT = "cannot be read as a safetensors file: "
GIVE = "; give a file that minigrad.save() or safetensors wrote"

HEADERS = [
    ({"w": entry(stop=8)}, b"1234"),
    ({"w": entry(start=4, stop=0)}, b"1234"),
    ({"w": entry(start=-4, stop=0)}, b"1234"),
    ({"w": entry(), "v": entry()}, b"1234"),
    ({"w": entry(), "v": entry(start=2, stop=6)}, b"123456"),
    ({"w": entry(), "v": entry(start=5, stop=9)}, b"123456789"),
    ({"w": entry()}, b"12345"),
    ({"w": entry()}, b""),
    ({"w": entry(shape=(2,))}, b"1234"),
    ({"w": entry(shape=(-1,))}, b"1234"),
    ({"w": entry(shape=(2**62, 4))}, b"1234"),
    ({"w": entry(shape=(2**40,), stop=2**42)}, b"1234"),
    ({"w": entry(shape=(0, 2**63), stop=0)}, b""),
    ({"w": entry(shape=(0, 2**64 - 1), stop=0)}, b""),
    ({"w": entry(shape=[1] * 200)}, b"1234"),
    ({"w": entry(shape=(1.5,))}, b"1234"),
    ({"w": entry("F31")}, b"1234"),
    ({"w": entry(3)}, b"1234"),
    ({"w": {"dtype": "F32"}}, b"1234"),
    ({"w": None}, b"1234"),
    ({"w": []}, b""),
    ({"__metadata__": {"a": 1}}, b""),
    ({"__metadata__": []}, b""),
    ({"__metadata__": {"minigrad": {}}}, b""),
    ([], b""),
    (b"", b""),
    (b"{", b""),
    (b"\xff\xfe", b""),
    (b"3", b""),
    (b'"text"', b""),
    (b"[" * 100_000, b""),
    (b'{"a":' * 100_000, b""),
    (b'{"w":' + b"9" * 5000 + b"}", b""),
    (b'{"w":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},}', b"1"),
    (b'{"w":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}{}', b"1"),
    (b'{"\\ud800":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}', b"1"),
]


@pytest.mark.parametrize("number", range(len(HEADERS)))
def test_hostile_headers_are_refused(number, path):
    write_file(path, *HEADERS[number])
    found = message(path)
    assert found.startswith(CANNOT)
    assert found.endswith(GIVE)


@pytest.mark.parametrize(
    "raw",
    [
        b'{"w":%s,"w":%s}' % ((b'{"dtype":"U8","shape":[1],"data_offsets":[0,1]}',) * 2),
        b'{"w":{"dtype":"U8","dtype":"I8","shape":[1],"data_offsets":[0,1]}}',
        b'{"__metadata__":{},"__metadata__":{},"w":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}',
        b'{"__metadata__":{"a":"","a":""},"w":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}',
    ],
)
def test_a_key_that_stands_twice_is_refused(raw, path):
    write_file(path, raw, b"1")
    assert message(path) == f"{CANNOT}its header has the same key twice{GIVE}"


@pytest.mark.parametrize("length", [2**64 - 1, 2**63, 2**40, 101_000_000, 93])
def test_a_header_longer_than_the_file_is_refused(length, path):
    content = length.to_bytes(8, "little") + b"{}".ljust(92)
    assert refused(path, content) == f"{CANNOT}it has 100 bytes, which is too short{GIVE}"


@pytest.mark.parametrize(
    ("code", "bits"), [("F4", 4), ("F6_E2M3", 6), ("F8_E4M3", 8), ("F8_E8M0", 8), ("C64", 64)]
)
def test_element_types_that_we_do_not_store_are_refused(code, bits, path):
    write_file(path, {"w": entry(code, (8,), 0, bits)}, bytes(bits))
    assert message(path).startswith(CANNOT)


def test_the_text_for_an_element_type(path):
    write_file(path, {"w": entry("C64", (1,), 0, 8)}, bytes(8))
    assert message(path) == (
        f"{CANNOT}the tensor 'w' has the element type C64, which minigrad does not store{GIVE}"
    )


LONG = "x" * 100_000
TREES = [
    ({"tensor": "missing"}, "the tensor 'missing' is missing, or named twice"),
    ([{"tensor": "w"}, {"tensor": "w"}], "the tensor 'w' is missing, or named twice"),
    ([], "no place for the tensor 'w'"),
    ({"tensor": 3}, "an object with the keys ['tensor']"),
    ({"tensor": ["w"]}, "an object with the keys ['tensor']"),
    ({}, "an object with the keys []"),
    ({"dict": [], "tuple": []}, "an object with the keys ['dict', 'tuple']"),
    ({"tensor": "w", "more": 1}, "an object with the keys ['tensor', 'more']"),
    ({"pickle": "x"}, "an object with the keys ['pickle']"),
    ({"dict": {"a": 1}}, "an object with the keys ['dict']"),
    ({"dict": [["a"]]}, "an item of a dict that is not a key and a value"),
    ({"dict": ["ab"]}, "an item of a dict that is not a key and a value"),
    ({"dict": [["a", 1], ["a", 2]]}, "the key 'a' of a dict, which is twice there or no str or int"),
    ({"dict": [[1, 1], [{"int": "0x1"}, 2]]}, "the key 1 of a dict, which is twice there or no str or int"),
    ({"dict": [[True, 1]]}, "the key True of a dict, which is twice there or no str or int"),
    ({"dict": [[[1], 1]]}, "the key [1] of a dict, which is twice there or no str or int"),
    ({"dict": [[{"tensor": "w"}, 1]]}, "the tensor 'w' is missing, or named twice"),
    ({"int": 3}, "an object with the keys ['int']"),
    ({"int": "seven"}, "invalid literal for int() with base 16: 'seven'"),
    ({"float": "inf"}, "invalid literal for int() with base 16: 'inf'"),
    ({"float": "7ff0000000000000f"}, "int too big to convert"),
    ({"float": "-1"}, "can't convert negative int to unsigned"),
    ({"float": 1.5}, "an object with the keys ['float']"),
    (nested(65), "a tree of more than 64 levels"),
    ("[" * 100_000, "its header is nested too deeply"),
    ('{"dict":[["a",' * 50_000, "its header is nested too deeply"),
    ("", "its header is not JSON: Expecting value: line 1 column 98 (char 97)"),
    ('{"tuple":[],"tuple":[]}', "its header has the same key twice"),
    ("9" * 5000, "Exceeds the limit (4300 digits) for integer string conversion: value has 5000 digits; use sys.set_int_max_str_digits() to increase the limit"),
]  # fmt: skip


@pytest.mark.parametrize("number", range(len(TREES)))
def test_hostile_trees_are_refused_although_their_checksum_is_right(number, path):
    tree, text = TREES[number]
    signed_tree(path, tree, {"w": entry()}, b"1234")
    assert message(path) == f"{CANNOT}{text}{GIVE}"


def test_a_file_signed_by_hand_is_read(path):
    """What the hostile files above do right."""
    signed_tree(path, [{"tensor": "w"}, {"dict": [["a", 1]]}], {"w": entry("U8", (4,))}, b"1234")
    assert key(mg.load(path)) == key([np.frombuffer(b"1234", np.uint8), {"a": 1}])


@pytest.mark.parametrize(
    "tree", [{LONG: 1}, {"tensor": LONG}, {"int": LONG}, {"dict": [[[LONG], 1]]}]
)
def test_hostile_texts_are_told_in_few_words(tree, path):
    signed_tree(path, tree)
    message(path)  # asserts that it is short


@pytest.mark.parametrize(
    "text", ['"minigrad":2,"sha256":"{}","tree":0', '"minigrad":1,"sha256":"{}"']
)
def test_another_version_of_the_format_is_refused(text, path):
    write_signed(path, "{" + text.replace("{}", "0" * 64) + "}")
    assert message(path) == f"{CANNOT}its metadata are of another version of minigrad{GIVE}"


def test_a_tree_cannot_grow_beyond_its_file(path):
    """Ten lists of ten lists of ...: JSON has no names for what stands elsewhere in it."""
    laughs = json.dumps({"tuple": [{"dict": [["a", []]]}] * 20_000})
    signed_tree(path, laughs)
    assert len(mg.load(path)) == 20_000


# other files


def test_other_formats_are_named(path, tmp_path):
    with zipfile.ZipFile(tmp_path / "z", "w") as archive:
        archive.writestr("data.pkl", b"x")
    np.save(tmp_path / "n.npy", np.ones(3))
    for content, kind in [
        ((tmp_path / "z").read_bytes(), "a zip archive, as torch.save and numpy.savez write"),
        (pickle.dumps({"w": [1, 2]}), "a pickle"),
        ((tmp_path / "n.npy").read_bytes(), "an array of NumPy"),
        (b"\x89HDF\r\n\x1a\n" + bytes(99), "an HDF5 file"),
        (b"GGUF" + bytes(99), "a GGUF file"),
    ]:
        assert refused(path, content) == f"{CANNOT}it looks like {kind}{GIVE}"


def test_a_pickle_is_not_run(path):
    class Evil:
        def __reduce__(self):
            return os.mkdir, (str(path.parent / "ran"),)

    refused(path, pickle.dumps(Evil()))
    assert not (path.parent / "ran").exists()


@pytest.mark.parametrize(
    "content", [b"", b"x", b"1234567", b"some text\n", bytes(8), b"\xff" * 100]
)
def test_what_is_no_safetensors_file_is_refused(content, path):
    assert refused(path, content).startswith(CANNOT)


def test_an_empty_file_is_told_to_be_too_short(path):
    assert refused(path, b"") == f"{CANNOT}it has 0 bytes, which is too short{GIVE}"


def test_reading_waits_for_no_pipe(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for name in (str(tmp_path / "pipe"), "/dev/zero"):
        text = f"load(): {name!r} is a device or a pipe; name a file"
        with pytest.raises(FileFormatError, match=f"^{re.escape(text)}$"):
            mg.load(name)


def test_without_ml_dtypes_bfloat16_is_told_to_need_it(path, monkeypatch):
    mg.save(path, np.ones(2, BFLOAT16))
    monkeypatch.setitem(sys.modules, "ml_dtypes", None)
    with pytest.raises(DtypeError, match="bfloat16 needs the package ml_dtypes; run 'pip install"):
        mg.load(path)


# errors of the operating system


def test_errors_of_reading_say_what_to_do(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    for name, kind, text in [
        ("none", FileNotFoundError, "No such file or directory; check the path, and that its folder exists"),
        ("no/none", FileNotFoundError, "No such file or directory; check the path, and that its folder exists"),
        ("", IsADirectoryError, "Is a directory; name a file in it"),
        ("file/x", NotADirectoryError, "Not a directory; check the path, of which a part is a file and no folder"),
        ("x" * 300, OSError, "File name too long; choose a shorter name"),
    ]:  # fmt: skip
        for doing, attempt in [("load()", mg.load), ("save()", lambda path: mg.save(path, 1))]:
            if doing == "save()" and name == "none":
                continue
            path = str(tmp_path / name)
            with pytest.raises(kind) as caught:
                attempt(path)
            assert type(caught.value) is kind
            assert str(caught.value).endswith(f"] {doing}: {text}: {path!r}")
            assert caught.value.filename == path
    assert sorted(os.listdir(tmp_path)) == ["file"]


@contextlib.contextmanager
def without_privileges():
    """Do without the rights of the superuser, who may do anything."""
    before = os.geteuid()
    os.seteuid(65534 if before == 0 else before)
    try:
        yield
    finally:
        os.seteuid(before)


@pytest.fixture
def open_folder():
    """A folder that everybody may enter, which pytest's own is not."""
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        folder.chmod(0o777)
        yield folder


def test_permissions_are_respected(open_folder):
    path = open_folder / "state"
    denied = "Permission denied; choose another place, or change the permissions"
    attempts = {"load()": lambda: mg.load(path), "save()": lambda: mg.save(path, 2)}
    mg.save(path, 1)
    for doing, mode, folder_mode in [
        ("load()", 0o000, 0o777),
        ("save()", 0o444, 0o777),  # of a file that is protected from writing
        ("save()", 0o666, 0o555),
    ]:
        path.chmod(mode)
        open_folder.chmod(folder_mode)
        with without_privileges(), pytest.raises(PermissionError) as caught:
            attempts[doing]()
        assert str(caught.value) == f"[Errno 13] {doing}: {denied}: {str(path)!r}"
    path.chmod(0o644)
    assert mg.load(path) == 1


@pytest.mark.parametrize("wrong", [{"w": 1}, None, 3.5, ["x"]])
def test_a_path_that_is_none_is_refused(wrong):
    kind = type(wrong).__name__
    for doing, attempt in [("load()", mg.load), ("save()", lambda path: mg.save(path, "x"))]:
        with pytest.raises(ArgumentError) as caught:
            attempt(wrong)
        assert str(caught.value) == (
            f"{doing}: the path, which comes first, must be a str or a Path, but is a {kind}"
        )


def test_a_null_character_in_a_path_is_refused():
    with pytest.raises(ArgumentError) as caught:
        mg.load("a\0b")
    assert str(caught.value) == "load(): the path 'a\\x00b' holds a null character; leave it out"
