"""The passes of the compiler as text: what goes in, and what comes out, for steps of a line or two."""

from textwrap import dedent

import numpy as np
import pytest

import minigrad as mg
from minigrad.graph import Var
from minigrad.kernels.frontend.trace import trace
from minigrad.kernels.passes.differentiate import differentiate
from minigrad.kernels.passes.legalize import normalize
from minigrad.kernels.passes.rematerialize import choose_kept
from minigrad.kernels.plan.printer import describe, numbered
from minigrad.kernels.plan.program import make_program

KIND = np.dtype("float64")
ROWS = 5  # the size of no other axis in these tests


def graph_of(step, x=2, h=3, **parameters):
    """Return the graph of a step with one input and one state of these widths."""
    given = {name: Var(shape, KIND, name) for name, shape in parameters.items()}
    return trace(step, [Var((ROWS, x), KIND, "x")], [Var((ROWS, h), KIND, "h")], given)


def lines(*texts):
    """Return the lines of texts, with names that are the same in each run, without those of inputs."""
    every = [line for text in numbered(texts) for line in text.splitlines()]
    return [line for line in every if not line.startswith("in ")]


def expected(text):
    return dedent(text).strip().splitlines()


# normalize


def softmax(x, h):
    return mg.softmax(h, axis=1)


def centred(x, h):
    return h - mg.mean(h, axis=-1, keepdims=True)


def linear(x, h, *, w):
    return mg.linear(h, w)


def twice(x, h):
    return mg.tanh(h) * mg.exp(mg.tanh(h))


def gates(x, h, *, u, w, b, d):
    return h @ u + (b + x @ w) + d


def sum_with_two_readers(x, h, *, u, b):
    total = h + x @ u
    return mg.tanh(total) + total + b


NORMAL_FORMS = {
    softmax: """
        v0 = max(h, axis=-1, keepdims=True)
        v1 = equal(v0, -inf)
        v2 = where(v1, 0.0, v0)
        v3 = subtract(h, v2)
        v4 = exp(v3)
        v5 = sum(v4, axis=-1, keepdims=True)
        v6 = equal(v5, 0)
        v7 = where(v6, 1.0, v5)
        v8 = divide(v4, v7)
        out v8
        """,
    centred: """
        v0 = sum(h, axis=-1, keepdims=True)
        v1 = divide(v0, 3)
        v2 = subtract(h, v1)
        out v2
        """,
    linear: """
        v0 = matrix_transpose(w)
        v1 = matmul(h, v0)
        out v1
        """,
    twice: """
        v0 = tanh(h)
        v1 = exp(v0)
        v2 = multiply(v0, v1)
        out v2
        """,
    gates: """
        v0 = matmul(h, u)
        v1 = matmul(x, w)
        v2 = add(b, d)
        v3 = add(v2, v1)
        v4 = add(v3, v0)
        out v4
        """,
    sum_with_two_readers: """
        v0 = matmul(x, u)
        v1 = add(v0, h)
        v2 = tanh(v1)
        v3 = add(b, v2)
        v4 = add(v3, v1)
        out v4
        """,
}
SHAPES = {"u": (3, 3), "w": (2, 3), "b": (3,), "d": (3,)}
PARAMETERS = {
    linear: {"w": (3, 3)},
    gates: SHAPES,
    sum_with_two_readers: {"u": (2, 3), "b": (3,)},
}


@pytest.mark.parametrize("step", NORMAL_FORMS, ids=lambda step: step.__name__)
def test_normalize_writes_few_kinds_of_nodes_and_early_terms_first(step):
    graph = graph_of(step, **PARAMETERS.get(step, {}))
    normal = normalize(graph, graph.inputs[2:], graph.inputs[1:2])
    assert lines(str(normal.graph)) == expected(NORMAL_FORMS[step])


# differentiate


def test_the_backward_graph_is_made_of_the_rules_of_the_ops():
    graph = graph_of(lambda x, h, *, w: mg.tanh(x @ w + h), w=(2, 3))
    derived = differentiate(graph, graph.inputs[1:])
    found = lines(str(graph), str(derived), "\n".join(map(repr, derived.inputs)))
    assert found == expected(
        """
        v0 = matmul(x, w)
        v1 = add(v0, h)
        v2 = tanh(v1)
        out v2
        v3 = multiply(v2, v2)
        v4 = subtract(1, v3)
        v5 = multiply(d_v2, v4)
        v6 = matrix_transpose(x)
        v7 = matmul(v6, v5)
        out v5, v7
        d_v2:float64[5, 3]
        v2:float64[5, 3]
        x:float64[5, 2]
        """
    )


def test_sums_over_rows_are_marked_in_a_backward_graph():
    graph = graph_of(lambda x, h, *, w, b: x @ w * h + b, w=(2, 3), b=(3,))
    derived = differentiate(graph, graph.inputs[1:])
    normal = normalize(derived, (), derived.inputs[:1], backward=True)
    marked = ", ".join(var.name for var in normal.outside)
    found = lines(str(graph), str(normal.graph), f"outside {marked}")
    assert found == expected(
        """
        v0 = matmul(x, w)
        v1 = multiply(v0, h)
        v2 = add(v1, b)
        out v2
        v3 = sum_to(d_v2, shape=(3,))
        v4 = multiply(d_v2, h)
        v5 = multiply(d_v2, v0)
        v6 = matrix_transpose(x)
        v7 = matmul(v6, v4)
        out v5, v7, v3
        outside v3, v6, v7
        """
    )


