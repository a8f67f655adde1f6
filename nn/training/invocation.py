"""One run of a program from the command line: its settings, its checkpoints, its results."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from minigrad.errors import ArgumentError
from minigrad.nn.checks import entry_of
from minigrad.nn.training.callbacks import Callback, say
from minigrad.nn.training.checkpoint import Checkpoint, save_checkpoint
from minigrad.nn.training.fit import fit
from minigrad.nn.training.run import Run


class Invocation:
    """One run of a `Program`. Each setting and option is an attribute: ``program.hidden``.

    Parameters
    ----------
    name : str
        Of the program.
    settings, options : dict
        Their values by name.
    command : callable
        Makes a shell command of options.
    duration : str, optional
        How long it will take.

    Attributes
    ----------
    settings, options : dict
        All settings; all options.

    Examples
    --------
    >>> program = nn.training.Program("lines", "Fit a line.", data="a CSV file", cell=None)
    >>> program.run(lambda given: print(given.settings), ["--data", "a.csv"])
    {'data': 'a.csv', 'seed': 0}
    0
    """

    def __init__(
        self,
        name: str,
        settings: dict[str, Any],
        options: dict[str, Any],
        command: Callable[..., str],
        duration: str | None = None,
    ) -> None:
        self.name, self.settings, self.options = name, settings, options
        self._command, self._duration = command, duration
        self._reported: dict[str, dict[str, float]] = {}

    def __getattr__(self, name: str) -> Any:
        known = {**vars(self).get("settings", {}), **vars(self).get("options", {})}
        if name not in known:
            raise AttributeError(f"the program has no setting {name!r}; it has {', '.join(known)}")
        return known[name]

    def path(self, name: str) -> Path:
        """Return the path of a result in the folder ``--out``, which is made if need be.

        Parameters
        ----------
        name : str
            The name of the file.

        Returns
        -------
        Path
            Where to write it.

        Raises
        ------
        OSError
            If the folder cannot be made.
        """
        self.out.mkdir(parents=True, exist_ok=True)
        return Path(self.out, name)

    @property
    def checkpoint(self) -> Path:
        """The file that the run is saved to."""
        usual = self.path("checkpoint.safetensors")
        return Path(self.save or self.resume or usual)

    def fit(
        self,
        model: Any,
        train: Any,
        loss: Any,
        optimizer: Any,
        *,
        run: str | None = None,
        parts: Mapping[str, Any] | None = None,
        callbacks: Iterable[Callback] = (),
        **options: Any,
    ) -> Run:
        """Call `nn.training.fit` with a checkpoint; Ctrl-C ends the program after saving.

        Parameters
        ----------
        model : Module
            See `nn.training.fit`.
        train : iterable with a length
            The batches of an epoch.
        loss : callable
            ``loss(outputs, target)``.
        optimizer : Optimizer
            Holds the parameters to train.
        run : str, optional
            The name of this run in a program that makes several, one after the other: each has a
            checkpoint of its own, beside that of the program.
        parts : mapping, optional
            What else to keep in the checkpoint, by name.
        callbacks : iterable of Callback
            Called in this order.
        **options : Any
            See `nn.training.fit`.

        Returns
        -------
        Run
            The finished run.

        Raises
        ------
        SystemExit
            With status 130, if Ctrl-C was pressed.
        """
        kept, checkpoint, source = _Settings(self.name, self.settings), self.checkpoint, self.resume
        if run is not None:
            if source is None:
                save_checkpoint(checkpoint, None, settings=kept)
            checkpoint, source = _of_run(checkpoint, run), source and _of_run(source, run)
            if source is not None and not _is_of(source, kept):
                source = None  # it had not begun
        opening = _Opening(self._duration)
        self._duration = None
        done = fit(
            model, train, loss, optimizer, checkpoint=checkpoint, resume=source,
            parts={"settings": kept, **(parts or {})}, callbacks=[opening, *callbacks], **options,
        )  # fmt: skip
        if done.interrupted:
            again = {**self.options, "save": None, "resume": self.checkpoint}
            print(f"stopped and saved; to go on:\n{self._command(**again)}")
            raise SystemExit(130)
        return done

    def report(self, score: str, scores: Mapping[str, float]) -> None:
        """Print scores side by side, and write them to ``scores.json`` in the folder of results.

        Parameters
        ----------
        score : str
            What is measured, for instance "bits per character, held out".
        scores : mapping
            From names, of the model and of the baselines, to numbers.
        """
        self._reported[score] = {name: float(value) for name, value in scores.items()}
        content = {"program": self.name, "settings": self.settings, "scores": self._reported}
        self.path("scores.json").write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
        print(f"{score}: {', '.join(f'{name} {value:.3f}' for name, value in scores.items())}")


class _Opening(Callback):
    """Says at the start what will be trained, and how long a run at the defaults takes."""

    def __init__(self, duration: str | None) -> None:
        self._duration = duration

    def on_start(self, run: Run) -> None:
        if self._duration:
            say(f"at its defaults this takes {self._duration}")
        if not run.finished:
            say(f"{sum(p.size for p in run.model.parameters()):,} weights\n{run.model}")


class _Settings:
    """The settings as a part of a checkpoint."""

    def __init__(self, program: str, settings: dict[str, Any]) -> None:
        self.state = {"program": program, "settings": settings}

    def state_dict(self) -> dict[str, Any]:
        return self.state

    def load_state_dict(self, state: Any) -> None:
        if entry_of(state, "settings") != self.state["settings"]:
            raise ArgumentError("the settings are others; give the checkpoint of this run")


def _of_run(path: Path, run: str) -> Path:
    return path.with_stem(f"{path.stem}_{run}")


def _is_of(path: Path, kept: _Settings) -> bool:
    return path.exists() and Checkpoint(path).parts.get("settings") == kept.state
