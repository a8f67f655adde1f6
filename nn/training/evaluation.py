"""Scores of a model: means over all items of a set, whatever the batches."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from minigrad.errors import ArgumentError, type_name
from minigrad.nn.module import Module
from minigrad.nn.training.batch import Score, items_of, run_model, source_of
from minigrad.tape import no_grad

COLUMNS = ("epoch", "updates", "lr", "train_loss", "loss")
"""What a row of `Run.history` holds beside metrics."""


@contextmanager
def evaluating(model: Module) -> Iterator[None]:
    """Run a model in its evaluation mode and without gradients inside the ``with`` block.

    Afterwards each module is in the mode that it was in.

    Parameters
    ----------
    model : Module
        The model.

    Yields
    ------
    None
        Nothing.

    Examples
    --------
    >>> model = nn.Dropout(0.5)
    >>> with nn.training.evaluating(model):
    ...     model(mg.ones(3))
    tensor([1., 1., 1.])
    >>> model.training
    True
    """
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        with no_grad():
            yield
    finally:
        for module, mode in modes:  # some may have been in evaluation mode already
            module.training = mode


def evaluate(
    model: Module,
    batches: Any,
    loss: Score,
    metrics: Mapping[str, Score] | None = None,
    carry_state: bool = False,
) -> dict[str, float]:
    """Return the loss and the metrics of a model: means over all items of all batches.

    The model is run in its evaluation mode, without gradients.

    Parameters
    ----------
    model : Module
        See `fit`.
    batches : iterable with a length
        Tuples ``(*inputs, target)``.
    loss : callable
        ``loss(outputs, target)`` returns a mean, or a pair: the sum over the items of the batch and how
        many they are. A mean is over as many items as ``loss.number_of_items(outputs, target)`` tells,
        as with losses of `minigrad.nn` that leave out or weigh classes; or else over the elements of
        the target, of a ``Padded`` target over those that are no padding. A function of your own in
        which other things count must return a pair.
    metrics : mapping, optional
        From names to functions as ``loss`` is one. The result is the ratio of both sums, so that a pair
        can give more than means: ``(2 * hits, predicted + actual)`` is an F1 score.
    carry_state : bool
        Whether the state goes from batch to batch, see `fit`.

    Returns
    -------
    dict of float
        ``{"loss": ..., name: ...}``; NaN where no item was counted.

    Raises
    ------
    ArgumentError
        If a batch, the loss or a metric is none of these, or batches are in the middle of an epoch.

    Examples
    --------
    >>> model = nn.Linear(1, 1)
    >>> batches = [(mg.ones((3, 1)), mg.zeros((3, 1))), (mg.ones((2, 1)), mg.zeros((2, 1)))]
    >>> scores = nn.training.evaluate(model, batches, nn.MSELoss(), {"bias": lambda y, target: y.mean()})
    >>> list(scores)
    ['loss', 'bias']
    """
    check_functions("evaluate", loss, metrics)
    source, functions = source_of("evaluate", "batches", batches), {"loss": loss, **(metrics or {})}
    if getattr(source, "position", 0):
        raise ArgumentError(
            f"evaluate: the batches are in the middle of an epoch, at position {source.position}, so "
            "that some would be left out; make others of the same data to score them"
        )
    sums, state = dict.fromkeys(functions, (0.0, 0.0)), None
    with evaluating(model):
        for batch in source:
            outputs, target, state = run_model("evaluate", model, batch, state, carry_state)
            for name, function in functions.items():
                items = items_of("evaluate", f"{name!r}", function, outputs, target)
                total, count = sums[name]
                sums[name] = total + items.sum, count + items.number
    return {name: total / count if count else math.nan for name, (total, count) in sums.items()}


def check_functions(of: str, loss: Any, metrics: Any) -> None:
    """Refuse a loss that is no function, and metrics that are none by free names.

    Raises
    ------
    ArgumentError
    """
    if not isinstance(metrics, Mapping | None):
        raise ArgumentError(
            f"{of}: metrics must be a dict from names to functions, not a {type_name(metrics)}; write "
            "{'accuracy': function}"
        )
    for name, function in {"loss": loss, **(metrics or {})}.items():
        if not callable(function):
            raise ArgumentError(
                f"{of}: {name!r} is a {type_name(function)}; give a function of outputs and target"
            )
        if getattr(function, "reduction", "") == "sum":
            raise ArgumentError(
                f"{of}: {name!r} has reduction='sum', which would depend on the sizes of batches; make "
                "it with reduction='mean'"
            )
    for name in metrics or {}:
        if not isinstance(name, str) or name in COLUMNS or name.startswith("-"):
            raise ArgumentError(
                f"{of}: a metric cannot be called {name!r}; give it a name without - that is none of "
                f"{', '.join(COLUMNS)}"
            )
