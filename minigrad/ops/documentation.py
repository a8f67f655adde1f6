"""What the docstrings of ops say beside the record: names that many ops share, results, one example each.

`minigrad.op_docstring` reads these tables. A name that means something else in one op stands there as
"op.name". Functions that are written in terms of ops have their docstrings in their source.
"""

from __future__ import annotations

from typing import Final

Entry = tuple[str, str]  # a type, and what it means

PROMOTION: Final = (
    "Dtypes meet in the highest kind (bool, integer, float), and there in the widest of a tensor."
)
ANY: Final[Entry] = ("Tensor", "Any shape.")
_MATRICES: Final[Entry] = ("Tensor", "Shape (..., n, m).")
_REDUCED: Final[Entry] = ("int or tuple of int", "The axes to reduce over; by default all.")
_NORMAL: Final[Entry] = (
    "int, tuple of int or None",
    "Axes whose elements add up to 1; None is all.",
)
_SEARCHED: Final[Entry] = ("int", "The axis to search; by default the tensor as if it were flat.")
_BROADCAST: Final = "a shape that broadcasts against the others"

PARAMETERS: Final[dict[str, Entry]] = {
    # attributes
    "axis": _REDUCED,
    "keepdims": ("bool", "Whether the reduced axes stay, with size 1."),
    "correction": ("float", "The squares are summed and divided by the count less this number."),
    "offset": ("int", "How many places above the main diagonal; negative is below."),
    "k": ("int", "A diagonal: 0 is the main one, 1 the next above it, -1 the next below."),
    "descending": ("bool", "Whether the largest elements come first."),
    "alpha": ("float", "Far below 0 the result is ``-alpha``."),
    "approximate": ('{"none", "tanh"}', "Exact, or by the formula with ``tanh``."),
    "include_initial": (
        "bool", "Whether to begin with 0, of products 1, which makes the axis longer by one."
    ),
    "min_val": ("float", "The lower bound."),
    "max_val": ("float", "The upper bound."),
    "negative_slope": ("float", "The slope below 0."),
    "num_classes": ("int", "The size of the new axis."),
    "ord": ("float", ("2 is Euclidean, ``inf`` the largest absolute value, ``-inf`` the smallest, 0 the "
                     "number of elements that are not 0; else ``sum(abs(x) ** ord) ** (1 / ord)``.")),
    "p": ("float", "The probability that an element is dropped, from 0 to 1."),
    "pad_width": ("sequence of pairs of int", "For each axis the sizes of the border (before, after)."),
    "padding_idx": ("int", "A row of ``weight`` that gets no gradient."),
    "scale_grad_by_freq": (
        "bool", "Whether the gradient of a row is divided by how often it was picked."
    ),
    "side": (
        '{"left", "right"}', "Whether a value goes before equal elements, or after them."
    ),
    "stable": ("bool", "Whether equal elements have to keep their order. They do anyway."),
    "sections": ("int or sequence of int", "How many equal parts, or the size of each part."),
    "value": ("float", "What the border is filled with."),
    "dtype": ("dtype or str", "The new dtype. To integers and bool no gradient flows."),
    "axes": ("sequence of int", "For each axis of the result, which axis of ``x`` it is."),
    "shape": ("int or tuple of int", "The new shape, of as many elements; one size may be -1."),
    "broadcast_to.shape": ("tuple of int", "The new shape; sizes above 1 stay as they are."),
    **dict.fromkeys(("argmax.axis", "argmin.axis"), _SEARCHED),
    "argsort.axis": ("int", "The axis to sort."),
    "concat.axis": ("int or None", "The axis to join along; None makes all tensors flat first."),
    **dict.fromkeys(
        ("cumulative_sum.axis", "cumulative_prod.axis"),
        ("int", "The axis to go along; may be left out if there is one only."),
    ),
    **dict.fromkeys(
        ("sum.dtype", "cumulative_sum.dtype", "cumulative_prod.dtype"),
        ("dtype or str", "What to convert the elements to before."),
    ),
    "gather.axis": ("int", "The axis that the indices count along."),
    **dict.fromkeys(("softmax.axis", "log_softmax.axis"), _NORMAL),
    "split.axis": ("int", "The axis to cut."),
    "stack.axis": ("int", "The place of the new axis in the result."),
    "unstack.axis": ("int", "The axis to take apart."),
    # arrays
    "clip.x": ("Tensor or number", "Any shape."),
    "clip.min": ("Tensor or number", f"The lower bound, of {_BROADCAST}."),
    "clip.max": ("Tensor or number", f"The upper bound, of {_BROADCAST}."),
    "concat.arrays": ("sequence of Tensor", f"Shapes that are equal but for the axis. {PROMOTION}"),
    "diagonal.x": _MATRICES,
    "dropout.mask": ("Tensor of bool", f"True where an element is kept, of {_BROADCAST}."),
    "embedding.indices": ("Tensor of int", "Any shape; from 0 to ``num_embeddings - 1``."),
    "embedding.weight": ("Tensor", "Shape (num_embeddings, embedding_dim)."),
    "gather.indices": ("Tensor of int", "The shape of the result: as many axes as ``x`` has."),
    "matmul.a": ("Tensor", "Shape (..., n, k), or (k,) for a vector."),
    "matmul.b": ("Tensor", f"Shape (..., k, m), or (k,) for a vector. {PROMOTION}"),
    "matrix_transpose.x": _MATRICES,
    "one_hot.indices": ("Tensor of int", "Any shape; from 0 to ``num_classes - 1``."),
    "searchsorted.x": ("Tensor", "Shape (n,): numbers in ascending order; NaN comes last."),
    "searchsorted.values": ("Tensor or number", "Any shape."),
    "searchsorted.sorter": ("Tensor of int", "Shape (n,): what `argsort` says, if ``x`` is in no order."),
    "stack.arrays": ("sequence of Tensor", f"One shape. {PROMOTION}"),
    "tril.x": _MATRICES,
    "triu.x": _MATRICES,
    **dict.fromkeys(("sin.x", "cos.x", "tan.x"), ("Tensor or number", "Angles in radians; any shape.")),
    "where.condition": ("Tensor of bool", f"Has {_BROADCAST}."),
    "where.a": ("Tensor or number", f"Taken where the condition holds; {_BROADCAST}."),
    "where.b": ("Tensor or number", f"Taken elsewhere; {_BROADCAST}. {PROMOTION}"),
}  # fmt: skip

