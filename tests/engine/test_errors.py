"""Every public error of the engine, by its text; docs/errors.md is the same table.

``python tests/engine/test_errors.py`` writes the page again.
"""

# ruff: noqa: E501  the texts are compared whole
import contextlib
import copy
import inspect
import pathlib
import pickle
import re
import sys
import tempfile

import numpy as np
import pytest

import minigrad as mg
from minigrad import errors
from minigrad.op import Domain, Op

PAGE = pathlib.Path(__file__).parents[2] / "docs" / "errors.md"

# What is tried, the class of the error, and its text. `x` is a leaf of ones of shape (3,) that requires
# a gradient, `y` is x * x. LINE stands for the file, line and text of the caller.
CASES = {
    "Making tensors": [
        (
            'mg.tensor("text")',
            "DtypeError",
            "tensor(): cannot make a tensor of text; give real numbers",
        ),
        (
            "mg.tensor(1j)",
            "DtypeError",
            "tensor(): cannot make a tensor of complex numbers; give real numbers",
        ),
        (
            "mg.tensor(None)",
            "DtypeError",
            "tensor(): cannot make a tensor of Python objects; give real numbers",
        ),
        (
            "mg.tensor([[1, 2], [3]])",
            "ShapeError",
            "tensor(): nested lists have different lengths; pad them to one length",
        ),
        (
            "mg.tensor([1, 2], requires_grad=True)",
            "DtypeError",
            'only floating-point tensors can require a gradient, not int64; convert with .astype("float32") first',
        ),
        (
            "mg.tensor(x)",
            "GradientError",
            "tensor() of a tensor that requires a gradient would lose it; use clone(), or detach()",
        ),
        (
            "mg.tensor([x, x])",
            "GradientError",
            "tensor() of a list of tensors would lose their gradients; join them with minigrad.stack, inner lists first",
        ),
        (
            'mg.tensor([1.0], dtype="complex64")',
            "DtypeError",
            "dtype 'complex64' is not supported; use one of float16, float32, float64, int8, int16, int32, int64, uint8, uint16, uint32, uint64, bool, bfloat16",
        ),
        (
            'mg.tensor([1.0], dtype="flot32")',
            "DtypeError",
            "dtype 'flot32' is not supported; did you mean 'float32'?; use one of float16, float32, float64, int8, int16, int32, int64, uint8, uint16, uint32, uint64, bool, bfloat16",
        ),
        (
            'mg.tensor([1.0], device="gpu")',
            "BackendError",
            'unknown device \'gpu\'; write "cpu", "cuda" or "cuda:1"',
        ),
        (
            'mg.tensor([1.0], device="cuda:x")',
            "BackendError",
            'unknown device \'cuda:x\'; write "cpu", "cuda" or "cuda:1"',
        ),
        (
            "mg.Tensor([1.0])",
            "TypeError",
            "make a tensor with minigrad.tensor(data), not by calling the class",
        ),
        ("mg.zeros((2, -1))", "ShapeError", "a shape holds non-negative integers, not (2, -1)"),
        ("mg.zeros((2, 1.5))", "ShapeError", "a shape holds non-negative integers, not (2, 1.5)"),
        ("mg.zeros(2.5)", "ShapeError", "a shape holds non-negative integers, not 2.5"),
        ('mg.zeros("ab")', "ShapeError", "a shape holds non-negative integers, not 'ab'"),
        ("mg.arange(0, 1, 0)", "ArgumentError", "arange: a step of 0 never arrives; use full()"),
        (
            "mg.linspace(0, 1, -1)",
            "ArgumentError",
            "linspace: num must be a non-negative integer, not -1",
        ),
        ("mg.eye(-1)", "ArgumentError", "eye: n_rows must be a non-negative integer, not -1"),
        (
            'mg.set_default_dtype("float16")',
            "DtypeError",
            "the default dtype must be float32 or float64, not float16",
        ),
        ("mg.rand(2, -3)", "ShapeError", "a shape holds non-negative integers, not (2, -3)"),
        (
            'mg.full((2,), "a")',
            "DtypeError",
            "full: cannot make a tensor of text; give real numbers",
        ),
        (
            'mg.asarray([1, "a"])',
            "DtypeError",
            "tensor(): cannot make a tensor of text; give real numbers",
        ),
        (
            "mg.from_dlpack(3)",
            "TypeError",
            "from_dlpack: a int does not speak DLPack; use minigrad.tensor(...)",
        ),
        (
            "mg.from_dlpack([1.0])",
            "TypeError",
            "from_dlpack: a list does not speak DLPack; use minigrad.tensor(...)",
        ),
        (
            'mg.tensor([1, 300], dtype="uint8")',
            "DtypeError",
            'tensor(): 300 at position 1 does not fit uint8, which holds integers from 0 to 255; use another dtype, or convert with .astype("uint8"), as C does',
        ),
        (
            'mg.full(2, float("nan"), dtype="int64")',
            "DtypeError",
            'full: nan does not fit int64, which holds integers from -9223372036854775808 to 9223372036854775807; use another dtype, or convert with .astype("int64"), as C does',
        ),
        ("mg.cholesky", "AttributeError", "minigrad has no function 'cholesky'"),
        (
            "mg.softmx",
            "AttributeError",
            "minigrad has no function 'softmx'; did you mean 'softmax'?",
        ),
    ],
    "Using tensors": [
        (
            "mg.ones(3) + mg.ones(2)",
            "ShapeError",
            "add(float32[3], float32[2]): operands could not be broadcast together with shapes (3,) (2,); sizes must be equal or 1, counted from the last axis; use reshape or expand_dims",
        ),
        (
            'mg.add(mg.ones(2), "text")',
            "TypeError",
            "add(): b must be a tensor, an array or a number, but is a str",
        ),
        (
            "mg.add(mg.ones(2), [1.0, 2.0])",
            "TypeError",
            "add(): b must be a tensor, an array or a number, but is a list; convert it with minigrad.tensor(...)",
        ),
        (
            "mg.ones(2) + None",
            "ArgumentError",
            "add(float32[2], None): b is None; give a tensor or a number",
        ),
        ("mg.add(1.0)", "TypeError", "add() misses its argument 'b'"),
        (
            "mg.softmax(mg.ones(2), dim=0)",
            "TypeError",
            "softmax(x, /, axis=-1) has no argument 'dim'; it is called 'axis' here",
        ),
        (
            "mg.add(mg.ones(2), mg.ones(2), dim=0)",
            "TypeError",
            "add(a, b) has no argument 'dim'",
        ),
        (
            "mg.sum(mg.ones(2), axs=0)",
            "TypeError",
            "sum(x, /, *, axis=None, keepdims=False, dtype=None) has no argument 'axs'; did you mean 'axis'?",
        ),
        (
            "mg.add(mg.ones(1), mg.ones(1), mg.ones(1))",
            "TypeError",
            "add(a, b) takes 2 arguments, but 3 were given",
        ),
        (
            "mg.concat(mg.ones(2))",
            "TypeError",
            "concat() takes a list or tuple of tensors first, but found Tensor; write minigrad.concat([a, b], ...)",
        ),
        ("mg.concat([])", "TypeError", "concat(arrays, /, *, axis=0) needs at least one tensor"),
        (
            "mg.sum(mg.ones((2, 3)), axis=2)",
            "ShapeError",
            "sum(float32[2, 3], axis=2): axis 2 is out of bounds for array of dimension 2; axes count from 0, or from -1 backwards",
        ),
        (
            "mg.pad(mg.ones(2), 1)",
            "ShapeError",
            "pad(float32[2], pad_width=1): pad_width must hold a pair (before, after) of sizes for each of the 1 axes, not 1",
        ),
        (
            "mg.one_hot(mg.ones(2), 3)",
            "DtypeError",
            'one_hot(float32[2], num_classes=3): indices must be integers; convert them with .astype("int64")',
        ),
        (
            "mg.argsort(mg.ones((2, 3)), axis=2, descending=True)",
            "ShapeError",
            "argsort(float32[2, 3], axis=2, descending=True): there is no axis 2 in a tensor with 2 axes; axes count from 0, or from -1 backwards",
        ),
        (
            "mg.vecdot(mg.ones(3), mg.ones(3), axis=1)",
            "ShapeError",
            "vecdot: there is no axis 1 in a tensor with 1 axes; axes count from 0, or from -1 backwards",
        ),
        (
            "mg.vecdot(mg.ones((2, 3, 3)), mg.ones((3, 3)), axis=1)",
            "ShapeError",
            "vecdot: axis 1 is not the same one in shapes (2, 3, 3) and (3, 3), which broadcast from the last; count the axis from -1 backwards",
        ),
        (
            "mg.tensordot(mg.ones(3), mg.ones(3), -1)",
            "ShapeError",
            "tensordot: axes must be a number of axes from 0 on, or those of each, not -1",
        ),
        (
            "mg.repeat(mg.ones(2), [1, -1])",
            "ArgumentError",
            "repeat: repeats must be a non-negative integer, not -1",
        ),
        (
            "mg.reshape(mg.ones(6), (4, 2))",
            "ShapeError",
            "reshape(float32[6], shape=(4, 2)): 6 elements do not fill the shape (4, 2); the product of its sizes must be 6",
        ),
        (
            "mg.ones((2, 3)) @ mg.ones((2, 3))",
            "ShapeError",
            "matmul(float32[2, 3], float32[2, 3]): inner sizes differ: 3 and 2; transpose one side with .mT, or check its last axes",
        ),
        (
            "mg.permute_dims(mg.ones((2,3)), (0, 0))",
            "ShapeError",
            "permute_dims(float32[2, 3], axes=(0, 0)): axes (0, 0) name an axis twice; name each once",
        ),
        (
            "mg.squeeze(mg.ones(2), axis=0)",
            "ShapeError",
            "squeeze: axis 0 has size 2, not 1; index it, or reduce over it",
        ),
        (
            "mg.concat([mg.ones((2, 3)), mg.ones((2, 2))])",
            "ShapeError",
            "concat(float32[2, 3], float32[2, 2]): all the input array dimensions except for the concatenation axis must match exactly, but along dimension 1, the array at index 0 has size 3 and the array at index 1 has size 2; bring the other axes to one size",
        ),
        (
            "mg.split(mg.ones(5), 2)",
            "ShapeError",
            "split(float32[5], sections=2): an axis of size 5 cannot be split into 2 equal parts; give the sizes of the parts",
        ),
        (
            "mg.bitwise_and(mg.ones(2), mg.ones(2))",
            "DtypeError",
            "bitwise_and(float32[2], float32[2]): ufunc 'bitwise_and' not supported for the input types, and the inputs could not be safely coerced to any supported types according to the casting rule ''safe''; bits are those of integers and bool: convert with .astype(\"int64\"), or compare",
        ),
        (
            'mg.einsum("ij,jk", mg.ones((2, 3)), mg.ones((2, 3)))',
            "ShapeError",
            "einsum('ij,jk', float32[2, 3], float32[2, 3]): Size of label 'j' for operand 1 (3) does not match previous terms (2); a letter stands for one size",
        ),
        (
            "mg.argmax(mg.zeros((0,)))",
            "ShapeError",
            "argmax(float32[0]): attempt to get argmax of an empty sequence; an empty tensor has no largest or smallest element; check its size first",
        ),
        (
            "mg.max(mg.zeros((0,)))",
            "ShapeError",
            "max(float32[0]): zero-size array to reduction operation maximum which has no identity; an empty tensor has no largest or smallest element; check its size first",
        ),
        (
            "float(mg.ones(2))",
            "ShapeError",
            "item() needs one element, but the tensor has shape (2,)",
        ),
        (
            "int(mg.ones(2))",
            "ShapeError",
            "item() needs one element, but the tensor has shape (2,)",
        ),
        (
            "bool(mg.ones(2))",
            "ShapeError",
            "the truth of a tensor of shape (2,) is ambiguous; use .any() or .all()",
        ),
        (
            "mg.ones(2).item()",
            "ShapeError",
            "item() needs one element, but the tensor has shape (2,)",
        ),
        (
            "range(3)[mg.ones(())]",
            "DtypeError",
            "only an integer tensor can be an index, not float32",
        ),
        (
            "len(mg.ones(()))",
            "TypeError",
            "a tensor of shape () has no length; use .size or .item()",
        ),
        (
            "list(mg.ones(()))",
            "TypeError",
            "a tensor of shape () cannot be iterated over; use .item()",
        ),
        (
            "if_on_a_tensor",
            "ShapeError",
            "the truth of a tensor of shape (3,) is ambiguous; use .any() or .all()",
        ),
        (
            "np.add(mg.ones(2), 1.0)",
            "TypeError",
            "operand 'Tensor' does not support ufuncs (__array_ufunc__=None)",
        ),
        (
            'mg.ones(2).astype("float8")',
            "DtypeError",
            "dtype 'float8' is not supported; did you mean 'float16'?; use one of float16, float32, float64, int8, int16, int32, int64, uint8, uint16, uint32, uint64, bool, bfloat16",
        ),
        (
            'mg.ones(2).to("tpu")',
            "ArgumentError",
            'to(): \'tpu\' is neither a device ("cpu", "cuda", "cuda:1") nor a dtype',
        ),
        (
            "mg.ones(2).shape = (1, 2)",
            "AttributeError",
            "property 'shape' of 'Tensor' object has no setter",
        ),
        (
            "mg.ones(2) + [1.0, 2.0]",
            "TypeError",
            "add(): b must be a tensor, an array or a number, but is a list; convert it with minigrad.tensor(...)",
        ),
        ("mg.sum(mg.ones(2), x=mg.ones(2))", "TypeError", "sum() got two values for 'x'"),
        (
            "mg.reshape(mg.ones((2, 3, 4)), (5, -1, 2))",
            "ShapeError",
            "reshape(float32[2, 3, 4], shape=(5, -1, 2)): 24 elements do not fill the shape (5, -1, 2); the product of its sizes must be 24, whatever the one that is -1",
        ),
        (
            "mg.reshape(mg.ones(4), (-1, -1))",
            "ShapeError",
            "reshape(float32[4], shape=(-1, -1)): only one size can be worked out, and (-1, -1) has 2; give the others",
        ),
        (
            "mg.concat([mg.ones(2), None])",
            "ArgumentError",
            "concat(float32[2], None): tensor 1 is None; give a tensor or a number",
        ),
        (
            "mg.stack([None, mg.ones(2)])",
            "ArgumentError",
            "stack(None, float32[2]): tensor 0 is None; give a tensor or a number",
        ),
        (
            "mg.scatter_add(mg.ones(2), mg.tensor([5]), mg.ones(1))",
            "IndexingError",
            "scatter_add(float32[2], int64[1], float32[1]): index 5 is out of bounds for axis 0 with size 2; indices run from -size to size - 1",
        ),
        (
            "mg.scatter_add(mg.ones(2), mg.tensor([0]), 1.0)",
            "TypeError",
            "scatter_add(): values must be a tensor or an array, but is a float; convert it with minigrad.tensor(...)",
        ),
        (
            "mg.take(mg.ones(2), mg.tensor([5]))",
            "IndexingError",
            "take(float32[2], int64[1]): index 5 is out of bounds for axis 0 with size 2; indices run from -size to size - 1",
        ),
        (
            "mg.flip([1.0, 2.0])",
            "TypeError",
            "flip(): x must be a tensor or an array, but is a list; convert it with minigrad.tensor(...)",
        ),
        (
            "mg.outer(mg.ones(2), None)",
            "TypeError",
            "outer(): x2 must be a tensor or an array, but is a NoneType",
        ),
        (
            "mg.trace(mg.ones(2))",
            "ShapeError",
            "trace(float32[2]): a matrix needs two axes, but the shape is (2,); add one with expand_dims",
        ),
        (
            "mg.sort(mg.tensor(1.0))",
            "ShapeError",
            "sort: there is no axis -1 in a tensor with 0 axes; axes count from 0, or from -1 backwards",
        ),
        (
            "mg.argsort(mg.tensor(1.0))",
            "ShapeError",
            "argsort(float32[]): there is no axis -1 in a tensor with 0 axes; axes count from 0, or from -1 backwards",
        ),
        (
            "mg.hard_tanh(mg.ones(2), 0.5, -0.5)",
            "ArgumentError",
            "hard_tanh(float32[2], min_val=0.5, max_val=-0.5): min_val=0.5 must not be larger than max_val=-0.5; swap them",
        ),
        (
            "mg.tensor([1, 2]).at[0].set(2.5)",
            "DtypeError",
            'at.set(int64[2], 2.5, key=(0,)): 2.5 does not fit int64, which holds integers from -9223372036854775808 to 9223372036854775807; use another dtype, or convert with .astype("int64"), as C does',
        ),
    ],
    "Indexing": [
        (
            "mg.ones(3)[5]",
            "IndexingError",
            "indexing(float32[3], key=(5,)): index 5 is out of bounds for axis 0 with size 3; indices run from -size to size - 1",
        ),
        (
            "mg.ones(3)[0, 0]",
            "IndexingError",
            "2 indices for a tensor with 1 axes (shape (3,)); remove some",
        ),
        (
            "mg.ones(3)[1.0]",
            "IndexingError",
            "1.0 cannot index a tensor; use integers, slices, None, ..., integer or bool tensors",
        ),
        (
            'mg.ones(3)["a"]',
            "IndexingError",
            "'a' cannot index a tensor; use integers, slices, None, ..., integer or bool tensors",
        ),
        (
            "mg.ones(3)[mg.ones(2)]",
            "IndexingError",
            "a tensor of float32 cannot index; convert it with .astype('int64')",
        ),
        (
            "mg.ones(3)[True]",
            "IndexingError",
            "x[True] is not supported; use minigrad.where, or a mask of a shape",
        ),
        (
            "mg.ones(3)[mg.tensor([0, 7])]",
            "IndexingError",
            "indexing(float32[3], int64[2], key=(ARRAY,)): index 7 is out of bounds for axis 0 with size 3; indices run from -size to size - 1",
        ),
        (
            "mg.ones(3)[mg.tensor([True, False])]",
            "IndexingError",
            "a mask of shape (2,) cannot index axes of size (3,); they must be equal",
        ),
        (
            "mg.ones(3)[[0, 1], 2]",
            "IndexingError",
            "2 indices for a tensor with 1 axes (shape (3,)); remove some",
        ),
        (
            "mg.ones((3, 3))[mg.tensor([0, 1]), mg.tensor([0, 1, 2])]",
            "IndexingError",
            "indexing(float32[3, 3], int64[2], int64[3], key=(ARRAY, ARRAY)): shape mismatch: indexing arrays could not be broadcast together with shapes (2,) (3,); index tensors must have shapes that broadcast; use x[i][:, j] for all pairs",
        ),
        (
            "mg.ones(3)[..., ...]",
            "IndexingError",
            "indexing(float32[3], key=(Ellipsis, Ellipsis)): an index can only have a single ellipsis ('...'); indices run from -size to size - 1",
        ),
        (
            "mg.take(mg.ones((2, 2)), mg.tensor([0]))",
            "IndexingError",
            "take: say which axis of a tensor with 2 axes is meant",
        ),
        (
            "mg.ones(3).at[5].set(1.0)",
            "IndexingError",
            "at.set(float32[3], 1.0, key=(5,)): index 5 is out of bounds for axis 0 with size 3; indices run from -size to size - 1",
        ),
        (
            "mg.ones(3).at[:2].add(mg.ones(3))",
            "ShapeError",
            "at.add(float32[3], float32[3], key=(slice(None, 2, None),)): operands could not be broadcast together with shapes (2,) (3,) (2,); sizes must be equal or 1, counted from the last axis; use reshape or expand_dims",
        ),
        (
            "mg.ones(3)[5] = 1.0",
            "IndexingError",
            "writing to a tensor of shape (3,): index 5 is out of bounds for axis 0 with size 3",
        ),
        (
            "mg.ones(3)[0] = mg.ones(2)",
            "ShapeError",
            "writing to a tensor of shape (3,): could not broadcast input array from shape (2,) into shape ()",
        ),
        (
            'mg.ones(3)[0] = "a"',
            "DtypeError",
            "tensor(): cannot make a tensor of text; give real numbers",
        ),
        (
            "mg.one_hot(mg.tensor([3]), 3)",
            "IndexingError",
            "one_hot(int64[1], num_classes=3): the indices run from 3 to 3; with 3 classes they must lie between 0 and 2",
        ),
        (
            "mg.gather(mg.ones((2, 2)), mg.tensor([0]))",
            "IndexingError",
            "gather(float32[2, 2], int64[1]): indices have 1 axes and the tensor has 2; they need as many",
        ),
        (
            "mg.ones((2, 2))[mg.tensor([[True], [False]])]",
            "IndexingError",
            "a mask of shape (2, 1) cannot index axes of size (2, 2); they must be equal",
        ),
    ],
    "Writing": [
        (
            "x[0] = 1.0",
            "GradientError",
            "x[i] = v would change a tensor that gradients flow through; write x = x.at[i].set(v), or x.data[i] = v to change a parameter outside of the graph",
        ),
        (
            "y.copy_(0.0)",
            "GradientError",
            "a tensor computed from others cannot be written in place; write to clone().detach()",
        ),
        (
            "y[0] = 1.0",
            "GradientError",
            "x[i] = v would change a tensor that gradients flow through; write x = x.at[i].set(v), or x.data[i] = v to change a parameter outside of the graph",
        ),
        (
            "mg.ones(2).copy_(mg.ones(3))",
            "ShapeError",
            "writing to a tensor of shape (2,): could not broadcast input array from shape (3,) into shape (2,)",
        ),
        (
            "mg.ones(3).copy_(x)",
            "GradientError",
            "copy_: the value carries a gradient, which a write in place would lose; build a new tensor with x.at[i].set(v), or write v.detach()",
        ),
        (
            "mg.ones(3)[0] = x[0]",
            "GradientError",
            "x[i] = v: the value carries a gradient, which a write in place would lose; build a new tensor with x.at[i].set(v), or write v.detach()",
        ),
        (
            "mg.broadcast_to(mg.ones(3), (2, 3)).copy_(0.0)",
            "GradientError",
            "elements of this tensor of shape (2, 3) share memory, as broadcasting leaves them, and a write to one would change others; write to clone()",
        ),
        (
            "x.data = mg.ones(2)",
            "ShapeError",
            "writing to a tensor of shape (3,): could not broadcast input array from shape (2,) into shape (3,)",
        ),
    ],
    "Gradients": [
        (
            "mg.ones(1).backward()",
            "GradientError",
            "this tensor does not depend on any tensor that requires a gradient; create the inputs with requires_grad=True, and do not work under no_grad() or detach()",
        ),
        (
            "x.backward()",
            "GradientError",
            "the gradient of an output of shape (3,) needs a cotangent of the same shape: pass it as gradient=, or reduce the output to a scalar with sum() or mean()",
        ),
        (
            "y.backward(mg.ones(2))",
            "GradientError",
            "the cotangent has shape (2,), but the output has shape (3,); they must be equal",
        ),
        (
            'y.backward(mg.ones(3, dtype="float64"))',
            "DtypeError",
            'the cotangent has dtype float64, but the output has dtype float32; convert it with .astype("float32")',
        ),
        (
            "backward_twice",
            "GradientError",
            "backward through multiply a second time: what it had saved was freed by the first backward pass; call the first one with retain_graph=True",
        ),
        (
            "parameter_updated_before_backward",
            "GradientError",
            "backward through multiply: one of its arrays (float32[3]) was written in place after the forward pass, so the gradient would be wrong; call backward() before you update parameters or tensors, or update a clone()",
        ),
        (
            "mg.grad(y, mg.ones(1), mg.ones(3))",
            "GradientError",
            "input 0 does not require a gradient; create it with requires_grad=True before computing the outputs",
        ),
        (
            "mg.grad(y.sum(), mg.ones(1, requires_grad=True))",
            "GradientError",
            "the outputs do not depend on input 0; pass allow_unused=True to get None there",
        ),
        (
            "mg.grad([y, y], x, [mg.ones(3)])",
            "GradientError",
            "2 outputs but 1 cotangents; give one for each output",
        ),
        (
            "mg.grad(3.0, x)",
            "TypeError",
            "outputs must be a tensor or a sequence of tensors, not 3.0",
        ),
        (
            'mg.grad(y, "x")',
            "TypeError",
            "inputs must be a tensor or a sequence of tensors, not 'x'",
        ),
        (
            "mg.ones(1).register_hook(print)",
            "GradientError",
            "a hook needs a tensor that requires a gradient",
        ),
        (
            "mg.tensor([1]).requires_grad_()",
            "DtypeError",
            'only floating-point tensors can require a gradient, not int64; convert with .astype("float32") first',
        ),
        (
            "y.requires_grad_(False)",
            "GradientError",
            "requires_grad can be changed for leaf tensors only; use detach() to cut the graph",
        ),
        (
            "hook_returns_a_number",
            "TypeError",
            "the result of a gradient hook must be None or a tensor, but is a float; convert it with minigrad.tensor(...)",
        ),
        (
            "integer_forced_to_require_a_gradient",
            "DtypeError",
            'only floating-point tensors can require a gradient, not int64; convert with .astype("float32") first',
        ),
        (
            "mg.value_and_grad(lambda x: x * 2)(x)",
            "GradientError",
            "the gradient of an output of shape (3,) needs a cotangent of the same shape: pass it as gradient=, or reduce the output to a scalar with sum() or mean()",
        ),
        (
            "mg.jvp(lambda x: x, [x], [mg.ones(2)])",
            "GradientError",
            "jvp: primals have shapes [(3,)] and tangents [(2,)]; they must be equal one by one",
        ),
        (
            "mg.vjp(lambda x: 3.0, x)",
            "TypeError",
            "the results of the function must be a tensor or a sequence of tensors, not 3.0",
        ),
        (
            "mg.vjp(lambda x: x, x)[1](mg.ones(3), mg.ones(3))",
            "GradientError",
            "the function has 1 outputs but 2 cotangents were given; give one for each",
        ),
        (
            "checkpoint_of_a_lambda_in_a_loop",
            "GradientError",
            "checkpoint: run again for the backward pass, the function reads other tensors, so the gradient would be wrong; give it as arguments what changes (a lambda in a loop sees the variable's last value)",
        ),
        (
            "checkpoint_of_an_iterator",
            "GradientError",
            "checkpoint: run again for the backward pass, the function returns other values, so the gradient would be wrong; give it as arguments what changes (a lambda in a loop sees the variable's last value)",
        ),
        (
            "constant_of_a_checkpoint_written_before_backward",
            "GradientError",
            "checkpoint: a tensor (float32[3]) that the function reads was written in place after the forward pass, so the gradient would be wrong; call backward() before you update tensors, or update a clone()",
        ),
        (
            "anomaly_forward",
            "AnomalyError",
            "log(float32[3]) produced NaN or infinity from finite arguments, at LINE\n  clip its argument, or guard it with minigrad.where",
        ),
        (
            "anomaly_backward",
            "AnomalyError",
            "the gradient of sqrt is NaN or infinite although its cotangent and its arguments are finite; the op was called at LINE\n  keep its argument away from the singular point",
        ),
        (
            "op_without_a_rule_for_one_argument",
            "GradientError",
            "half has no derivative with respect to its argument 2; detach() that argument",
        ),
        (
            "copy.deepcopy(y)",
            "GradientError",
            "a tensor computed from others cannot be copied with its history; copy detach() of it",
        ),
        (
            "pickle.dumps(y)",
            "GradientError",
            "a tensor computed from others cannot be pickled with its history; pickle detach() of it",
        ),
        (
            "copy.copy(y)",
            "GradientError",
            "a tensor computed from others cannot be copied with its history; copy detach() of it",
        ),
        (
            "hook_returns_another_dtype",
            "DtypeError",
            'the result of a gradient hook has dtype float64, but the gradient has dtype float32; convert it with .astype("float32")',
        ),
        (
            "hook_returns_another_shape",
            "GradientError",
            "the result of a gradient hook has shape (), but the gradient has shape (3,); they must be equal",
        ),
        (
            "x.grad = x",
            "GradientError",
            "a tensor cannot be its own gradient; assign a clone() of it",
        ),
        (
            "x.grad = mg.ones(3, dtype='float64')",
            "DtypeError",
            'the value assigned to .grad has dtype float64, but the tensor has dtype float32; convert it with .astype("float32")',
        ),
        (
            "x.grad = mg.ones((1, 3))",
            "GradientError",
            "the value assigned to .grad has shape (1, 3), but the tensor has shape (3,); they must be equal",
        ),
        (
            "x.grad = np.ones(3)",
            "TypeError",
            "the value assigned to .grad must be None or a tensor, but is a numpy.ndarray; convert it with minigrad.tensor(...)",
        ),
        (
            "x.grad = 3.0",
            "TypeError",
            "the value assigned to .grad must be None or a tensor, but is a float; convert it with minigrad.tensor(...)",
        ),
        (
            "x.register_hook(print(end=''))",
            "ArgumentError",
            "a hook must be a function, not None; pass it without calling it",
        ),
        (
            "mg.ones(1).retain_grad()",
            "GradientError",
            "retain_grad() needs a tensor that requires a gradient; create what it is computed from with requires_grad=True, and do not work under no_grad() or detach()",
        ),
    ],
    "NumPy and others": [
        (
            "x.numpy()",
            "GradientError",
            "this tensor requires a gradient, which NumPy would lose; call .detach().numpy()",
        ),
        (
            "np.asarray(x)",
            "GradientError",
            "this tensor requires a gradient, which NumPy would lose; call .detach().numpy()",
        ),
        (
            "np.asarray(mg.ones(2), copy=False)",
            "ArgumentError",
            "a tensor's memory is never shared, so that nothing can change it unseen; leave out copy=False",
        ),
        (
            "np.from_dlpack(x)",
            "GradientError",
            "this tensor requires a gradient, which another library would lose; call .detach()",
        ),
        (
            "np.from_dlpack(mg.ones(2), copy=False)",
            "ArgumentError",
            "a tensor's memory is never shared, so that nothing can change it unseen; leave out copy=False",
        ),
        (
            "np.add(1.0, 1.0, out=mg.ones(()))",
            "TypeError",
            "operand 'Tensor' does not support ufuncs (__array_ufunc__=None)",
        ),
        (
            "np.mean(x)",
            "GradientError",
            "this tensor requires a gradient, which NumPy would lose; call .detach().numpy()",
        ),
    ],
    "Backends and devices": [
        (
            'mg.use_backend("nunpy")',
            "BackendError",
            "there is no backend 'nunpy'; did you mean 'numpy'?; the backends are cupy, numpy",
        ),
        (
            'mg.ones(2, device="gpu")',
            "BackendError",
            'unknown device \'gpu\'; write "cpu", "cuda" or "cuda:1"',
        ),
        (
            'mg.ones(2, device="cuda:x")',
            "BackendError",
            'unknown device \'cuda:x\'; write "cpu", "cuda" or "cuda:1"',
        ),
        (
            "mg.backends.parse_device(3)",
            "BackendError",
            'unknown device 3; write "cpu", "cuda" or "cuda:1"',
        ),
    ],
    "Random numbers": [
        (
            "mg.Generator(-1)",
            "ArgumentError",
            "Generator: seed must be a non-negative integer, not -1",
        ),
        (
            "mg.Generator(1.5)",
            "ArgumentError",
            "Generator: seed must be a non-negative integer, not 1.5",
        ),
        (
            'mg.manual_seed("a")',
            "ArgumentError",
            "Generator: seed must be a non-negative integer, not 'a'",
        ),
        (
            "mg.randint(3, 3, (2,))",
            "ArgumentError",
            "integers(): high (3) must be larger than low (3)",
        ),
        (
            "mg.Generator().bernoulli(1.5)",
            "ArgumentError",
            "bernoulli: probability must be a number from 0 to 1, not 1.5",
        ),
        (
            "mg.Generator().categorical(mg.tensor([0.0, 0.0]))",
            "ArgumentError",
            "categorical(): probabilities must be non-negative and finite and not all zero; pass them through softmax first",
        ),
        (
            "mg.categorical(mg.log(mg.tensor([0.0, 0.0])))",
            "ArgumentError",
            "categorical(): logits must be numbers or minus infinity, with one number in each row at least; a model that has diverged returns others",
        ),
        (
            "mg.Categorical(probs=mg.tensor([0.5, -0.5]))",
            "ArgumentError",
            "Categorical: probs must be non-negative and finite, and not all zero in a row",
        ),
        (
            "mg.Categorical(probs=mg.tensor([0.5, 0.5])).log_prob(mg.tensor(2))",
            "IndexingError",
            "Categorical.log_prob: the classes must lie between 0 and 1, but run from 2 to 2",
        ),
        (
            'mg.random.set_state({"seed": 1})',
            "ArgumentError",
            "this is not the state of a generator (KeyError('children')); pass what get_state() returned",
        ),
        (
            "mg.random.set_state(3)",
            "ArgumentError",
            "this is not the state of a generator (TypeError(\"'int' object is not subscriptable\")); pass what get_state() returned",
        ),
        (
            "mg.Generator().permutation(-1)",
            "ArgumentError",
            "permutation: n must be a non-negative integer, not -1",
        ),
        (
            "mg.Generator().normal((2, -1))",
            "ShapeError",
            "a shape holds non-negative integers, not (2, -1)",
        ),
        (
            "mg.Generator().split(-1)",
            "ArgumentError",
            "split: count must be a non-negative integer, not -1",
        ),
        (
            "mg.Generator().normal((2,), std=-1.0)",
            "ArgumentError",
            "normal: std must be a number, 0 or more, not -1.0",
        ),
        (
            'mg.Generator().uniform((2,), dtype="int64")',
            "DtypeError",
            "uniform() draws floating-point numbers, not int64; use integers()",
        ),
    ],
    "Files": [
        (
            'mg.save({"w": x}, "model.safetensors")',
            "ArgumentError",
            "save(): the path, which comes first, must be a str or a Path, but is a dict",
        ),
        (
            'mg.save("model.safetensors", {"model": [x, len]})',
            "ArgumentError",
            "save(): state['model'][1]: cannot save a builtin_function_or_method; use tensors, NumPy arrays, numbers, strings, None, lists, tuples and dicts, for a module its state_dict()",
        ),
        (
            'mg.save("model.safetensors", {(1, 2): x})',
            "ArgumentError",
            "save(): state has the key (1, 2), a tuple; use str or int",
        ),
        (
            'mg.save("model.safetensors", {"w": np.ones(2, dtype=complex)})',
            "DtypeError",
            "save(): state['w']: dtype dtype('complex128') is not supported; use one of float16, float32, float64, int8, int16, int32, int64, uint8, uint16, uint32, uint64, bool, bfloat16",
        ),
        (
            'mg.save("no such folder/model.safetensors", x)',
            "FileNotFoundError",
            "[Errno 2] save(): No such file or directory; check the path, and that its folder exists: 'no such folder/model.safetensors'",
        ),
        (
            'mg.load("missing.safetensors")',
            "FileNotFoundError",
            "[Errno 2] load(): No such file or directory; check the path, and that its folder exists: 'missing.safetensors'",
        ),
        (
            'mg.load("/")',
            "IsADirectoryError",
            "[Errno 21] load(): Is a directory; name a file in it: '/'",
        ),
        (
            "damaged_file",
            "FileFormatError",
            "load(): 'model.safetensors' is damaged: its checksum does not match, so it was cut off or changed after it was written; load an earlier copy",
        ),
        (
            "file_of_another_format",
            "FileFormatError",
            "load(): 'model.safetensors' cannot be read as a safetensors file: it looks like a pickle; give a file that minigrad.save() or safetensors wrote",
        ),
        (
            'mg.load("model.safetensors", device="gpu")',
            "BackendError",
            'unknown device \'gpu\'; write "cpu", "cuda" or "cuda:1"',
        ),
    ],
    "Your own ops": [
        (
            'mg.define_op("add", lambda m, x: x)',
            "ArgumentError",
            "define_op: there is already an op named 'add'; choose another name",
        ),
        (
            "rule_that_branches_on_values",
            "GradientError",
            "the adjoint rule of bad failed when it was run on variables to see what it reads: the step branches on a value, but the value of v:bool[] is not known while tracing, at LINE\n  use minigrad.where(condition, a, b)\n  a rule must compute with operators and with the functions of its first argument m, so that it runs on arrays, tensors and variables alike",
        ),
        (
            "rule_that_forgets_to_spread_g",
            "GradientError",
            "the adjoint rule of bad for its argument 1 (a) returned a cotangent of shape (), but must return a cotangent of the argument's shape (3,), or of a shape which that broadcasts to; spread g over it, for instance with m.broadcast_to(g, shape=x.shape)",
        ),
        (
            "two_arrays_and_one_rule",
            "ArgumentError",
            "define_op: 'bad' has 1 adjoint rules for its 2 arrays (a, b); give one for each, None for one without a derivative",
        ),
        (
            "formula_that_fails",
            "ArgumentError",
            "bad(float32[3]): division by zero; look at its formula, at LINE",
        ),
        (
            "composite_of_a_taken_name",
            "ArgumentError",
            "there is already a function named 'add'; choose another name",
        ),
        (
            "op_defined_twice",
            "ArgumentError",
            "define_op: there is already an op named 'op_of_mine'; choose another name, or pass replace=True to define it again",
        ),
        (
            'mg.define_op("add", lambda m, x: x, replace=True)',
            "ArgumentError",
            "define_op: there is already an op named 'add'; choose another name",
        ),
    ],
    "Tracing": [
        (
            "traced(lambda v: bool(v))",
            "TraceError",
            "the step branches on a value, but the value of v:float32[3] is not known while tracing, at LINE\n  use minigrad.where(condition, a, b)",
        ),
        (
            "traced(lambda v: float(v))",
            "TraceError",
            "the step turns a value into a Python number, but the value of v:float32[3] is not known while tracing, at LINE\n  keep it a tensor",
        ),
        (
            "traced(lambda v: np.asarray(v))",
            "TraceError",
            "the step turns a value into a NumPy array, but the value of v:float32[3] is not known while tracing, at LINE\n  use minigrad's functions on it",
        ),
        (
            "traced(lambda v: v + mg.ones(3))",
            "TraceError",
            "add in a traced step uses a Tensor that the step was not given, at LINE\n  pass it to the step as an input or a parameter, so that it is never baked in; in an nn.Cell let it be an nn.Buffer or nn.Parameter, self.table = nn.Buffer(...), say; draw random numbers before the loop",
        ),
        (
            "traced(lambda v: v[v > 0])",
            "TraceError",
            "a traced step cannot index by a bool mask, because the shape would depend on values; use minigrad.where",
        ),
        (
            "traced(lambda v: mg.no_grad().__enter__())",
            "TraceError",
            "a traced step cannot switch gradients on or off, at LINE\n  take no_grad() or enable_grad() out of the step, or use detach() before it",
        ),
        (
            "traced(lambda v: mg.anomaly().__enter__())",
            "TraceError",
            "a traced step has no values to watch, at LINE\n  take anomaly() out of the step",
        ),
        (
            "traced(lambda v: mg.ones(3).copy_(1.0))",
            "TraceError",
            "a traced step cannot write in place, at LINE",
        ),
        (
            "value_of_a_step_used_outside",
            "TraceError",
            "add got v:float32[3], a value of a traced step, outside of that step, at LINE\n  a step must return its results, not store them",
        ),
        (
            "traced(lambda v: mg.reshape(v, (2, 2)))",
            "TraceError",
            "reshape(v:float32[3]) at LINE\n  3 elements do not fill the shape (2, 2); the product of its sizes must be 3",
        ),
    ],
}


