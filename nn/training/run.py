"""How far a training run has come, and which of its epochs was the best."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from minigrad.errors import ArgumentError, suggestion
from minigrad.nn.checks import entry_of
from minigrad.nn.module import Module
from minigrad.nn.optim.optimizer import Optimizer

_STATE = ("epoch", "updates", "batches", "loss", "history", "best", "stop", "total", "count",
          "state", "best_weights", "monitor", "keep_best")  # fmt: skip


class Run:
    """A training run, as callbacks see it and `fit` returns it.

    Parameters
    ----------
    model : Module
        What is trained.
    optimizer : Optimizer
        What trains it.
    train : iterable
        The batches of an epoch.
    epochs : int
        How many epochs there will be.
    monitor : str
        Which score tells how good an epoch was; with "-" in front of its name, it is to rise.
    patience : int, optional
        After how many epochs that are no better than the best the run ends.
    keep_best : bool
        Whether the weights of the best epoch are kept.

    Attributes
    ----------
    epoch, updates : int
        How many there have been.
    batches : int
        How many have been read of the epoch that is not finished.
    loss : float
        The mean over the items of the last update.
    history : list of dict
        A row for each epoch: "epoch", "updates", "lr", "train_loss", and what `evaluate` gave for the
        validation set. Callbacks may add scores to the last row.
    best : dict or None
        The row of the best epoch.
    stop : bool
        Set it to True to end the run after this update or epoch.
    interrupted : bool
        Whether Ctrl-C has ended it.

    Examples
    --------
    >>> model = nn.Linear(1, 1)
    >>> batches = [(mg.ones((3, 1)), mg.zeros((3, 1)))]
    >>> optimizer = nn.optim.SGD(model.parameters(), lr=0.1)
    >>> run = nn.training.fit(model, batches, nn.MSELoss(), optimizer, epochs=3, progress=False)
    >>> run.epoch, run.updates, list(run.scores)
    (3, 3, ['epoch', 'updates', 'lr', 'train_loss'])
    """

    def __init__(
        self,
        model: Module,
        optimizer: Optimizer,
        train: Any,
        epochs: int,
        monitor: str = "train_loss",
        patience: int | None = None,
        keep_best: bool = False,
    ) -> None:
        self.model, self.optimizer, self.train, self.epochs = model, optimizer, train, epochs
        self.monitor, self.patience, self.keep_best = monitor, patience, keep_best
        self.epoch = self.updates = 0
        self.batches: int = getattr(train, "position", 0)
        self.loss, self.total, self.count = math.nan, 0.0, 0.0
        self.history: list[dict[str, Any]] = []
        self.best: dict[str, Any] | None = None
        self.best_weights: dict[str, Any] | None = None
        self.stop = self.interrupted = False
        self.state: Any = None

    @property
    def scores(self) -> dict[str, Any]:
        """The row of the last epoch, to which callbacks may add; empty before the first one has ended."""
        return self.history[-1] if self.history else {}

    @property
    def train_loss(self) -> float:
        """The mean over all items of this epoch so far."""
        return self.total / self.count if self.count else math.nan

    @property
    def finished(self) -> bool:
        """Whether nothing is left to do."""
        waited = 0 if self.best is None else self.epoch - self.best["epoch"]
        tired = self.patience is not None and waited >= self.patience
        return self.stop or tired or self.epoch >= self.epochs

    def curve(self, name: str) -> list[tuple[float, float]]:
        """Return the points (epoch, score) of a score, as `plot_curves` takes them.

        Parameters
        ----------
        name : str
            A name in ``history``.

        Returns
        -------
        list of (float, float)
            A point for each epoch.

        Raises
        ------
        ArgumentError
            If there is no such score.
        """
        return [(row["epoch"], named(row, name)) for row in self.history]

    def state_dict(self) -> dict[str, Any]:
        """Return what a checkpoint keeps.

        Returns
        -------
        dict
            Tensors and plain data, which `load_state_dict` takes.
        """
        state = {name: getattr(self, name) for name in _STATE}
        return {**state, "history": [dict(row) for row in self.history]}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from where a run was.

        Parameters
        ----------
        state : mapping
            What `state_dict` returned.

        Raises
        ------
        ArgumentError
            If it is the state of something else, or its best epoch was chosen in another way. Nothing
            has changed then.
        """
        found = {name: entry_of(state, name) for name in _STATE}
        for name in ("monitor", "keep_best"):
            if found[name] != getattr(self, name):
                raise ArgumentError(
                    f"its best epoch was chosen with {name}={found[name]!r}, and here it is "
                    f"{name}={getattr(self, name)!r}; give validation, monitor and patience as the run "
                    "began"
                )
        vars(self).update(found)


def named(row: Mapping[str, Any], name: str) -> Any:
    """Return a score of an epoch.

    Raises
    ------
    ArgumentError
        If there is none of this name.
    """
    if name not in row:
        known = ", ".join(row) or "none yet"
        raise ArgumentError(
            f"there is no score {name!r}{suggestion(name, row)}; the scores are {known}"
        )
    return row[name]
