"""The tape: order, sharing, release, failure, threads, modes, hooks, anomaly, recomputation."""

import asyncio
import contextlib
import functools
import gc
import inspect
import sys
import threading
import time
import weakref

import numpy
import pytest

import minigrad as mg
from minigrad import dispatch
from minigrad.errors import (
    AnomalyError,
    ArgumentError,
    DtypeError,
    GradientError,
    TraceError,
)
from minigrad.op import Domain, EachArgument, Op
from minigrad.tape import Record


def leaf(*values, dtype=None):
    return mg.tensor(list(values), dtype=dtype, requires_grad=True)


def an_op(name, formula, rules, **options):
    """Return an op that is in no table, and whose rules run in backward passes only."""
    return Op(name, formula, rules, domain=Domain(), saves="all", **options)


def equal(t, *values):
    return t is not None and t.tolist() == list(values)


# order


def test_a_cotangent_may_arrive_for_some_outputs_only():
    x = leaf(1.0, 2.0, 3.0, 4.0)
    _, b = mg.split(x, 2)
    (g,) = mg.grad((b * b).sum(), x)
    assert equal(g, 0, 0, 6, 8)


def test_a_rule_of_several_outputs_runs_once_when_all_cotangents_are_there():
    calls = []

    def rule(m, g, y, x):
        calls.append(tuple(part.tolist() for part in g))
        return g[0] + 10 * g[1]

    twice = an_op("twice", lambda m, x: (x + 0, x + 0), (rule,))
    x = leaf(1.0)
    a, b = twice(x)
    (a + mg.exp(b * 0 + a * 0) * b).backward()  # b is reached by a longer way than a
    assert calls == [([1.0], [1.0])]
    assert equal(x.grad, 11)


def test_fan_out_adds_up():
    x = leaf(3.0)
    y = x * x
    (y * y + y * x + x).sum().backward()
    assert equal(x.grad, 4 * 27 + 3 * 9 + 1)


def test_an_argument_used_twice_gets_both_parts():
    x = leaf(1.0, 2.0)
    (g,) = mg.grad(mg.concat([x, x * 2, x]).sum(), x)
    assert equal(g, 4, 4)


def test_a_diamond_of_two_hundred_floors_takes_each_record_once():
    x = leaf(1.0)
    y = x
    for _ in range(200):  # 2**200 paths
        y = y * 0.5 + y * 0.5
    y.backward()
    assert equal(x.grad, 1)


# depth and release