class Situations:
    """Calls that take more than an expression."""

    @staticmethod
    def backward_twice(x, y):
        y.sum().backward()
        y.sum().backward()

    @staticmethod
    def parameter_updated_before_backward(x, y):
        x.data = x.data - 0.1
        y.sum().backward()

    @staticmethod
    def hook_returns_a_number(x, y):
        x.register_hook(lambda g: 3.0)
        y.sum().backward()

    @staticmethod
    def hook_returns_another_shape(x, y):
        x.register_hook(lambda g: g.sum())
        y.sum().backward()

    @staticmethod
    def hook_returns_another_dtype(x, y):
        x.register_hook(lambda g: g.astype("float64"))
        y.sum().backward()

    @staticmethod
    def integer_forced_to_require_a_gradient(x, y):
        n = mg.tensor([1])
        n.requires_grad = True

    @staticmethod
    def checkpoint_of_a_lambda_in_a_loop(x, y):
        for w in [mg.ones(3, requires_grad=True), mg.ones(3, requires_grad=True)]:
            y = mg.checkpoint(lambda y: y * w, y)  # noqa: B023  the mistake in question
        y.sum().backward()

    @staticmethod
    def checkpoint_of_an_iterator(x, y):
        numbers = iter([1.0, 2.0])
        mg.checkpoint(lambda x: x * next(numbers), x).sum().backward()

    @staticmethod
    def constant_of_a_checkpoint_written_before_backward(x, y):
        c = mg.ones(3)
        y = mg.checkpoint(lambda x: x * c, x)
        c[0] = 2.0
        y.sum().backward()

    @staticmethod
    def anomaly_forward(x, y):
        with mg.anomaly():
            mg.log(x - 1.0)

    @staticmethod
    def anomaly_backward(x, y):
        with mg.anomaly():
            mg.sqrt(x - 1.0).sum().backward()

    @staticmethod
    def op_without_a_rule_for_one_argument(x, y):
        rules = (lambda m, g, out, a, b: g / b, None)
        op = Op("half", lambda m, a, b: a / b, rules, domain=Domain())
        op(mg.ones(3), x).sum().backward()

    @staticmethod
    def rule_that_branches_on_values(x, y):
        rule = lambda m, g, out, a: g if a.sum() > 0 else -g
        Op("bad", lambda m, a: a + 0, (rule,), domain=Domain())(x)

    @staticmethod
    def rule_that_forgets_to_spread_g(x, y):
        Op("bad", lambda m, a: m.sum(a), (lambda m, g, out, a: g,), domain=Domain())(x).backward()

    @staticmethod
    def two_arrays_and_one_rule(x, y):
        mg.define_op("bad", lambda m, a, b: a * b, lambda m, g, out, a, b: g * b)

    @staticmethod
    def formula_that_fails(x, y):
        Op("bad", lambda m, a: 1 / 0, None, domain=Domain())(x)

    @staticmethod
    def op_defined_twice(x, y):
        try:
            for _ in range(2):
                mg.define_op("op_of_mine", lambda m, a: a + 0)
        finally:
            mg.OPS.pop("op_of_mine", None)

    @staticmethod
    def composite_of_a_taken_name(x, y):
        mg.composite.composite(domain=Domain(), name="add")(lambda a: a)

    @staticmethod
    def damaged_file(x, y):
        with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
            mg.save("model.safetensors", x)
            with open("model.safetensors", "ab") as file:
                file.write(b"x")
            mg.load("model.safetensors")

    @staticmethod
    def file_of_another_format(x, y):
        with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
            with open("model.safetensors", "wb") as file:
                pickle.dump(3, file)
            mg.load("model.safetensors")

    @staticmethod
    def if_on_a_tensor(x, y):
        if x > 0:
            pass

    @staticmethod
    def value_of_a_step_used_outside(x, y):
        mg.graph.Var((3,), mg.float32, "v") + 1.0


