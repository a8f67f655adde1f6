"""What happens beside training: hooks that `fit` calls. The progress bar is one of them."""

from __future__ import annotations

import sys
from typing import Any

from minigrad.checks import as_number
from minigrad.nn.training.run import Run


class Callback:
    """The base of what `fit` calls while it trains. A subclass defines those methods that it needs.

    Examples
    --------
    >>> class Patient(nn.training.Callback):
    ...     def on_epoch(self, run):
    ...         run.scores["twice"] = 2 * run.scores["train_loss"]
    ...         run.stop = run.scores["train_loss"] < 0.1
    """

    def on_start(self, run: Run) -> None:
        """Do something before the first update, after a checkpoint was restored.

        Parameters
        ----------
        run : Run
            The run.
        """

    def on_update(self, run: Run) -> None:
        """Do something after an update of the weights.

        Parameters
        ----------
        run : Run
            The run; ``run.loss`` is the loss of the update.
        """

    def on_epoch(self, run: Run) -> None:
        """Do something after an epoch and its validation, before the best epoch is chosen.

        Parameters
        ----------
        run : Run
            The run; ``run.scores`` may be added to.
        """

    def on_end(self, run: Run) -> None:
        """Do something at the end, whatever has led to it: the last epoch, Ctrl-C, an error.

        Parameters
        ----------
        run : Run
            The run; its model has its best weights if it is finished.
        """


class Progress(Callback):
    """A bar in a terminal, if tqdm is installed, and a line on standard output for each epoch."""

    _bar: Any = None

    def on_start(self, run: Run) -> None:
        self._done = run.epoch * len(run.train) + run.batches
        try:
            from tqdm import tqdm
        except ImportError:
            return
        if not run.finished:
            total = run.epochs * len(run.train)
            self._bar = tqdm(initial=self._done, total=total, unit="batch", disable=None)
            self._name(run)

    def _name(self, run: Run) -> None:
        self._bar.set_description(f"epoch {min(run.epoch + 1, run.epochs)}/{run.epochs}")

    def on_update(self, run: Run) -> None:
        if self._bar is not None:
            rate = f"lr {run.optimizer.param_groups[0]['lr']:.3g}"
            shown = [f"train_loss {run.train_loss:.4g}", rate, *_texts(run.scores, "train_loss")]
            self._bar.set_postfix_str(", ".join(shown), refresh=False)
            done = run.epoch * len(run.train) + run.batches
            self._bar.update(done - self._done)
            self._done = done

    def on_epoch(self, run: Run) -> None:
        if self._bar is not None:
            self._name(run)
        say(f"epoch {run.epoch}/{run.epochs}: {', '.join(_texts(run.scores))}")

    def on_end(self, run: Run) -> None:
        if self._bar is not None:
            self._bar.close()


def say(text: str) -> None:
    """Print a text on standard output, above the progress bar if there is one.

    Parameters
    ----------
    text : str
        One line or several.

    Examples
    --------
    >>> nn.training.say("half of it is done")
    half of it is done
    """
    try:
        from tqdm import tqdm
    except ImportError:
        print(text)
    else:
        tqdm.write(text, file=sys.stdout)


def _texts(row: dict[str, Any], *without: str) -> list[str]:
    left_out = {"epoch", "updates", "lr", *without}
    shown = ((name, as_number(score)) for name, score in row.items() if name not in left_out)
    return [f"{name} {score:.4g}" for name, score in shown if score is not None]
