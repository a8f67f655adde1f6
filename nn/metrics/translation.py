"""Scores of translations by sacrebleu, so that they can be compared with published ones."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import zip_longest
from typing import Any, NamedTuple

from minigrad.checks import check_flag, check_integer
from minigrad.errors import ArgumentError, check_choice, type_name


class TranslationScore(NamedTuple):
    """A score of a whole set of sentences; ``float(score)`` is its value.

    Attributes
    ----------
    value : float
        From 0 to 100.
    mean, margin : float
        Of the scores of resampled sets: their mean, and half the width of the interval that holds 95 %
        of them; NaN without a bootstrap.

    Examples
    --------
    >>> score = nn.metrics.TranslationScore(31.4, 31.2, 0.8)
    >>> f"{score.value} ({score.mean} ± {score.margin})"
    '31.4 (31.2 ± 0.8)'
    """

    value: float
    mean: float
    margin: float

    def __float__(self) -> float:
        return self.value


def bleu(
    hypotheses: Sequence[str],
    references: Sequence[str] | Sequence[Sequence[str]],
    *,
    bootstrap: int = 0,
    tokenize: str = "13a",
    lowercase: bool = False,
) -> TranslationScore:
    """Return the BLEU score of a set of translations (Papineni et al. 2002; Post 2018).

    Parameters
    ----------
    hypotheses : sequence of str
        What the model wrote, as plain text: sacrebleu tokenises it.
    references : sequence of str, or of sequences of str
        One or several references for each hypothesis.
    bootstrap : int, default 0
        How many resampled sets to score, for an interval; 1000 is usual. They are drawn by sacrebleu
        with its seed: 12345, or ``SACREBLEU_SEED`` of the environment.
    tokenize : {"13a", "intl", "char", "zh", "none"}
        sacrebleu's tokeniser.
    lowercase : bool
        Whether upper and lower case are the same.

    Returns
    -------
    TranslationScore
        From 0 to 100.

    Raises
    ------
    ArgumentError
        If there are no sentences, or another number of references, or an option has another value.
    ImportError
        If sacrebleu is not installed.

    Examples
    --------
    >>> round(nn.metrics.bleu(["the cat sat on a mat"], ["the cat sat on the mat"]).value, 1)
    53.7
    """
    streams = _checked("bleu", hypotheses, references)
    check_choice("bleu", ("13a", "intl", "char", "zh", "none"), tokenize=tokenize)
    check_flag("bleu", "lowercase", lowercase)
    metric = _sacrebleu("bleu").BLEU(tokenize=tokenize, lowercase=lowercase)
    return _score("bleu", metric, hypotheses, streams, bootstrap)


def chrf(
    hypotheses: Sequence[str],
    references: Sequence[str] | Sequence[Sequence[str]],
    *,
    bootstrap: int = 0,
    word_order: int = 0,
) -> TranslationScore:
    """Return the chrF score of a set of translations: the F of character n-grams (Popović 2015).

    Parameters
    ----------
    hypotheses : sequence of str
        What the model wrote, as plain text.
    references : sequence of str, or of sequences of str
        One or several references for each hypothesis.
    bootstrap : int, default 0
        As for `bleu`.
    word_order : int, default 0
        Up to how many words are counted, too; 2 is chrF++.

    Returns
    -------
    TranslationScore
        From 0 to 100.

    Raises
    ------
    ArgumentError
        If there are no sentences, or another number of references, or an option has another value.
    ImportError
        If sacrebleu is not installed.

    Examples
    --------
    >>> round(nn.metrics.chrf(["the cat sat on a mat"], ["the cat sat on the mat"]).value, 1)
    66.0
    """
    streams = _checked("chrf", hypotheses, references)
    order = check_integer("chrf", "word_order", word_order, low=0)
    metric = _sacrebleu("chrf").CHRF(word_order=order)
    return _score("chrf", metric, hypotheses, streams, bootstrap)


def _sacrebleu(of: str) -> Any:
    try:
        import sacrebleu
    except ImportError:
        raise ImportError(
            f"{of} needs the package sacrebleu; run 'pip install minigrad[metrics]'"
        ) from None
    return sacrebleu


def _checked(of: str, hypotheses: Any, references: Any) -> list[Any]:
    """Return sacrebleu's streams: the first references of all sentences, then the second ones, ..."""
    for what, given in (("hypotheses", hypotheses), ("references", references)):
        if isinstance(given, str) or not isinstance(given, Sequence) or not given:
            found = "an empty list" if given in ([], ()) else f"a {type_name(given)}"
            raise ArgumentError(f"{of}: {what} must be a list of sentences, not {found}")
    if len(hypotheses) != len(references):
        raise ArgumentError(
            f"{of}: there are {len(hypotheses)} hypotheses and {len(references)} references; "
            "each hypothesis needs its own"
        )
    rows = [[row] if isinstance(row, str) else list(row) for row in references]
    for text in (*hypotheses, *(text for row in rows for text in row or [None])):
        if not isinstance(text, str):
            raise ArgumentError(
                f"{of}: sentences must be text, not {text!r}; join tokens with spaces, and give each "
                "hypothesis at least one reference"
            )
    return [list(stream) for stream in zip_longest(*rows)]


def _score(
    of: str, metric: Any, hypotheses: Sequence[str], streams: list[Any], bootstrap: int
) -> TranslationScore:
    samples = check_integer(of, "bootstrap", bootstrap, low=0)
    if samples == 1:
        raise ArgumentError(f"{of}: an interval needs more than bootstrap=1 sample")
    score = metric.corpus_score(list(hypotheses), streams, n_bootstrap=samples)
    if not samples:
        return TranslationScore(score.score, math.nan, math.nan)
    return TranslationScore(score.score, float(score._mean), float(score._ci))