def traced(step):
    """Record ``step`` as a loop would, with a variable ``v``."""
    with mg.dispatch.interpreting(mg.graph.Recorder()):
        step(mg.graph.Var((3,), mg.float32, "v"))


def attempt(call):
    """Return the error that ``call`` raises, or None."""
    x = mg.ones(3, requires_grad=True)
    names = {
        "mg": mg,
        "np": np,
        "x": x,
        "y": x * x,
        "traced": traced,
        "copy": copy,
        "pickle": pickle,
    }
    try:
        if hasattr(Situations, call):
            getattr(Situations, call)(x, names["y"])
        else:
            exec(call, names)
    except Exception as error:
        return error
    return None


def text(error):
    """Return the text of an error with places and numbers of variables left out."""
    found = re.sub(r"(?<=at )test_errors\.py:\d+: .*", "LINE", str(error))
    return re.sub(r"\bv\d+\b", "v", found)


def page():
    lines = [
        "# Bad inputs, and what happens",
        "",
        "Each line is tried by `tests/engine/test_errors.py`, which also writes this page. Here `x` is a",
        "tensor of ones of shape `(3,)` that requires a gradient, and `y` is `x * x`. Errors without a",
        "module are Python's own; the others are in `minigrad.errors`, and each of them is also one of",
        "Python's: `ShapeError` and `FileFormatError` are `ValueError`s, `IndexingError` is an",
        "`IndexError`, `DtypeError` and `TraceError` are `TypeError`s, `BackendError` and",
        "`GradientError` are `RuntimeError`s.",
    ]
    for topic, cases in CASES.items():
        lines += ["", f"## {topic}", "", "| tried | error | first line |", "| --- | --- | --- |"]
        for call, kind, message in cases:
            shown = call.replace("_", " ") if hasattr(Situations, call) else f"`{call}`"
            first = message.splitlines()[0].replace("|", "\\|").replace("LINE", "file.py:12: code")
            lines.append(f"| {shown} | {kind} | {first} |")
    return "\n".join(lines) + "\n"