# what is kept


@pytest.mark.parametrize(
    ("needed", "free", "kept", "again"),
    [
        ([1], [], [1], []),
        ([1, 2], [], [0], [1, 2]),
        ([0, 2], [], [0], [2]),
        ([1, 2], [1, 2], [1, 2], []),
        ([5], [], [4], [5]),
    ],
    ids=["one", "two from one", "one of them", "nothing to pay", "a column and not all"],
)
def test_the_fewest_numbers_are_kept(needed, free, kept, again):
    def step(x, h, *, u):
        product = h @ u
        both = mg.exp(product) * mg.tanh(product)
        return both + mg.sum(h, axis=-1, keepdims=True) * x

    graph = graph_of(step, x=3, u=(3, 3))
    assert lines("\n".join(map(repr, graph.nodes))) == expected(
        """
        v0 = matmul(h, u)
        v1 = exp(v0)
        v2 = tanh(v0)
        v3 = multiply(v1, v2)
        v4 = sum(h, axis=-1, keepdims=True)
        v5 = multiply(v4, x)
        v6 = add(v3, v5)
        """
    )
    numbers = {node.outputs[0]: i for i, node in enumerate(graph.nodes)}
    kept_found, again_found = choose_kept(
        graph.nodes,
        [graph.nodes[i].outputs[0] for i in needed],
        set(graph.inputs),
        lambda var: 0 if numbers[var] in free else var.shape[1],
    )
    assert [numbers[var] for var in kept_found] == kept
    assert [graph.nodes.index(node) for node in again_found] == again


# plans


def rnn(x, h, *, w, u, b):
    return mg.tanh(b + x @ w + h @ u)


def reset_before(x, h, *, u):
    r, z = mg.split(x, 2, axis=-1)
    return h - z * mg.tanh((mg.sigmoid(r) * h) @ u)


def with_a_norm(x, h):
    return h * x / mg.sum(mg.abs(h), axis=-1, keepdims=True)


def plans(step, wanted=None, broken=False, **sizes):
    program = make_program(graph_of(step, **sizes), 1, 1, wanted, broken)
    loops = [program.loop] if program.backward is None else [program.loop, program.backward.loop]
    return lines(*map(describe, loops))


def test_a_product_of_the_input_goes_ahead_and_begins_with_the_bias():
    assert plans(rnn, w=(2, 3), u=(3, 3), b=(3,)) == expected(
        """
        read    read0[2] = x
        fixed   matrix0[3] = w, matrix1[3] = u, vector2[3] = b
        state   state0[3] history
        scratch scratch0[3] ahead
        phase 0
          scratch0 = vector2 + read0 @ matrix0, ahead
          scratch0 = scratch0 + state0 @ matrix1
          sweep of width 3
            v0 = scratch0
            v1 = tanh(v0)
            next state0 = v1
        threads can share 3 columns; they meet before the products of phase 0
        """
    )


def test_a_state_of_rows_that_may_be_absent_has_no_history_and_the_output_is_stored():
    assert plans(rnn, broken=True, w=(2, 3), u=(3, 3), b=(3,)) == expected(
        """
        read    read0[2] = x
        fixed   matrix0[3] = w, matrix1[3] = u, vector2[3] = b
        state   state0[3]
        stored  stored0[3] = v0
        scratch scratch0[3] ahead
        phase 0
          scratch0 = vector2 + read0 @ matrix0, ahead
          scratch0 = scratch0 + state0 @ matrix1
          sweep of width 3
            v1 = scratch0
            v0 = tanh(v1)
            next state0 = v0
            stored0 = v0
        rows may be absent or begin anew
        """
    )


def test_a_product_in_the_middle_begins_a_phase():
    assert plans(reset_before, x=6, u=(3, 3)) == expected(
        """
        read    read0[6] = x
        fixed   matrix0[3] = u
        state   state0[3] history
        scratch scratch0[3], scratch1[3]
        phase 0
          sweep of width 3
            v0 = read0[0:3]
            h = state0
            v1 = sigmoid(v0)
            v2 = multiply(v1, h)
            scratch0 = v2
        phase 1
          scratch1 = scratch0 @ matrix0
          sweep of width 3
            v3 = scratch1
            v4 = read0[3:6]
            h = state0
            v5 = tanh(v3)
            v6 = multiply(v4, v5)
            v7 = subtract(h, v6)
            next state0 = v7
        threads can share 3 columns; they meet before the step and the products of phase 1
        """
    )


