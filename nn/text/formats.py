"""Readers of the files that texts come in: labelled lines, columns of CoNLL, parallel sentences.

All are UTF-8, with or without a byte order mark, with the ends of lines of any system. What is missing is
told with its line.
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from typing import NamedTuple

from minigrad.checks import as_integer
from minigrad.errors import ArgumentError, FileFormatError
from minigrad.nn.text.catalogue import read_catalogue
from minigrad.nn.text.files import read_text


class _Record(NamedTuple):
    line: int
    cells: list[str]


def read_labelled(
    path: str | Path, text: str | int | None = None, label: str | int | None = None
) -> tuple[list[str], list[str]]:
    r"""Return the texts of a file, and the label of each.

    Columns are separated by tabs (TSV), or by commas or semicolons (CSV, with quotes around texts).
    A first line may name them. Without ``text`` and ``label``, the columns so named are read; else the
    file must have two columns, and labels are in the one with fewer different values, of equally many in
    the shorter one. Then a first line whose label never comes again, although all others do, is taken
    for names.

    Parameters
    ----------
    path : str or path-like
        The file; empty lines are skipped.
    text, label : str or int, optional
        The columns: a name in the first line, or a position from 0 on, of a file without names.

    Returns
    -------
    texts, labels : list of str
        Without white space around them.

    Raises
    ------
    ArgumentError
        If the file cannot be read as text, or has no such column.
    FileFormatError
        If lines differ in their number of columns, or a text or a label is missing.

    Examples
    --------
    >>> from pathlib import Path
    >>> written = Path("reviews.tsv").write_text("label\ttext\ngood\tI like it.\nbad\tI do not.\n")
    >>> nn.text.read_labelled("reviews.tsv")
    (['I like it.', 'I do not.'], ['good', 'bad'])
    """
    records = _records(path, read_text(path))
    names = [cell.strip().casefold() for cell in records[0].cells]
    if text is None and label is None and not {"text", "label"} <= set(names):
        columns, named = _guessed(path, records)
    else:
        wanted = ["text" if text is None else text, "label" if label is None else label]
        columns = [_column(path, column, names, records[0]) for column in wanted]
        named = any(isinstance(column, str) for column in wanted)
    records = records[named:]
    if not records:
        raise FileFormatError(f"{path} names columns and holds no text; give some lines")
    found = [[record.cells[column].strip() for record in records] for column in columns]
    for what, values in zip(("text", "label"), found, strict=True):
        if lines := [r.line for r, value in zip(records, values, strict=True) if not value]:
            others = len(lines) - 1
            more = f" (and on {others} more line{'s' * (others > 1)})" if others else ""
            raise FileFormatError(
                f"{path}, line {lines[0]}: the {what} is missing{more}; fill it in, or delete the line"
            )
    return found[0], found[1]


def read_conll(
    path: str | Path, word: int = 0, tag: int = -1
) -> tuple[list[list[str]], list[list[str]]]:
    r"""Return the sentences of a file of columns, as lists of words, and the tag of each word.

    Each line has a word and what is known about it, separated by tabs, or by spaces; an empty line ends a
    sentence. Lines that begin with -DOCSTART- are skipped, and in files with tabs lines without any that
    begin with #.

    Parameters
    ----------
    path : str or path-like
        The file.
    word, tag : int
        The positions of the columns; -1 is the last one.

    Returns
    -------
    sentences, tags : list of list of str
        A tag, such as ``B-PER``, for each word.

    Raises
    ------
    ArgumentError
        If the file cannot be read as text, or has no such column.
    FileFormatError
        If lines differ in their number of columns, or a word or a tag is missing.

    Examples
    --------
    >>> from pathlib import Path
    >>> written = Path("names.conll").write_text("Ada B-PER\nsings O\n\nGo O\n")
    >>> nn.text.read_conll("names.conll")
    ([['Ada', 'sings'], ['Go']], [['B-PER', 'O'], ['O']])
    """
    lines = read_text(path).split("\n")
    tabs = any("\t" in line for line in lines)
    found: list[tuple[list[str], list[str]]] = []
    first, ended = None, True
    for number, line in enumerate(lines, 1):
        if not line.strip():
            ended = True
            continue
        if line.startswith("-DOCSTART-") or (tabs and line[0] == "#" and "\t" not in line):
            continue
        record = _Record(number, line.split("\t") if tabs else line.split())
        first = first or record
        _check_width(path, record, first)
        cells = [_column(path, column, [], first) for column in (word, tag)]
        entry, mark = (record.cells[cell].strip() for cell in cells)
        if not entry or not mark:
            raise FileFormatError(
                f"{path}, line {number}: the {'tag' if entry else 'word'} is missing; fill it in"
            )
        if ended:
            found.append(([], []))
        found[-1][0].append(entry)
        found[-1][1].append(mark)
        ended = False
    if not found:
        raise FileFormatError(f"{path} holds no words; give lines of a word and its tag")
    return [words for words, _ in found], [marks for _, marks in found]


def read_parallel(
    path: str | Path, target: str | Path | None = None
) -> tuple[list[str], list[str]]:
    r"""Return sentences, and what each is in another language.

    Parameters
    ----------
    path : str or path-like
        A file with a sentence, a tab and its translation on each line; further columns are left out. With
        ``target``, the file with one sentence on each line. Or a compiled catalogue of GNU gettext,
        ``.mo``, whose messages are the sentences: of plural forms the first ones.
    target : str or path-like, optional
        The file with the translation of each line.

    Returns
    -------
    sources, targets : list of str
        Without white space around them; pairs of empty lines are skipped.

    Raises
    ------
    ArgumentError
        If a file cannot be read as text.
    FileFormatError
        If a sentence has no translation, or a file ``.mo`` is no catalogue.
    ImportError
        If it is one, and Babel is not installed.

    Examples
    --------
    >>> from pathlib import Path
    >>> written = Path("pairs.tsv").write_text("Go.\tVa !\nRun!\tCours !\n")
    >>> nn.text.read_parallel("pairs.tsv")
    (['Go.', 'Run!'], ['Va !', 'Cours !'])
    """
    if target is None and Path(path).suffix.lower() == ".mo":
        messages = [*read_catalogue(path)]
        return [source for source, _ in messages], [translation for _, translation in messages]
    lines = _lines(read_text(path))
    if target is None:
        pairs = [line.split("\t")[:2] for line in lines]
        advice = "write it behind a tab"
    else:
        others = _lines(read_text(target))
        if len(lines) != len(others):
            raise FileFormatError(
                f"{path} has {len(lines)} lines, and {target} has {len(others)}; give a translation "
                "for each line"
            )
        pairs = [[*pair] for pair in zip(lines, others, strict=True)]
        advice = f"write it on this line of {target}"
    sources, targets = [], []
    for number, pair in enumerate(pairs, 1):
        source, translation = ([part.strip() for part in pair] + [""])[:2]
        if bool(source) != bool(translation):
            lacking = (
                f"translation is missing; {advice}" if source else "sentence is missing; write it"
            )
            raise FileFormatError(f"{path}, line {number}: the {lacking}, or delete the line")
        if source:
            sources.append(source)
            targets.append(translation)
    return sources, targets


def _lines(text: str) -> list[str]:
    return text.removesuffix("\n").split("\n")


def _records(path: str | Path, text: str) -> list[_Record]:
    """Return the lines of a table; its delimiter is the one that makes all equally wide."""
    begins = next(line for line in text.split("\n") if line.strip())
    tabs = "\t" in begins and Path(path).suffix.lower() != ".csv"
    problem = None
    for delimiter in "\t" if tabs else ",;\t":
        try:
            records = list(_split(path, text, delimiter))
            if len(records[0].cells) == 1:
                continue
            for record in records:
                _check_width(path, record, records[0])
        except FileFormatError as error:
            problem = problem or error
        else:
            return records
    raise problem or FileFormatError(
        f"{path} has a single column; separate texts and labels by a tab or a comma"
    )


def _split(path: str | Path, text: str, delimiter: str) -> Iterator[_Record]:
    if delimiter == "\t":  # where quotes are signs like others
        rows = enumerate((line.split("\t") for line in text.split("\n")), 1)
        yield from (_Record(number, cells) for number, cells in rows if "".join(cells).strip())
        return
    reader, line = csv.reader(StringIO(text), delimiter=delimiter, strict=True), 1
    try:
        for cells in reader:
            if "".join(cells).strip() or len(cells) > 1:
                yield _Record(line, cells)
            line = reader.line_num + 1
    except csv.Error as error:
        raise FileFormatError(
            f"{path}, line {line}: {error}; inside of quotes, write a quote twice"
        ) from None


def _check_width(path: str | Path, record: _Record, first: _Record) -> None:
    count, usual = len(record.cells), len(first.cells)
    if count != usual:
        advice = "fill in what is missing" if count < usual else "quote the text"
        raise FileFormatError(
            f"{path}, line {record.line}: it has {count} column{'s' * (count != 1)}, and line "
            f"{first.line} has {usual}; {advice}, or delete the line"
        )


def _column(path: str | Path, column: str | int, names: list[str], first: _Record) -> int:
    """Return the position of a column."""
    if isinstance(column, str):
        if column.strip().casefold() in names:
            return names.index(column.strip().casefold())
        raise ArgumentError(
            f"{path}: no column is called {column!r}; line {first.line} has "
            f"{', '.join(first.cells)}; name one of these, or give a position from 0 on"
        )
    place, width = as_integer(column), len(first.cells)
    if place is None or not -width <= place < width:
        raise ArgumentError(
            f"{path}: there is no column {column!r}; line {first.line} has {width}, from 0 to "
            f"{width - 1}"
        )
    return place


def _guessed(path: str | Path, records: list[_Record]) -> tuple[list[int], bool]:
    """Return the columns of texts and of labels, and whether the first line names them."""
    cells = records[0].cells
    if len(cells) != 2:
        raise ArgumentError(
            f"{path}: which of its {len(cells)} columns hold the text and the label? Call them 'text' "
            f"and 'label' in the first line, which is now {', '.join(cells)}"
        )
    kinds = [Counter(record.cells[column].strip() for record in records) for column in (0, 1)]
    weights = [(len(kind), sum(map(len, kind))) for kind in kinds]
    if weights[0] == weights[1]:
        raise ArgumentError(
            f"{path}: which column holds the labels? Both have {len(kinds[0])} different values; call "
            "the columns 'text' and 'label' in the first line"
        )
    label = int(weights[1] < weights[0])
    counts = kinds[label].copy()
    named = counts.pop(cells[label].strip()) == 1 and bool(counts) and min(counts.values()) > 1
    return [1 - label, label], named