ALL = [case for cases in CASES.values() for case in cases]


@pytest.mark.parametrize(("call", "kind", "message"), ALL, ids=[case[0] for case in ALL])
def test_the_error_says_what_to_do(call, kind, message):
    error = attempt(call)
    assert error is not None, "nothing was raised"
    assert (type(error).__name__, text(error)) == (kind, message)


def test_every_error_leaves_the_engine_usable():
    for call, _, _ in ALL:
        attempt(call)
        assert mg.is_grad_enabled()
        assert isinstance(mg.dispatch.current(), mg.tape.Eager)


def test_the_page_shows_these_cases():
    assert PAGE.read_text(encoding="utf-8") == page(), (
        "docs/errors.md is behind; run python tests/engine/test_errors.py"
    )


PARENTS = {
    "ArgumentError": ValueError,
    "ShapeError": ValueError,
    "DtypeError": TypeError,
    "IndexingError": IndexError,
    "BackendError": RuntimeError,
    "GradientError": RuntimeError,
    "AnomalyError": RuntimeError,
    "TraceError": TypeError,
    "FileFormatError": ValueError,
}


def test_each_error_is_ours_and_one_of_pythons():
    found = {
        name: kind
        for name, kind in vars(errors).items()
        if isinstance(kind, type) and issubclass(kind, errors.MinigradError)
    }
    of_kernels = {"KernelError": RuntimeError}  # tried in tests/kernels
    assert set(found) == {*PARENTS, *of_kernels, "MinigradError"}
    for name, parent in {**PARENTS, **of_kernels}.items():
        assert issubclass(found[name], parent)