def test_a_sum_over_columns_ends_a_phase_and_columns_are_not_shared():
    assert plans(with_a_norm, x=3) == expected(
        """
        read    read0[3] = x
        state   state0[3] history
        scratch scratch0[1], scratch1[3]
        phase 0
          sweep of width 3
            h = state0
            x = read0
            v0 = multiply(h, x)
            v1 = abs(h)
            scratch1 = v0
            scratch0 = sum(v1)
        phase 1
          sweep of width 3
            v2 = scratch0
            v0 = scratch1
            v3 = divide(v0, v2)
            next state0 = v3
        """
    )


def test_what_is_kept_is_stored_and_what_goes_to_sums_over_rows_is_passing():
    def step(x, h, *, u):
        return mg.tanh(mg.tanh(h @ u) + x)

    assert plans(step, wanted=[2], x=3, u=(3, 3)) == expected(
        """
        read    read0[3] = x
        fixed   matrix0[3] = u
        state   state0[3] history
        stored  stored0[3] = v0
        scratch scratch0[3]
        phase 0
          scratch0 = state0 @ matrix0
          sweep of width 3
            v1 = scratch0
            x = read0
            v0 = tanh(v1)
            v2 = add(x, v0)
            v3 = tanh(v2)
            next state0 = v3
            stored0 = v0
        threads can share 3 columns; they meet before the products of phase 0
        read    read0[3] = v4, read1[3] = v3, read2[3] = v0, read3[3] = h
        fixed   matrix0[3] = v5
        state   state0[3]
        stored  stored0[3] = v6 passing
        phase 0
          sweep of width 3
            v4 = read0
            v7 = state0
            v3 = read1
            v0 = read2
            v8 = add(v4, v7)
            v9 = multiply(v3, v3)
            v10 = subtract(1, v9)
            v11 = multiply(v8, v10)
            v12 = multiply(v0, v0)
            v13 = subtract(1, v12)
            v6 = multiply(v11, v13)
            stored0 = v6
        phase 1
          next state0 = stored0 @ matrix0
        sum0[3, 3] = transposed(read3) @ stored0, v14
        threads can share 3 columns; they meet before the products of phase 1
        """
    )


def test_the_gradient_of_a_bias_is_a_sum_of_columns_and_that_of_an_input_stays():
    shapes = {"w": (2, 3), "u": (3, 3), "b": (3,)}
    program = make_program(graph_of(rnn, **shapes), 1, 1, [0, 2, 3, 4])
    assert lines(describe(program.backward.loop)) == expected(
        """
        read    read0[3] = v0, read1[3] = v1, read2[3] = h, read3[2] = x
        fixed   matrix0[3] = v2, matrix1[2] = v3
        state   state0[3]
        stored  stored0[3] = v4 passing, stored1[2] = v5
        phase 0
          sweep of width 3
            v0 = read0
            v6 = state0
            v1 = read1
            v7 = add(v0, v6)
            v8 = multiply(v1, v1)
            v9 = subtract(1, v8)
            v4 = multiply(v7, v9)
            stored0 = v4
        phase 1
          next state0 = stored0 @ matrix0
          stored1 = stored0 @ matrix1
        sum0[3, 3] = transposed(read2) @ stored0, v10
        sum1[3, 1] = transposed(stored0) @ 1, v11
        sum2[2, 3] = transposed(read3) @ stored0, v12
        threads can share 3 columns; they meet before the products of phase 1
        """
    )
    plan = program.backward.loop
    assert plan.given_away == {program.backward.wanted[0]}
    products = [product for phase in plan.phases for product in phase.products]
    assert [product.behind for product in products] == [False, True]


def test_what_is_summed_and_also_read_behind_the_loop_is_not_passing():
    def step(x, h, *, b):
        parts = mg.reshape(x, (x.shape[0], 3, 2))  # before the loop, and its gradient behind it
        return mg.sum(mg.exp(parts), axis=2) + h + b

    program = make_program(graph_of(step, x=6, b=(3,)), 1, 1, [0, 2])
    plan = program.backward.loop
    ((var, buffer),) = plan.stored.items()
    assert [s.left for s in plan.sums] == [buffer]
    assert any(var in node.inputs for node in program.backward.after)
    assert buffer.kind == "stored"


def test_of_what_is_made_of_parameters_the_backward_pass_makes_what_it_reads():
    def step(x, h, *, b, d):
        return h * (b + d) + x * mg.exp(d) + mg.sin(b)

    graph = graph_of(step, x=3, b=(3,), d=(3,))

    def made(*wanted):
        program = make_program(graph, 1, 1, wanted)
        parts = (program.once, program.backward.prepare, program.backward.once)
        return lines(*("\n".join(map(repr, part)) for part in parts))

    forward = ["v0 = add(b, d)", "v1 = exp(d)", "v2 = sin(b)"]
    assert made() == [*forward, "v0 = add(b, d)"]
    assert made(0) == [*forward, "v0 = add(b, d)", "v1 = exp(d)"]
    assert made(2) == [*forward, "v0 = add(b, d)", "v3 = cos(b)"]


def test_a_name_is_the_same_in_all_texts_and_other_words_stay():
    assert numbered(["v31 = tanh(v7)", "d_v7 = sum(v31, vector2, prev3)"]) == [
        "v0 = tanh(v1)",
        "d_v1 = sum(v0, vector2, prev3)",
    ]