# the dtype of the result of elementwise ops and reductions, if it is not that of the arguments
DTYPES: Final[dict[str, str]] = {
    **dict.fromkeys(
        "equal not_equal less less_equal greater greater_equal isnan isinf isfinite".split(), "bool"
    ),
    **dict.fromkeys("logical_and logical_or logical_xor logical_not all any".split(), "bool"),
    "signbit": "bool",
    **dict.fromkeys(("argmax", "argmin", "count_nonzero"), "int64"),
    "sum": "its dtype; of integers int64 or uint64",
}

# what the numbers of a result are
UNITS: Final[dict[str, str]] = {
    "acos": "Angles from 0 to pi, in radians. ",
    "argmax": "Positions. ",
    "argmin": "Positions. ",
    "asin": "Angles from -pi / 2 to pi / 2, in radians. ",
    "atan": "Angles from -pi / 2 to pi / 2, in radians. ",
    "atan2": "Angles from -pi to pi, in radians. ",
}

SEVERAL: Final = frozenset(("split", "unstack"))  # ops that return a tuple

RETURNS: Final[dict[str, str]] = {
    "astype": "The shape of ``x``, and the new dtype.",
    "argsort": "Positions along the axis, int64, in the shape of ``x``.",
    "broadcast_to": "The new shape, and the dtype of ``x``.",
    "concat": "The shapes joined: the axis is as long as all together. The dtype in which they meet.",
    **dict.fromkeys(
        ("cumulative_sum", "cumulative_prod"),
        "The shape of ``x``, one longer along the axis with ``include_initial``; its dtype, of "
        "integers int64 or uint64.",
    ),
    "diagonal": "Shape (..., length of the diagonal).",
    "dropout": "The broadcast shape, and the dtype of ``x``.",
    "embedding": "The shape of ``indices`` and one more axis, (..., embedding_dim).",
    "gather": "The shape of ``indices``, and the dtype of ``x``.",
    "log_softmax": "The shape of ``x``, and its dtype; of integers the default dtype.",
    "matmul": "Shape (..., n, m), without the axis n or m where a vector is given.",
    "matrix_transpose": "Shape (..., m, n).",
    "one_hot": "Shape (..., num_classes), float32.",
    "pad": "The shape of ``x``, larger by the borders.",
    "permute_dims": "The shape of ``x`` in the new order.",
    "reshape": "The new shape, and the dtype of ``x``.",
    "searchsorted": "Positions in ``x``, int64, in the shape of ``values``.",
    "softmax": "The shape of ``x``, and its dtype; of integers the default dtype.",
    "split": "Each of the shape of ``x`` but for the axis.",
    "stack": "The common shape and one axis more; the dtype in which they meet.",
    "tril": "The shape of ``x``, and its dtype.",
    "triu": "The shape of ``x``, and its dtype.",
    "unstack": "Each of the shape of ``x`` without the axis.",
}