def test_the_engines_errors_are_all_tried():
    tried = {kind for _, kind, _ in ALL}
    assert tried >= set(PARENTS)


def test_the_error_of_the_array_library_is_kept_as_the_cause():
    error = attempt("mg.ones(3) + mg.ones(2)")
    assert isinstance(error.__cause__, ValueError)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    sys.stdout.write(f"wrote {PAGE.name}: {len(ALL)} cases\n")


@pytest.mark.parametrize(
    ("name", "known", "near"),
    [
        ("softmx", ["softmax", "softplus"], "softmax"),
        ("lenghts", ["lengths", "mask"], "lengths"),
        ("coopy", ["numpy", "cupy"], "cupy"),
        ("axs", ["axis", "keepdims"], "axis"),
        ("FLOAT32", ["float16", "float32"], "float32"),
        ("hidden_sise", ["hidden_size"], "hidden_size"),
        ("hessian", ["sin", "asin", "sign"], None),
        ("cumsum", ["sum", "max"], None),
        ("vmap", ["vjp", "var", "max"], None),
        ("jit", ["inf", "any"], None),
        ("bmm", ["sum", "min"], None),
        ("x", ["a", "b"], None),
        ("anything", [], None),
    ],
)
def test_hints_name_what_is_near_and_nothing_else(name, known, near):
    assert errors.suggestion(name, known) == (f"; did you mean {near!r}?" if near else "")


