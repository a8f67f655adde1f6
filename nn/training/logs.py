"""Scores of a run in files: a table, and TensorBoard's format."""

from __future__ import annotations

import csv
import os
from typing import Any

from minigrad.files import file_name
from minigrad.nn.training.callbacks import Callback
from minigrad.nn.training.run import Run


class CSVLog(Callback):
    """Write a row for each epoch to a CSV file. A run that is resumed writes all its rows again.

    Parameters
    ----------
    path : str or path-like
        The file; its folder has to exist.

    Raises
    ------
    OSError
        If the file cannot be written.

    Examples
    --------
    >>> model = nn.Linear(1, 1)
    >>> batches = [(mg.ones((3, 1)), mg.zeros((3, 1)))]
    >>> optimizer, log = nn.optim.SGD(model.parameters(), lr=0.1), nn.training.CSVLog("log.csv")
    >>> run = nn.training.fit(
    ...     model, batches, nn.MSELoss(), optimizer, epochs=3, callbacks=[log], progress=False)
    >>> from pathlib import Path
    >>> Path("log.csv").read_text().splitlines()[0]
    'epoch,updates,lr,train_loss'
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = file_name(path, "CSVLog")

    def on_start(self, run: Run) -> None:
        self.on_epoch(run)  # a path that cannot be written is found before the training

    def on_epoch(self, run: Run) -> None:
        columns = list(dict.fromkeys(name for row in run.history for name in row))
        with open(self.path, "w", newline="", encoding="utf-8") as file:
            table = csv.DictWriter(file, columns, lineterminator="\n")
            if columns:
                table.writeheader()
            table.writerows(run.history)


class TensorBoard(Callback):
    """Write the loss of each update and the scores of each epoch for TensorBoard.

    It needs the package tensorboardX, the extra ``tensorboard``.

    Parameters
    ----------
    folder : str or path-like
        Where the event files go; ``tensorboard --logdir folder`` shows them.

    Raises
    ------
    ImportError
        If tensorboardX is not installed.

    Examples
    --------
    >>> log = nn.training.TensorBoard("runs/first")  # doctest: +SKIP
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        try:
            from tensorboardX import SummaryWriter
        except ImportError:
            raise ImportError(
                "TensorBoard: the package tensorboardX is not installed; install it, or minigrad with "
                "its extra: pip install 'minigrad[tensorboard]'"
            ) from None
        self.folder, self._make = os.fspath(folder), SummaryWriter
        self._writer: Any = None

    def on_start(self, run: Run) -> None:
        self._writer = self._make(self.folder, purge_step=run.updates + 1 if run.updates else None)

    def on_update(self, run: Run) -> None:
        self._writer.add_scalar("update/loss", run.loss, run.updates)
        self._writer.add_scalar("update/lr", run.optimizer.param_groups[0]["lr"], run.updates)

    def on_epoch(self, run: Run) -> None:
        for name, score in run.scores.items():
            if name not in ("epoch", "updates", "lr"):
                self._writer.add_scalar(f"epoch/{name}", score, run.updates)
        self._writer.flush()

    def on_end(self, run: Run) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None