_NO_EXTREME: Final = "If there is no such axis, or no element to choose from."

_BOOL: Final = {"DtypeError": "If the elements are bool."}
_NO_MATRIX: Final = {"ShapeError": "If ``x`` has fewer than two axes."}
_SEVERAL_AXES: Final = {
    "ShapeError": "If there is no such axis, or none is given and ``x`` has several."
}
_FLOATS: Final = {"DtypeError": "If the elements are floating-point numbers."}

RAISES: Final[dict[str, dict[str, str]]] = {
    **dict.fromkeys("subtract negative positive sign".split(), _BOOL),
    **dict.fromkeys("bitwise_and bitwise_or bitwise_xor bitwise_invert".split(), _FLOATS),
    **dict.fromkeys(
        ("bitwise_left_shift", "bitwise_right_shift"),
        _FLOATS | {"ArgumentError": "If a number of places is negative."},
    ),
    "argmax": {"ShapeError": _NO_EXTREME},
    "argmin": {"ShapeError": _NO_EXTREME},
    "astype": {"DtypeError": "If there is no such dtype."},
    "broadcast_to": {"ShapeError": "If ``x`` does not broadcast to the shape."},
    "concat": {"ShapeError": "If other axes differ in size, or there is no such axis."},
    **dict.fromkeys(("cumulative_sum", "cumulative_prod"), _SEVERAL_AXES),
    **dict.fromkeys(("diagonal", "matrix_transpose", "tril", "triu"), _NO_MATRIX),
    "dropout": {
        "ArgumentError": "If ``p`` does not lie between 0 and 1.",
        "ShapeError": "If the shapes do not broadcast.",
        "DtypeError": "If the mask is not bool.",
    },
    "embedding": {
        "ShapeError": "If ``weight`` does not have two axes.",
        "DtypeError": "If the indices are not integers.",
        "IndexingError": "If an index is negative or too large, or there is no row ``padding_idx``.",
    },
    "gather": {
        "IndexingError": "If an index is out of range or no integer, or the number of axes differs.",
        "ShapeError": "If there is no such axis.",
    },
    "gelu": {"ArgumentError": "If ``approximate`` has another value."},
    "logsumexp": {"ShapeError": _NO_EXTREME},
    "matmul": {"ShapeError": "If the inner sizes differ, or a scalar is given."},
    "max": {"ShapeError": _NO_EXTREME},
    "min": {"ShapeError": _NO_EXTREME},
    "one_hot": {
        "DtypeError": "If the indices are not integers.",
        "IndexingError": "If an index is negative or too large.",
    },
    "pad": {"ShapeError": "If ``pad_width`` does not hold a pair from 0 on for each axis."},
    "permute_dims": {"ShapeError": "If not each axis is named once."},
    "power": {"ArgumentError": "If integers are raised to a negative integer power."},
    "reshape": {"ShapeError": "If the new shape has another number of elements."},
    "searchsorted": {
        "ShapeError": "If ``x`` has not just one axis.",
        "ArgumentError": "If ``x`` is in no order, or ``side`` has another value.",
    },
    "split": {"ShapeError": "If there is no such axis, or the parts do not make up its size."},
    "stack": {"ShapeError": "If the shapes differ, or the result has no such axis."},
    "vector_norm": {
        "ShapeError": "If there is no such axis, it is named twice, or has no element for ``ord``.",
        "ArgumentError": "If ``ord`` is NaN.",
    },
}