@pytest.mark.full(but=["100000"])
@pytest.mark.parametrize("steps", [100_000, 1_000_000])
def test_a_million_steps_forward_backward_and_freed_without_recursion(steps):
    start = time.perf_counter()
    x = leaf(1.0)
    y = x
    for _ in range(steps):
        y = y + 1.0
    y.backward()
    assert equal(x.grad, 1)
    del y
    y = x
    for _ in range(steps // 3):
        y = y * 1.0
    del y  # a graph that no backward pass frees
    assert time.perf_counter() - start < 120


def live(kind):
    return sum(type(o) is kind for o in gc.get_objects())


@pytest.mark.full(but=["second order"])
@pytest.mark.parametrize("end", ["backward", "dropped", "second order"])
def test_no_tensors_or_records_live_on_after_ten_thousand_steps(end):
    gc.collect()
    records, tensors = live(Record), live(mg.Tensor)
    gc.disable()
    try:
        x = leaf(0.5, 0.25)
        y = x
        for _ in range(10_000):
            a, _ = mg.split(mg.concat([y, y]), 2)
            y = mg.sin(a)
        middle = weakref.ref(y)
        if end == "backward":
            y.sum().backward()
        elif end == "second order":
            (g,) = mg.grad(y.sum(), x, create_graph=True)
            mg.grad(g.sum(), x)
            del g
        del a, _, y
        assert middle() is None
        x.grad = None
        assert live(Record) == records
        assert live(mg.Tensor) == tensors + 1
    finally:
        gc.enable()


def test_backward_keeps_nothing_that_the_rules_do_not_read():
    x = leaf(1.0, 2.0)
    y = x + 1.0
    array = weakref.ref(y._array)
    z = mg.exp(y + 1.0)
    del y
    assert array() is None  # add reads neither its arguments nor its result
    z.sum().backward()
    assert x.grad is not None


def test_a_graph_is_freed_by_backward_although_the_output_lives():
    x = leaf(1.0, 2.0)
    y = x * 2.0
    saved = weakref.ref(y)
    z = (y * y).sum()
    del y
    z.backward()
    assert saved() is None
    assert z._node.saved is None


# failures in the middle


class Boom(Exception):
    pass


@pytest.mark.parametrize("where", ["forward", "backward"])
@pytest.mark.parametrize("k", range(6))
@pytest.mark.parametrize("create_graph", [False, True])
def test_an_exception_at_any_op_leaves_everything_usable(where, k, create_graph):
    armed = [True]

    def formula(m, x, /, number):
        if armed[0] and where == "forward" and number == k:
            raise Boom
        return x * 1.5

    def rule(m, g, y, x, number):
        if armed[0] and where == "backward" and number == k:
            raise Boom
        return g * 1.5

    step = an_op("step", formula, (rule,))
    x, other = leaf(1.0, 2.0), leaf(3.0)
    x.grad = mg.tensor([5.0, 5.0])

    def forward():
        y = x
        for number in range(6):
            y = step(y, number=number)
        return y.sum() + other.sum()

    before = mg.dispatch.current()
    if where == "forward":
        with pytest.raises(mg.errors.MinigradError) as caught:
            forward()
        assert isinstance(caught.value.__cause__, Boom)
        armed[0] = False
        y = forward()
    else:
        y = forward()
        with pytest.raises(Boom):
            y.backward(create_graph=create_graph)
    assert mg.dispatch.current() is before
    assert mg.is_grad_enabled()
    assert equal(x.grad, 5, 5)
    assert other.grad is None
    armed[0] = False
    y.backward(create_graph=create_graph)  # the same graph again
    expected = 5 + 1.5**6
    assert equal(x.grad, expected, expected)
    assert equal(other.grad, 1)
    x.grad = other.grad = None  # with create_graph they refer to each other


def test_a_failing_hook_changes_no_grad():
    x, w = leaf(1.0), leaf(2.0)

    def fail(g):
        raise Boom

    handle = x.register_hook(fail)
    y = (x * w).sum()
    with pytest.raises(Boom):
        y.backward()
    assert x.grad is None
    assert w.grad is None
    handle.remove()
    y.backward()
    assert equal(x.grad, 2)
    assert equal(w.grad, 1)


# threads


def in_threads(*functions):
    errors, results = [], [None] * len(functions)
    barrier = threading.Barrier(len(functions), timeout=30)

    def run(position, function):
        try:
            results[position] = function(barrier)
        except BaseException as error:
            errors.append(error)
            barrier.abort()

    threads = [threading.Thread(target=run, args=pair) for pair in enumerate(functions)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
    return results


@pytest.mark.parametrize("hooked", [False, True])
def test_threads_lose_no_gradients(hooked):
    x, w = leaf(1.0), leaf(1.0)
    y = (w * 1).retain_grad()
    if hooked:
        x.register_hook(lambda g: g * 1)
    interval = sys.getswitchinterval()

    def work(barrier):
        barrier.wait()
        for _ in range(500):
            (x * 1).sum().backward()
            y.sum().backward(retain_graph=True)

    try:
        sys.setswitchinterval(1e-6)
        in_threads(*[work] * 4)
    finally:
        sys.setswitchinterval(interval)
    assert x.grad.item() == y.grad.item() == w.grad.item() == 2000


def test_threads_lose_no_hooks_and_share_no_generators():
    interval = sys.getswitchinterval()
    generator = mg.Generator(0)

    def work(barrier):
        children = []
        for t in tensors:
            barrier.wait()
            t.register_hook(lambda g: g * 2)
            children.append(generator.split(1)[0])
        return [repr(child) for child in children]

    x = leaf(1.0)
    tensors = [x * 1 for _ in range(200)]
    try:
        sys.setswitchinterval(1e-6)
        found = in_threads(*[work] * 4)
    finally:
        sys.setswitchinterval(interval)
    assert len({name for names in found for name in names}) == 800
    mg.stack(tensors).sum().backward()
    assert x.grad.item() == 200 * 2**4


def test_threads_have_their_own_grad_mode():
    x = leaf(1.0)

    def without(barrier):
        with mg.no_grad():
            barrier.wait()
            result = (x * 2).requires_grad, mg.is_grad_enabled()
            barrier.wait()
        return result

    def with_grad(barrier):
        barrier.wait()
        result = (x * 2).requires_grad, mg.is_grad_enabled()
        barrier.wait()
        return result

    assert in_threads(without, with_grad) == [(False, False), (True, True)]


def test_a_new_thread_starts_with_gradients_on():
    with mg.no_grad():
        assert in_threads(lambda _: mg.is_grad_enabled()) == [True]


def test_backward_in_several_threads_at_once():
    w = mg.randn(20, 20, requires_grad=True)

    def run(number):
        def work(barrier):
            x = mg.full((20,), float(number))
            barrier.wait()
            for _ in range(30):
                (g,) = mg.grad(mg.tanh(w @ x * 0.01).sum(), w)
            return g.numpy()

        return work

    together = in_threads(*(run(n) for n in range(4)))
    alone = [in_threads(run(n))[0] for n in range(4)]
    for a, b in zip(together, alone, strict=True):
        numpy.testing.assert_array_equal(a, b)


# what backward refuses


def test_backward_twice_needs_retain_graph():
    x = leaf(2.0)
    y = (x * x).sum()
    y.backward(retain_graph=True)
    y.backward()
    assert equal(x.grad, 8)
    with pytest.raises(GradientError) as caught:
        y.backward()
    assert str(caught.value) == (
        "backward through sum a second time: what it had saved was freed by the first backward pass; "
        "call the first one with retain_graph=True"
    )
    assert equal(x.grad, 8)


def test_a_freed_part_that_two_outputs_share_is_noticed():
    x = leaf(2.0)
    shared = x * x
    a, b = shared * 2, shared * 3
    a.backward()
    with pytest.raises(GradientError, match="backward through multiply a second time"):
        b.backward()


def test_a_seed_is_needed_unless_there_is_one_element():
    x = leaf(1.0, 2.0)
    with pytest.raises(GradientError, match=r"output of shape \(2,\) needs a cotangent"):
        (x * 2).backward()
    y = leaf(3.0)
    (y * 2).backward()
    assert equal(y.grad, 2)


def test_a_wrong_seed_is_refused():
    y = leaf(1.0, 2.0) * 2
    with pytest.raises(
        GradientError, match=r"cotangent has shape \(3,\), but the output has shape \(2,\)"
    ):
        y.backward(mg.ones(3))
    with pytest.raises(
        DtypeError, match="cotangent has dtype float64, but the output has dtype float32"
    ):
        y.backward(mg.ones(2, dtype="float64"))
    with pytest.raises(GradientError, match="2 outputs but 1 cotangents"):
        mg.backward([y, y], [mg.ones(2)])
    y.backward([1.0, 3.0])  # a list is converted


def test_a_constant_has_no_gradient():
    with pytest.raises(
        GradientError, match="does not depend on any tensor that requires a gradient"
    ):
        mg.ones(()).backward()


def test_requires_grad_cannot_be_forced():
    n = mg.tensor([1, 2])
    with pytest.raises(DtypeError, match="only floating-point tensors can require a gradient"):
        n.requires_grad = True
    y = leaf(1.0) * 2
    with pytest.raises(GradientError, match="for leaf tensors only; use detach"):
        y.requires_grad = False
    x = leaf(1.0)
    x.requires_grad = False
    assert not (x * 2).requires_grad


# grad


def test_grad_changes_nothing_else():
    x, w = leaf(2.0), leaf(3.0)
    gx, gw = mg.grad((x * w).sum(), [x, w])
    assert equal(gx, 3)
    assert equal(gw, 2)
    assert x.grad is None
    assert w.grad is None


def test_grad_of_intermediate_tensors():
    x = leaf(2.0)
    y = x * x
    z = y * y
    gz, gy, gx = mg.grad(z.sum() + y.sum(), [z, y, x])
    assert equal(gz, 1)
    assert equal(gy, 2 * 4 + 1)
    assert equal(gx, (2 * 4 + 1) * 4)


def test_grad_with_respect_to_the_output_itself_and_to_one_of_several_outputs():
    x = leaf(1.0, 2.0)
    a, b = mg.split(x * 3, 2)
    ga, gb, gx = mg.grad((a * b).sum(), [a, b, x])
    assert equal(ga, 6)
    assert equal(gb, 3)
    assert equal(gx, 18, 9)
    (g,) = mg.grad(x, x, mg.tensor([4.0, 5.0]))
    assert equal(g, 4, 5)


def test_grad_of_several_outputs_adds_their_gradients():
    x = leaf(2.0)
    (g,) = mg.grad([x * x, x * 3], x, [mg.tensor([10.0]), mg.tensor([1.0])])
    assert equal(g, 43)


def test_allow_unused():
    x, unused = leaf(1.0), leaf(1.0)
    y = x * 2
    with pytest.raises(GradientError) as caught:
        mg.grad(y, [x, unused], retain_graph=True)
    assert str(caught.value) == (
        "the outputs do not depend on input 1; pass allow_unused=True to get None there"
    )
    g, nothing = mg.grad(y, [x, unused], allow_unused=True)
    assert equal(g, 2)
    assert nothing is None


def test_grad_needs_inputs_that_require_it():
    with pytest.raises(GradientError, match="input 0 does not require a gradient"):
        mg.grad(leaf(1.0) * 2, mg.ones(1))


def counting(name, calls):
    def rule(m, g, y, x):
        calls.append(name)
        return g * 2.0

    return an_op(name, lambda m, x: x * 2.0, (rule,))


def test_work_below_unwanted_leaves_is_not_done():
    calls = []
    wanted, unwanted = leaf(1.0), leaf(1.0)
    deep = unwanted
    for n in range(5):
        deep = counting(f"unwanted {n}", calls)(deep)
    y = counting("top", calls)(counting("wanted", calls)(wanted) * deep)
    mg.grad(y, wanted, retain_graph=True)
    assert calls == ["top", "wanted"]
    calls.clear()
    mg.grad(y, deep)  # an intermediate tensor: nothing below it is needed
    assert calls == ["top"]


def test_rules_of_constant_arguments_do_not_run():
    calls = []

    def rule(position, m, g, y, *xs):
        calls.append(position)
        return g

    total = an_op("total", lambda m, *xs: sum(xs[1:], xs[0]), EachArgument(rule))
    x = leaf(1.0)
    y = total([mg.ones(1), x, mg.ones(1)])
    y.backward()
    assert calls == [1]


# modes


def test_grad_modes_nest_and_come_back():
    x = leaf(1.0)
    with mg.no_grad():
        assert not (x * 2).requires_grad
        with mg.enable_grad():
            assert (x * 2).requires_grad
        with pytest.raises(Boom), mg.enable_grad():
            raise Boom
        assert not mg.is_grad_enabled()
        with mg.set_grad_enabled(True):
            assert mg.is_grad_enabled()
    assert mg.is_grad_enabled()


def test_grad_modes_are_decorators_that_can_be_called_again_and_again():
    @mg.no_grad()
    def double(x):
        """Twice x."""
        return x * 2

    @mg.enable_grad()
    def triple(x):
        return x * 3

    x = leaf(1.0)
    assert [double(x).requires_grad for _ in range(3)] == [False] * 3
    with mg.no_grad():
        assert [triple(x).requires_grad for _ in range(3)] == [True] * 3
    assert double.__name__ == "double"
    assert double.__doc__ == "Twice x."


def test_a_decorated_function_may_call_itself():
    @mg.no_grad()
    def down(x, n):
        return x if n == 0 else down(x * 2, n - 1)

    assert not down(leaf(1.0), 3).requires_grad
    assert mg.is_grad_enabled()


def without_gradients(function):
    decorate = mg.set_grad_enabled(False)
    assert not mg.is_grad_enabled()
    return decorate(function)


MODES = {
    "no_grad()": mg.no_grad(),
    "no_grad": mg.no_grad,
    "set_grad_enabled": without_gradients,
    "anomaly()": mg.anomaly(),
    "anomaly": mg.anomaly,
}


def mode():
    """Return what a context that decorates may change."""
    return dispatch.current(), mg.get_default_backend()


@pytest.mark.parametrize("name", MODES)
def test_a_mode_holds_while_a_decorated_body_runs_and_not_between_its_steps(name):
    usual, decorate = mode(), MODES[name]

    def different(*_):
        assert mode() != usual
        return mode()

    def usually(*_):
        assert mode() == usual

    @decorate
    def function():
        return different()

    @decorate
    def generator(first):
        assert (yield different(first)) == "sent"
        with contextlib.suppress(Boom):
            yield different()
        different()
        try:
            yield "before the end"
        finally:
            different()
        return different()

    within = function()
    assert mode() == usual
    for ending in ("next", "close"):
        steps = generator(1)
        (
            usually(),
            next(steps),
            usually(),
            steps.send("sent"),
            usually(),
            steps.throw(Boom),
            usually(),
        )
        if ending == "close":
            steps.close()
        else:
            with pytest.raises(StopIteration) as end:
                next(steps)
            assert end.value.value == within
        usually()

    @decorate
    async def numbers():
        for number in range(3):
            different()
            await asyncio.sleep(0)
            assert (yield different() and number) is None
        different()

    @decorate
    async def coroutine():
        different()
        await asyncio.sleep(0)
        return different()

    async def main():
        work = asyncio.create_task(coroutine())
        found = []
        async for number in numbers():
            usually()
            await asyncio.sleep(0)
            found.append(usually() or number)
        other = numbers()
        await anext(other)
        await other.aclose()
        other = numbers()
        await anext(other)
        with pytest.raises(Boom):
            await other.athrow(Boom)
        usually()
        return found, await work

    assert asyncio.run(main()) == ([0, 1, 2], within)
    suspended = coroutine()
    suspended.send(None)  # driven by hand, in this context
    usually()
    suspended.close()
    usually()
    assert inspect.isgeneratorfunction(generator)
    assert inspect.isasyncgenfunction(numbers)
    assert inspect.iscoroutinefunction(coroutine)


def test_a_partial_and_an_object_are_decorated_as_what_they_call():
    class Numbers:
        def __call__(self, *_):
            yield mg.is_grad_enabled()

    for steps in (mg.no_grad(Numbers()), mg.no_grad(functools.partial(Numbers(), 1))):
        assert next(steps()) is False
        assert mg.is_grad_enabled()


@pytest.mark.parametrize("wrong", [3, "f", type("C", (), {})])
def test_what_is_no_function_is_not_decorated(wrong):
    for decorate in (mg.no_grad, mg.no_grad(), mg.enable_grad, mg.anomaly):
        with pytest.raises(ArgumentError, match="decorates functions, not"):
            decorate(wrong)


def test_a_method_is_decorated_without_brackets():
    class Model:
        @mg.no_grad
        def double(self, x):
            return x * 2

        @staticmethod
        @mg.enable_grad
        def triple(x):
            return x * 3

    assert not Model().double(leaf(1.0)).requires_grad
    with mg.no_grad():
        assert Model.triple(leaf(1.0)).requires_grad


def test_set_grad_enabled_is_also_a_statement():
    try:
        mg.set_grad_enabled(False)
        assert not (leaf(1.0) * 2).requires_grad
        mg.set_grad_enabled(True)
        assert mg.is_grad_enabled()
        with mg.set_grad_enabled(False) as nothing:
            assert nothing is None
            assert not mg.is_grad_enabled()
            with mg.set_grad_enabled(True):
                assert mg.is_grad_enabled()
            assert not mg.is_grad_enabled()
        assert mg.is_grad_enabled()
        switch = mg.set_grad_enabled(False)
        for _ in range(2):
            with switch:
                assert not mg.is_grad_enabled()
            assert mg.is_grad_enabled()
        with mg.no_grad():
            mg.set_grad_enabled(True)
            assert mg.is_grad_enabled()
        assert mg.is_grad_enabled()
        assert in_threads(lambda _: mg.set_grad_enabled(False) and mg.is_grad_enabled())
    finally:
        mg.set_grad_enabled(True)
    assert mg.is_grad_enabled()
    with pytest.raises(ArgumentError, match="enabled must be True or False, not 1"):
        mg.set_grad_enabled(1)


def test_detach_cuts_and_clone_does_not():
    x = leaf(2.0)
    (x * x.detach()).sum().backward()
    assert equal(x.grad, 2)
    (x.clone() * 3).sum().backward()
    assert equal(x.grad, 5)


def test_modes_and_anomaly_cannot_be_switched_while_tracing():
    with mg.dispatch.interpreting(mg.graph.Recorder()):
        with (
            pytest.raises(TraceError, match="a traced step cannot switch gradients on or off"),
            mg.no_grad(),
        ):
            pass
        with pytest.raises(TraceError, match="a traced step cannot switch gradients on or off"):
            mg.set_grad_enabled(False)
        with pytest.raises(TraceError, match="a traced step has no values to watch"), mg.anomaly():
            pass


# hooks


def test_a_leaf_that_was_frozen_after_the_forward_pass_gets_no_gradient():
    x, y = leaf(2.0), leaf(3.0)
    z = x * y
    x.requires_grad_(False)
    z.backward()
    assert x.grad is None
    assert y.grad.item() == 2


def test_a_hook_of_a_leaf_sees_its_whole_gradient_and_can_replace_it():
    seen = []
    x = leaf(3.0)
    x.register_hook(seen.append)
    handle = x.register_hook(lambda g: g * 10)
    (x * x).sum().backward()
    assert [g.tolist() for g in seen] == [[6]]
    assert equal(x.grad, 60)
    handle.remove()
    handle.remove()
    (x * x).sum().backward()
    assert equal(x.grad, 66)


def test_a_hook_of_an_intermediate_tensor_changes_what_flows_on():
    x = leaf(3.0)
    y = x * 2
    y.register_hook(lambda g: g * 10)
    (y * y + y).sum().backward()
    assert equal(x.grad, (2 * 6 + 1) * 10 * 2)


def test_a_hook_of_one_of_several_outputs():
    x = leaf(1.0, 2.0)
    a, b = mg.split(x, 2)
    b.register_hook(lambda g: g * 7)
    (a * b).sum().backward()
    assert equal(x.grad, 2, 7)


def test_a_hook_works_under_create_graph():
    x = leaf(3.0)
    x.register_hook(lambda g: g * g)
    (g,) = mg.grad((x * x).sum(), x, create_graph=True)
    assert equal(g, 36)
    assert equal(mg.grad(g, x)[0], 24**2)  # the slope of 4 x x is 8 x, and the hook squares it


def test_a_hook_that_writes_its_gradient_changes_no_other():
    x, w = leaf(1.0), leaf(1.0)
    y = x * 1.0

    def spoil(g):
        g[0] = 100.0

    y.register_hook(spoil)
    (y + w).sum().backward()
    assert equal(x.grad, 1)
    assert equal(w.grad, 1)


MISFITS = [
    (lambda g: 3.0, TypeError, "must be None or a tensor, but is a float"),
    (lambda g: g.numpy(), TypeError, r"but is a numpy\.ndarray"),
    (lambda g: mg.ones(2), GradientError, r"has shape \(2,\), but the .* has shape \(1,\)"),
    (lambda g: g[0], GradientError, r"has shape \(\), but the .* has shape \(1,\)"),
    (lambda g: g.astype("float64"), DtypeError, "has dtype float64, but the .* float32"),
    (lambda g: g.astype("float16"), DtypeError, r'convert it with .astype\("float32"\)'),
    (lambda g: g.astype("int64"), DtypeError, "has dtype int64"),
]


@pytest.mark.parametrize(("wrong", "error", "words"), MISFITS)
@pytest.mark.parametrize("place", ["leaf", "inner", "several"])
def test_a_hook_must_return_a_fitting_tensor(wrong, error, words, place):
    x = leaf(1.0)
    y = mg.split(x * 2, 1)[0] if place == "several" else x * 2
    (x if place == "leaf" else y).register_hook(wrong)
    with pytest.raises(error, match=words):
        y.sum().backward()
    assert x.grad is None


@pytest.mark.parametrize(("wrong", "error", "words"), MISFITS)
def test_what_is_assigned_to_grad_must_fit(wrong, error, words):
    x = leaf(1.0)
    x.grad = before = mg.ones(1)
    with pytest.raises(error, match=words):
        x.grad = wrong(before)
    assert x.grad is before
    x.grad = None
    assert x.grad is None
    with pytest.raises(GradientError, match="cannot be its own gradient"):
        x.grad = x


def test_a_hook_needs_a_gradient():
    with pytest.raises(GradientError, match="a hook needs a tensor that requires a gradient"):
        mg.ones(1).register_hook(print)


def test_retain_grad():
    x = leaf(3.0)
    y = x * 2
    y.retain_grad()
    assert y.retain_grad() is y  # twice is once
    x.retain_grad()  # a leaf has its gradient anyhow
    (y * y).sum().backward(retain_graph=True)
    assert equal(y.grad, 12)
    assert equal(x.grad, 24)
    y.grad[0] = 1.0
    assert equal(x.grad, 24)
    (y * y).sum().backward()
    assert equal(y.grad, 13)


def test_retain_grad_keeps_what_the_hooks_have_left():
    x = leaf(3.0)
    y, z = mg.split(mg.concat([x * 2, x * 3]), 2)
    for t in (y, z):
        t.register_hook(lambda g: g + 1)
        t.retain_grad()
        t.register_hook(lambda g: g * 10)  # later, and seen all the same
    (y + z).sum().backward()
    assert equal(y.grad, 20)
    assert equal(z.grad, 20)
    assert equal(x.grad, 100)


def test_retain_grad_of_a_constant_is_refused():
    with mg.no_grad():
        unrecorded = leaf(1.0) * 2
    for constant in (mg.ones(1), unrecorded, leaf(1.0).detach()):
        with pytest.raises(GradientError, match=r"retain_grad.* requires a gradient"):
            constant.retain_grad()


def test_retain_grad_makes_no_cycle():
    gc.disable()
    try:
        y = (leaf(3.0) * 2).retain_grad()
        y.sum().backward()
        ref = weakref.ref(y)
        del y
        assert ref() is None
    finally:
        gc.enable()


# gradients are tensors of their own


def test_gradients_share_no_memory():
    x, w = leaf(1.0, 2.0), leaf(3.0, 4.0)
    seed = mg.ones(2)
    (x + w).backward(seed, retain_graph=True)
    x.grad[0] = 7.0
    assert equal(w.grad, 1, 1)
    assert equal(seed, 1, 1)
    gx, gw = mg.grad(x + w, [x, w], seed)
    gx[0] = 7.0
    assert equal(gw, 1, 1)
    assert equal(seed, 1, 1)


def test_gradients_share_no_memory_under_create_graph():
    x, w = leaf(1.0, 2.0), leaf(3.0, 4.0)
    seed = mg.ones(2)
    gx, gw = mg.grad(x + w, [x, w], seed, create_graph=True)
    gx[0] = 7.0
    assert equal(gw, 1, 1)
    assert equal(seed, 1, 1)


def test_the_gradient_of_a_sum_can_be_written():
    x = leaf(1.0, 2.0)
    x.sum().backward()
    x.grad[0] = 7.0
    assert equal(x.grad, 7, 1)


def test_a_rule_that_returns_what_was_saved_gives_no_window_on_it():
    half_square = an_op("half_square", lambda m, x: m.sum(x * x) / 2, (lambda m, g, y, x: x,))
    x = leaf(1.0, 2.0)
    half_square(x).backward()
    x.grad[0] = 9.0
    assert equal(x, 1, 2)


def test_gradients_add_up_in_grad_also_for_scalars():
    x = mg.tensor(2.0, requires_grad=True)
    for _ in range(3):
        (x * x).backward()
    assert x.grad.item() == 12
    assert (x.grad + 1).item() == 13


# anomaly


def test_anomaly_names_the_op_and_the_line():
    x = leaf(-1.0, 1.0)
    with pytest.raises(AnomalyError) as caught, mg.anomaly():
        mg.log(x)  # the line of the error
    text = str(caught.value)
    assert text.startswith(
        "log(float32[2]) produced NaN or infinity from finite arguments, at test_tape.py:"
    )
    assert "mg.log(x)  # the line of the error" in text
    assert "clip its argument, or guard it with minigrad.where" in text


def test_anomaly_in_the_backward_pass_names_the_line_of_the_forward_call():
    x = leaf(0.0, 1.0)
    with mg.anomaly():
        y = mg.sqrt(x).sum()  # finite, but its slope is not
        with pytest.raises(AnomalyError) as caught:
            y.backward()
    text = str(caught.value)
    assert text.startswith(
        "the gradient of sqrt is NaN or infinite although its cotangent and its arguments are finite"
    )
    assert "mg.sqrt(x).sum()  # finite, but its slope is not" in text
    assert x.grad is None


def test_anomaly_lets_infinities_pass_on_that_were_given():
    with mg.anomaly():
        assert mg.exp(mg.tensor([numpy.inf])).item() == numpy.inf
        assert numpy.isnan(mg.tensor([numpy.nan]).sum().item())


GIVEN_INFINITY = {
    "where": lambda x: mg.softmax(mg.where(x > 1.5, x, -numpy.inf)),
    "maximum": lambda x: mg.minimum(mg.maximum(x, -numpy.inf), numpy.inf),
    "clip": lambda x: mg.clip(x, -numpy.inf, numpy.inf),
    "set": lambda x: mg.logsumexp(x.at[0].set(-numpy.inf)),
    "add": lambda x: mg.exp(x.at[0].add(-numpy.inf)),
    "pad": lambda x: mg.max(mg.pad(x, [(1, 1)], value=-numpy.inf)),
    "multiply": lambda x: x * numpy.inf,
    "full": lambda x: x + mg.full((2,), numpy.inf),
    "norm": lambda x: mg.vector_norm(x, ord=numpy.inf),
    "max_pool1d": lambda x: mg.max_pool1d(x.reshape(1, 1, 2), 2, padding=1),
    "max_pool2d": lambda x: mg.max_pool2d(x.reshape(1, 1, 1, 2), (1, 2), padding=(0, 1)),
}


@pytest.mark.parametrize("create_graph", [False, True])
@pytest.mark.parametrize("name", GIVEN_INFINITY)
def test_infinities_that_a_call_was_given_are_no_anomaly(name, create_graph):
    x = leaf(1.0, 2.0)
    with mg.anomaly():
        y = GIVEN_INFINITY[name](x)
        mg.grad(y.sum(), x, create_graph=create_graph)


@pytest.mark.parametrize("call", [lambda x: x / 0.0, lambda x: mg.pad(x, [(1, 1)]) ** -1.0])
def test_finite_numbers_and_options_do_not_hide_an_anomaly(call):
    with mg.anomaly(), pytest.raises(AnomalyError):
        call(leaf(1.0, 2.0))


def test_anomaly_and_no_grad_go_together():
    with mg.no_grad(), mg.anomaly():
        assert not mg.is_grad_enabled()
        with pytest.raises(AnomalyError), mg.enable_grad():
            mg.log(leaf(-1.0))
        with pytest.raises(AnomalyError):
            mg.checkpoint(mg.log, leaf(-1.0))


# recomputation


def block(x, w):
    return mg.tanh(x * w) * w


def test_checkpoint_gives_the_same_value_and_gradients():
    x, w = leaf(0.3, -0.2), leaf(1.5, 0.5)
    plain = mg.grad(block(x, w).sum(), [x, w])
    y = mg.checkpoint(block, x, w)
    assert y.tolist() == block(x, w).tolist()
    for a, b in zip(plain, mg.grad(y.sum(), [x, w]), strict=True):
        assert a.tolist() == b.tolist()


def test_checkpoint_keeps_no_intermediate_result():
    kept = []

    def function(x):
        y = mg.sin(x)
        kept.append(weakref.ref(y))
        return mg.sin(y)

    x = leaf(1.0)
    y = mg.checkpoint(function, x)
    assert kept[0]() is None
    assert len(kept) == 1
    y.backward()
    assert len(kept) == 2


def test_checkpoint_of_captured_tensors_with_a_history():
    w = leaf(2.0)
    v = w * w
    x = leaf(3.0)
    y = mg.checkpoint(lambda x: x * v * w, x)
    gx, gw, gv = mg.grad(y, [x, w, v])
    assert equal(gx, 8)
    assert equal(gv, 6)
    assert equal(gw, 3 * (3 * 4))


def test_checkpoint_with_several_outputs_and_other_arguments():
    x = leaf(2.0, 3.0)

    def function(x, power, *, _unused=None):
        return x**power, (x * 2, "ignored")[0], x.detach()

    a, b, c = mg.checkpoint(function, x, 3)
    assert not c.requires_grad or c.is_leaf is False
    (g,) = mg.grad(b.sum(), x, retain_graph=True)
    assert equal(g, 2, 2)
    (g,) = mg.grad((a * b).sum(), x)
    assert equal(g, 4 * 2 * 8, 4 * 2 * 27)


def test_checkpoint_of_a_function_that_returns_what_it_found():
    x, w = leaf(2.0), leaf(3.0)
    for outside, slope in ((w, 4), (w * w, 24)):  # 2 x w and 2 x w²
        a, b = mg.checkpoint(lambda y, outside=outside: (y * 2, outside), x)
        (g,) = mg.grad(a * b, w)
        assert equal(g, slope)


def test_checkpoint_draws_the_same_random_numbers_again():
    own = mg.Generator(5)
    x = leaf(1.0, 1.0, 1.0)

    def noisy(x):
        return x * mg.randn(3) * own.normal((3,))

    y = mg.checkpoint(noisy, x)
    after = mg.random.get_state(), own.get_state()
    (g,) = mg.grad(y.sum(), x)
    assert g.tolist() == y.tolist()
    assert (mg.random.get_state(), own.get_state()) == after


def test_checkpoint_to_second_order_and_nested():
    def inner(x):
        return mg.checkpoint(lambda z: mg.sin(z) * z, x)

    x = mg.tensor([0.4, -1.2], dtype="float64", requires_grad=True)
    for function in (inner, lambda x: mg.checkpoint(inner, x)):
        (g,) = mg.grad(function(x).sum(), x, create_graph=True)
        (h,) = mg.grad(g.sum(), x)
        numpy.testing.assert_allclose(g.detach().numpy(), _slope(x), rtol=1e-14)
        numpy.testing.assert_allclose(h.numpy(), _curvature(x), rtol=1e-14)


def _slope(x):
    x = x.detach().numpy()
    return numpy.sin(x) + x * numpy.cos(x)


def _curvature(x):
    x = x.detach().numpy()
    return 2 * numpy.cos(x) - x * numpy.sin(x)


def test_checkpoint_runs_hooks_once():
    x = leaf(3.0)
    x.register_hook(lambda g: g * 2)
    y = x * 1.0
    y.register_hook(lambda g: g * 5)
    (g,) = mg.grad(mg.checkpoint(lambda y: y * x, y), x)
    assert equal(g, (3 * 5 + 3) * 2)


def test_checkpoint_without_gradients_is_a_call():
    assert equal(mg.checkpoint(lambda x: x * 2, mg.ones(1)), 2)
    with mg.no_grad():
        assert not mg.checkpoint(lambda x: x * 2, leaf(1.0)).requires_grad


def test_checkpoint_may_use_derivatives_inside():
    x = leaf(2.0)

    def slope(x):
        with mg.enable_grad():
            return mg.grad((x * x * x).sum(), x, create_graph=True)[0]

    def function(x):
        return mg.jvp(lambda z: z * z, [x], [mg.ones(1)])[1] + x

    (g,) = mg.grad(mg.checkpoint(function, x), x)
    assert equal(g, 3)


@pytest.mark.parametrize("tracked", [True, False])
def test_checkpoint_of_a_lambda_in_a_loop_is_refused(tracked):
    x = leaf(1.0)
    weights = [mg.tensor([float(n)], requires_grad=tracked) for n in (2, 3)]
    y = x
    for w in weights:
        y = mg.checkpoint(lambda y: y * w, y)  # noqa: B023  the mistake in question
    with pytest.raises(
        GradientError, match="run again for the backward pass, the function reads other"
    ):
        y.backward()


def test_checkpoint_of_a_function_that_returns_other_values_is_refused():
    x, numbers = leaf(1.0), iter([2.0, 3.0])
    y = mg.checkpoint(lambda x: x * next(numbers), x)
    with pytest.raises(GradientError, match="the function returns other values, so the gradient"):
        y.backward()


def test_checkpoint_of_a_function_that_changes_its_mind_is_refused():
    sizes = [2, 3]
    x = mg.ones(3, requires_grad=True)
    y = mg.checkpoint(lambda x: x[: sizes.pop(0)], x)
    with pytest.raises(GradientError, match=r"returns shapes \[\(3,\)\] instead of \[\(2,\)\]"):
        y.sum().backward()


def test_checkpoint_notices_a_constant_that_was_written():
    x, c = leaf(1.0), mg.tensor([2.0])
    y = mg.checkpoint(lambda x: x * c.detach(), x)
    c[0] = 5.0
    with pytest.raises(
        GradientError, match=r"checkpoint: a tensor \(float32\[1\]\) that the function reads"
    ):
        y.backward()


def test_checkpoint_allows_a_function_its_own_counters():
    x, count = leaf(2.0), mg.tensor([0.0])

    def function(x):
        count.copy_(count + 1)
        return x * x

    mg.checkpoint(function, x).backward()
    assert equal(x.grad, 4)
    assert equal(count, 2)


def test_checkpoint_of_something_else_than_tensors():
    with pytest.raises(
        TypeError, match="the results of the function must be a tensor or a sequence"
    ):
        mg.checkpoint(lambda x: 3.0, leaf(1.0))
