"""The training loop itself: updates, epochs, what is told to callbacks, and when it ends."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from minigrad.checks import as_number
from minigrad.errors import ArgumentError, GradientError, type_name
from minigrad.nn.optim.clip import clip_grad_norm_
from minigrad.nn.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau
from minigrad.nn.training.batch import Items, Score, items_of, run_model
from minigrad.nn.training.callbacks import Callback
from minigrad.nn.training.evaluation import evaluate
from minigrad.nn.training.interrupt import Interrupt
from minigrad.nn.training.run import Run, named
from minigrad.tape import no_grad
from minigrad.tensor import Tensor
from minigrad.tree import flatten


@dataclass
class Loop:
    """What one run does, from its first update to its last."""

    run: Run
    loss: Score
    validation: Any = None
    metrics: Mapping[str, Score] | None = None
    scheduler: LRScheduler | None = None
    clip_norm: float | None = None
    accumulate: int = 1
    carry_state: bool = False
    callbacks: Sequence[Callback] = ()
    save: Callable[[], None] | None = None

    def go(self, interrupt: Interrupt) -> None:
        run = self.run
        if not run.model.training:
            run.model.train()
        try:
            self.tell("on_start")
            while not run.finished and not run.interrupted:
                if self.train(interrupt):
                    self.score()
                if self.save is not None:
                    self.save()
                run.interrupted = bool(interrupt)
            if run.best_weights is not None and not run.interrupted:
                run.model.load_state_dict(run.best_weights)
        finally:
            self.tell("on_end")

    def tell(self, event: str) -> None:
        for callback in self.callbacks:
            getattr(callback, event)(self.run)

    def train(self, interrupt: Interrupt | bool) -> bool:
        """Train to the end of the epoch; return whether nothing has come before it."""
        run, source = self.run, iter(self.run.train)
        while batches := list(islice(source, self.group())):
            self.update(batches)
            self.tell("on_update")
            if interrupt or run.stop:
                return False
        return True

    def group(self) -> int:
        """Return how many batches to read: no more than are left, so that no epoch ends too early."""
        return min(self.accumulate, max(1, len(self.run.train) - self.run.batches))

    def update(self, batches: list[Any]) -> None:
        """Change the weights by the gradient of the mean over all items of some batches."""
        run, unit, total, count = self.run, 0.0, 0.0, 0.0
        run.optimizer.zero_grad()
        for batch in batches:
            begins = run.state is None
            outputs, target, run.state = run_model(
                "fit", run.model, batch, run.state, self.carry_state
            )
            if begins and self.save is not None:
                flatten(run.state)  # refuses now what a checkpoint cannot hold, and not at Ctrl-C
            items = items_of("fit", "the loss", self.loss, outputs, target)
            total, count = total + self.checked_sum(items), count + items.number
            unit = unit or items.number or 1.0
            if items.number:
                items.share(unit).backward()
        if count == 0:
            raise ArgumentError(
                f"fit: the loss counted no items {self.place()}; leave such batches out"
            )
        trained = [p for group in run.optimizer.param_groups for p in group["params"]]
        if all(p.grad is None for p in trained):
            raise GradientError(
                f"fit: no gradient has reached any parameter of the optimizer {self.place()}; make it "
                "with model.parameters() of the model that is trained"
            )
        if unit != count:
            _scale(trained, unit / count)
        if self.clip_norm is not None:
            norm = clip_grad_norm_(trained, self.clip_norm).item()
            self.check_finite("the norm of the gradients", norm)
        run.optimizer.step()
        if self.scheduler is not None and not isinstance(self.scheduler, ReduceLROnPlateau):
            self.scheduler.step()
        run.updates, run.batches = run.updates + 1, run.batches + len(batches)
        run.loss, run.total, run.count = total / count, run.total + total, run.count + count

    def checked_sum(self, items: Items) -> float:
        value, total = items.value, items.sum
        self.check_finite("the loss", total)
        if not isinstance(value, Tensor) or not value.requires_grad:
            raise GradientError(
                f"fit: no gradient flows from the loss {self.place()}, a {type_name(value)}; compute it "
                "with minigrad, from parameters that require a gradient, and without detach or item"
            )
        return total

    def check_finite(self, what: str, value: float) -> None:
        if not math.isfinite(value):
            raise GradientError(
                f"fit: {what} is {value} {self.place()}; lower the learning rate, clip gradients with "
                "clip_norm=1.0, or look for the first cause: with minigrad.anomaly(): fit(...)"
            )

    def place(self) -> str:
        return f"at epoch {self.run.epoch + 1}, update {self.run.updates + 1}"

    def score(self) -> None:
        """End an epoch: validate, tell, choose the best, step a schedule that waits for scores."""
        run = self.run
        row: dict[str, float] = {"epoch": run.epoch + 1, "updates": run.updates}
        row |= {"lr": run.optimizer.param_groups[0]["lr"], "train_loss": run.train_loss}
        if self.validation is not None:
            row |= evaluate(run.model, self.validation, self.loss, self.metrics, self.carry_state)
        run.epoch, run.batches, run.total, run.count = run.epoch + 1, 0, 0.0, 0.0
        run.state = None
        run.history.append(row)
        self.tell("on_epoch")
        for name, score in row.items():
            if as_number(score) is None:
                raise ArgumentError(
                    f"fit: the score {name!r} that a callback added is a {type_name(score)}; it must "
                    "be a number: float(score)"
                )
        score, name = self.monitored(), run.monitor.removeprefix("-")
        sign = 1 if name == run.monitor else -1
        if run.best is None or sign * score < sign * run.best[name]:
            run.best = row
            run.best_weights = run.model.state_dict() if run.keep_best else None
        if isinstance(self.scheduler, ReduceLROnPlateau):
            self.scheduler.step(score)

    def monitored(self) -> float:
        score = float(named(self.run.scores, self.run.monitor.removeprefix("-")))
        if math.isnan(score):
            raise ArgumentError(
                f"fit: the monitored score {self.run.monitor!r} is nan after epoch {self.run.epoch}, so "
                "that no epoch is better than another; lower the learning rate, or monitor another"
            )
        return score


def _scale(parameters: Iterable[Tensor], factor: float) -> None:
    with no_grad():
        for p in parameters:
            if p.grad is not None:
                p.grad = p.grad * factor