def test_every_composite_is_named_by_its_errors():
    told = {}
    for name, composite in mg.COMPOSITES.items():
        function = getattr(mg, name, None)
        first = next(iter(inspect.signature(composite.function).parameters.values()))
        if function is not None and first.annotation == "Any" and name != "einsum":
            required = [
                p
                for p in list(inspect.signature(function).parameters.values())[1:]
                if p.default is p.empty and p.kind is p.POSITIONAL_OR_KEYWORD
            ]
            with pytest.raises((TypeError, errors.MinigradError)) as caught:
                function([[1.0]], *[0] * len(required))
            told[name] = str(caught.value)
    assert len(told) > 20
    assert [
        name for name, text in told.items() if not text.startswith((f"{name}(", f"{name}:"))
    ] == []


FLOATS = mg.tensor([1.0, 2.0])
X = mg.ones(2, requires_grad=True)
# what fails, what the message advises, and the call with that advice followed
ADVICE = [
    (lambda: FLOATS & 1, 'astype("int64")', lambda: FLOATS.astype("int64") & 1),
    (lambda: FLOATS | FLOATS, "or compare", lambda: (FLOATS > 0) | (FLOATS > 1)),
    (lambda: 3 ^ FLOATS, 'astype("int64")', lambda: 3 ^ FLOATS.astype("int64")),
    (lambda: ~FLOATS, 'astype("int64")', lambda: ~FLOATS.astype("int64")),
    (lambda: -(FLOATS > 1), 'astype("int64")', lambda: -(FLOATS > 1).astype("int64")),
    (lambda: mg.tensor([[X, X], [X, X]]), "minigrad.stack, inner lists first",
     lambda: mg.stack([mg.stack([X, X]), mg.stack([X, X])])),
    (lambda: mg.stack([[X, X], [X, X]]), "join it with minigrad.stack",
     lambda: mg.stack([mg.stack([X, X]), mg.stack([X, X])])),
    (lambda: mg.concat([FLOATS, [1.0]]), "convert it with minigrad.tensor",
     lambda: mg.concat([FLOATS, mg.tensor([1.0])])),
    (lambda: mg.scatter_add(FLOATS, mg.tensor([0]), 1.0), "convert it with minigrad.tensor",
     lambda: mg.scatter_add(FLOATS, mg.tensor([0]), mg.tensor(1.0))),
    (lambda: mg.gather(FLOATS, FLOATS), "astype('int64')",
     lambda: mg.gather(FLOATS, (FLOATS - 1).astype("int64"))),
    (lambda: mg.gather(FLOATS, FLOATS > 1), "astype('int64')",
     lambda: mg.gather(FLOATS, (FLOATS > 1).astype("int64"))),
    (lambda: mg.scatter_add(FLOATS, FLOATS, FLOATS), "astype('int64')",
     lambda: mg.scatter_add(FLOATS, (FLOATS - 1).astype("int64"), FLOATS)),
    (lambda: mg.take(FLOATS, FLOATS), "astype('int64')",
     lambda: mg.take(FLOATS, (FLOATS - 1).astype("int64"))),
    (lambda: mg.tensor([1, 2], requires_grad=True), 'astype("float32")',
     lambda: mg.tensor([1, 2]).astype("float32").requires_grad_()),
    (lambda: mg.tensor([300], dtype="uint8"), 'astype("uint8")', lambda: mg.tensor([300]).astype("uint8")),
    (lambda: mg.tensor(2**70), 'dtype="float64"', lambda: mg.tensor(2**70, dtype="float64")),
    (lambda: mg.tensor([0, 0]).at[0].set(X[0]), 'astype("float32")',
     lambda: mg.tensor([0, 0]).astype("float32").at[0].set(X[0])),
    (lambda: mg.tensor([0, 0]).copy_(FLOATS), 'astype("int64")',
     lambda: mg.tensor([0, 0]).copy_(FLOATS.astype("int64"))),
    (lambda: np.mean(X), "detach().numpy()", lambda: np.mean(X.detach().numpy())),
    (lambda: mg.tensor([1], dtype="uint8") * 300, "wider",
     lambda: mg.tensor([1], dtype="uint8").astype("int64") * 300),
    (lambda: mg.einsum(FLOATS, FLOATS), "einsum('ij,jk->ik', a, b)",
     lambda: mg.einsum("i,i->", FLOATS, FLOATS)),
    (lambda: mg.flip([1.0]), "convert it with minigrad.tensor", lambda: mg.flip(mg.tensor([1.0]))),
]  # fmt: skip


