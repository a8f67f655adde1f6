"""Train a model: check what was given, restore a run or begin one, and loop."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from minigrad.checks import check_flag, check_integer, check_number, listed
from minigrad.errors import ArgumentError, type_name
from minigrad.nn.module import Module
from minigrad.nn.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau
from minigrad.nn.optim.optimizer import Optimizer
from minigrad.nn.training.batch import Score, source_of
from minigrad.nn.training.callbacks import Callback, Progress
from minigrad.nn.training.checkpoint import Checkpoint, save_checkpoint
from minigrad.nn.training.evaluation import check_functions
from minigrad.nn.training.interrupt import noting_interrupts
from minigrad.nn.training.loop import Loop
from minigrad.nn.training.run import Run, named

_OWN_PARTS = ("train", "validation", "run", "model", "optimizer", "scheduler")


def fit(
    model: Module,
    train: Any,
    loss: Score,
    optimizer: Optimizer,
    *,
    epochs: int,
    validation: Any = None,
    metrics: Mapping[str, Score] | None = None,
    scheduler: LRScheduler | None = None,
    clip_norm: float | None = None,
    accumulate: int = 1,
    carry_state: bool = False,
    monitor: str | None = None,
    patience: int | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    resume: bool | str | os.PathLike[str] | None = False,
    parts: Mapping[str, Any] | None = None,
    callbacks: Iterable[Callback] = (),
    progress: bool = True,
) -> Run:
    """Train a model; return what became of the run.

    A batch is a tuple ``(*inputs, target)``: first ``outputs = model(*inputs)``, then
    ``loss(outputs, target)``.
    The loss is a mean, or a pair of the sum over the items and how many they are, see `evaluate`; so the
    loss of an update, of an epoch and of a validation set is the mean over all its items. Ctrl-C ends the
    run after the update that is on the way; a second one raises `KeyboardInterrupt` at once.

    Parameters
    ----------
    model : Module
        What to train. It is put in its training mode, unless it is; modules in it that were set to
        evaluation stay so.
    train : iterable with a length
        The batches of an epoch: a list, or what `nn.data` makes.
    loss : callable
        ``loss(outputs, target)`` returns a tensor of one element, or a pair.
    optimizer : Optimizer
        Holds the parameters to train.
    epochs : int
        How often to go through ``train``.
    validation : iterable with a length, optional
        Batches to score after each epoch.
    metrics : mapping, optional
        From names to functions that score the validation set, see `evaluate`.
    scheduler : LRScheduler, optional
        Stepped after each update; `ReduceLROnPlateau` after each epoch, with the monitored score.
    clip_norm : float, optional
        The largest norm of all gradients together.
    accumulate : int
        Over how many batches to add up the gradient for one update; it is that of the mean over all
        their items.
    carry_state : bool
        Whether the state goes from batch to batch, without gradients (truncated backpropagation through
        time): ``outputs, state = model(*inputs, state)``, with None at the beginning of an epoch.
    monitor : str, optional
        The score that tells how good an epoch was: one that is to fall, or "-accuracy", one that is to
        rise. By default "loss", that of the validation set, or else "train_loss".
    patience : int, optional
        End after so many epochs that are no better than the best.
    checkpoint : str or path-like, optional
        The file that all of the run is written to: at the beginning, after each epoch, and at Ctrl-C.
    resume : bool or str or path-like
        Whether to go on from ``checkpoint``, bit for bit; or the file to go on from.
    parts : mapping, optional
        What else to keep in the checkpoint, by name: see `save_checkpoint`.
    callbacks : iterable of Callback
        Called in this order.
    progress : bool
        Whether to show a bar in a terminal, if tqdm is installed, and to print a line for each epoch.

    Returns
    -------
    Run
        Scores by epoch, and whether it was interrupted. If it was not, and a validation set, ``monitor``
        or ``patience`` was given, the model has the weights of its best epoch.

    Raises
    ------
    ArgumentError
        If an argument, a batch, or what the model or the loss returns cannot be used, or the
        checkpoint is not one of these parts.
    GradientError
        If the loss, or with ``clip_norm`` the gradient, is NaN or infinite, or no gradient flows.
    FileFormatError
        If the checkpoint is damaged, or none.
    OSError
        If the checkpoint cannot be written or read.

    Examples
    --------
    >>> model = nn.Linear(1, 1)
    >>> batches = [(mg.ones((3, 1)), mg.zeros((3, 1)))]
    >>> optimizer = nn.optim.SGD(model.parameters(), lr=0.1)
    >>> run = nn.training.fit(model, batches, nn.MSELoss(), optimizer, epochs=30, progress=False)
    >>> run.scores["train_loss"] < 0.1
    True
    """
    for name, given, kind in (("model", model, Module), ("optimizer", optimizer, Optimizer),
                              ("scheduler", scheduler, LRScheduler | None)):  # fmt: skip
        if not isinstance(given, kind):
            raise ArgumentError(f"fit: {name} is a {type_name(given)}; give one of minigrad.nn")
    if scheduler is not None and scheduler.optimizer is not optimizer:
        raise ArgumentError(
            "fit: the scheduler belongs to another optimizer; make it with this one"
        )
    check_functions("fit", loss, metrics)
    check_flag("fit", "carry_state", carry_state)
    check_flag("fit", "progress", progress)
    epochs = check_integer("fit", "epochs", epochs, low=1)
    accumulate = check_integer("fit", "accumulate", accumulate, low=1)
    if patience is not None:
        patience = check_integer("fit", "patience", patience, low=1)
    if clip_norm is not None and not check_number("fit", "clip_norm", clip_norm, low=0) > 0:
        raise ArgumentError(f"fit: clip_norm must be above 0, not {clip_norm!r}")
    if validation is not None:
        validation = source_of("fit", "validation", validation)
    elif metrics:
        raise ArgumentError("fit: metrics are computed on the validation set; give validation=")
    called = list(listed(callbacks))
    for callback in called:
        if not isinstance(callback, Callback):
            raise ArgumentError(
                f"fit: a callback is a {type_name(callback)}; give an object of a subclass of "
                "minigrad.nn.training.Callback"
            )
    keep_best = any(given is not None for given in (validation, monitor, patience))
    monitor = _checked_monitor(monitor, scheduler, validation, metrics or {}, called)
    train = source_of("fit", "train", train)
    if not resume and getattr(train, "position", False):
        train.position = 0  # a new run begins with a whole epoch
    run = Run(model, optimizer, train, epochs, monitor, patience, keep_best)
    own = {"train": train, "run": run, "model": model, "optimizer": optimizer}
    own |= {"scheduler": scheduler} if scheduler is not None else {}
    own |= {"validation": validation} if hasattr(validation, "state_dict") else {}
    save = _starting(own, parts or {}, checkpoint, resume)
    called += [Progress()] if progress else []
    loop = Loop(run, loss, validation, metrics, scheduler, clip_norm, accumulate, carry_state,
                called, save)  # fmt: skip
    with noting_interrupts() as interrupt:
        loop.go(interrupt)
    return run


def _checked_monitor(
    monitor: Any,
    scheduler: Any,
    validation: Any,
    metrics: Mapping[str, Any],
    called: list[Callback],
) -> str:
    """Return the name of the score that is monitored; callbacks may add scores of any name."""
    found = ("train_loss" if validation is None else "loss") if monitor is None else monitor
    if not isinstance(found, str) or found in ("", "-"):
        raise ArgumentError(f"fit: monitor must be the name of a score, not {monitor!r}")
    rises, name = found[0] == "-", found.removeprefix("-")
    known = {"train_loss": 0, **({} if validation is None else {"loss": 0, **metrics})}
    if all(type(callback).on_epoch is Callback.on_epoch for callback in called):
        named(known, name)
    if isinstance(scheduler, ReduceLROnPlateau) and scheduler.mode != ("max" if rises else "min"):
        raise ArgumentError(
            f"fit: monitor={found!r} is a score that is to {'rise' if rises else 'fall'}, and the "
            f"scheduler has mode={scheduler.mode!r}; make it with the other mode"
        )
    return found


def _starting(
    own: dict[str, Any], parts: Mapping[str, Any], checkpoint: Any, resume: Any
) -> Callable[[], None] | None:
    """Restore a run, or write its first checkpoint; return what writes the next ones."""
    taken = [name for name in parts if name in _OWN_PARTS]
    if taken:
        raise ArgumentError(f"fit: a part is called {taken[0]!r}, as one of fit is; rename it")
    if resume is True and checkpoint is None:
        raise ArgumentError("fit: resume=True goes on from a checkpoint; give checkpoint=path, too")
    everything = {**parts, **own}  # what tells other data comes first
    source = checkpoint if resume is True else resume or None
    if source is not None:
        device = next((p.device for p in own["model"].parameters()), None)
        Checkpoint(source, device).restore(**everything)

    if checkpoint is None:
        return None
    save = functools.partial(save_checkpoint, checkpoint, None, **everything)
    if source is None or os.fspath(source) != os.fspath(checkpoint):
        save()
    return save