@pytest.mark.parametrize(("wrong", "advice", "followed"), ADVICE)
def test_advice_works_when_it_is_followed(wrong, advice, followed):
    with pytest.raises((errors.MinigradError, TypeError)) as caught:
        wrong()
    assert advice in str(caught.value)
    followed()


def test_help_is_named_where_there_is_some(monkeypatch):
    def fail(*_, **__):
        raise RuntimeError("boom")

    x = mg.ones(2, requires_grad=True)
    fail.__module__ = "minigrad"
    for op, call in [
        (mg.exp, lambda: mg.exp(x)),
        (mg.OPS["put_along_axis"], lambda: mg.scatter_add(x, mg.tensor([0]), x[:1])),
        (mg.OPS["contract"], lambda: mg.einsum("i,i->", x, x)),
        (mg.OPS["getitem"], lambda: mg.flip(x)),
    ]:
        monkeypatch.setattr(op, "fn", fail)
        with pytest.raises(errors.ArgumentError, match="boom") as caught:
            call()
        monkeypatch.undo()
        (name,) = re.findall(r"see help\(minigrad\.(\w+)\)$", str(caught.value))
        assert callable(getattr(mg, name))
    own = Op("own", lambda m, x: 1 / 0, None, domain=Domain())
    with pytest.raises(
        errors.ArgumentError, match=r"zero; look at its formula, at test_errors\.py:\d+: "
    ):
        own(x)
