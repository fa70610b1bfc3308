# SPDX-License-Identifier: Apache-2.0
"""Text that other programs wrote, one reader for all: encodings, line ends, separators, numbers.

Spreadsheets, recorders and editors on Windows write UTF-16, Windows-1252 or UTF-8 with a mark, put
semicolons or tabs between columns, decimal commas into numbers, and lines without any text. Lists,
tables, label tracks, labels, thresholds and calibrations of users are all read by this module.
"""

from __future__ import annotations

import codecs
import csv
import io
import math
import os
import re
from collections.abc import Iterator
from typing import Literal, NamedTuple

from oido.errors import OptionError
from oido.messages import tr

_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # begins as UTF-16 does, so it comes first
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_LINE_END = re.compile(r"\r\n|\r|\n")
_SEPARATORS = ",;\t"
_NAMED_SEPARATOR = re.compile(r'"?sep= *([^\r\n" ])?"? *(?:\r\n|\r|\n|$)', re.IGNORECASE)
_CLOCK = re.compile(r"([+-]?)(?:(\d+):)?(\d+):(\d+(?:[.,]\d*)?)")
_THOUSANDS = re.compile(
    r"[+-]?\d{1,3}(?:(?:,\d{3})+\.\d+|(?:\.\d{3})+,\d+|(?:,\d{3}){2,}|(?:\.\d{3}){2,})"
)
MOST_BYTES_OF_HEADS = 8 << 20
"""Of a file that says something of a head's labels: thresholds, calibrations."""

_SLIGHTLY_SECONDS = 1.0
"""A track that was moved to the left begins up to this much before its recording."""


def decode_text(data: bytes) -> str:
    """Text of any of the encodings, without its mark; line ends stay as they are.

    A mark decides; UTF-16 without one shows by its zeros. Else each line is UTF-8, or, where it
    cannot be, Windows-1252: files that were joined have both.
    """
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            return data[len(mark) :].decode(encoding, "replace")
    zeros = data[0::2].count(0), data[1::2].count(0)
    if zeros[0] == 0 and zeros[1] * 4 > len(data):
        return data.decode("utf-16-le", "replace")
    if zeros[1] == 0 and zeros[0] * 4 > len(data):
        return data.decode("utf-16-be", "replace")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return "".join(map(_decode_line, data.splitlines(keepends=True)))


def _decode_line(line: bytes) -> str:
    for encoding in ("utf-8", "cp1252"):
        try:
            return line.decode(encoding)
        except UnicodeDecodeError:
            continue
    return line.decode("latin-1")  # which gives every byte a meaning


def read_text(
    path: str | os.PathLike[str], size: int = -1, *, most_bytes: int | None = None
) -> str:
    """A file's text, as `decode_text` gives it; size: of the first bytes only.

    Raises OptionError if the file cannot be read, or has more than ``most_bytes``: a device may
    have no end.
    """
    try:
        with open(path, "rb") as file:
            data = file.read(size if most_bytes is None else most_bytes + 1)
        if most_bytes is not None and len(data) > most_bytes:
            raise OptionError(
                tr(
                    "{path} cannot be read: it has more than {most_bytes} MB",
                    path=path,
                    most_bytes=most_bytes >> 20,
                )
            )
        return decode_text(data)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or tr("it is not a file name")
        raise OptionError(
            tr("{path} cannot be read: {reason}", path=path, reason=reason)
        ) from error


def split_lines(text: str) -> list[str]:
    """The lines, by the ends of any system and by no rarer separator; none behind the last end."""
    lines = _LINE_END.split(text)
    return lines if lines[-1] else lines[:-1]


class Line(NamedTuple):
    """The cells of a row, and the number of the line that it ends in, from 1."""

    number: int
    cells: list[str]


def separator_of(header: str) -> str:
    """The separator that stands most often in a header, outside of quotes; a comma if none does."""
    outside = re.sub(r'"[^"]*"', "", header)
    return max(_SEPARATORS, key=outside.count)


def table_lines(text: str, separator: str | None = None) -> Iterator[Line]:
    """The rows of a table, those without any text left out; spaces around cells do not count.

    separator: that of a first line ``sep=;`` (Excel's own way to name it) if None, else the one of
    the first row with text. Raises csv.Error, naming the line, for what is not CSV.
    """
    skipped = 0
    if named := _NAMED_SEPARATOR.match(text):
        separator, skipped, text = separator or named[1] or ",", 1, text[named.end() :]
    if separator is None:
        separator = separator_of(_LINE_END.split(text.lstrip(), maxsplit=1)[0])
    lines = list(io.StringIO(text, newline=""))
    reader = csv.reader(lines, delimiter=separator, skipinitialspace=True)
    before = 0
    try:
        for cells in reader:
            if reader.line_num == len(lines):
                _require_closed_quote(lines[before:], separator)
            before = reader.line_num
            if any(cell.strip() for cell in cells):
                yield Line(reader.line_num + skipped, [_cell(cell) for cell in cells])
    except csv.Error as error:
        raise csv.Error(
            tr("line {line_num}: is not CSV ({error})", line_num=before + 1 + skipped, error=error)
        ) from error


def _require_closed_quote(row: list[str], separator: str) -> None:
    """Raise csv.Error where the last row opens a quote that swallowed all lines behind it."""
    try:
        next(csv.reader(row, delimiter=separator, skipinitialspace=True, strict=True), None)
    except csv.Error as error:
        if "end of data" in str(error):
            raise csv.Error(tr("a quote is opened there and never closed")) from error


_APOSTROPHE = re.compile(r"'+[=+\-@\t\r\n＝＋－＠]")
"""How oido and others keep spreadsheets from taking a text for a formula."""


def _cell(text: str) -> str:
    text = text.strip(" \u00a0\ufeff")
    return text[1:] if _APOSTROPHE.match(text) else text


def unquoted(cell: str) -> str:
    """A cell of text between tabs without the quotes that a spreadsheet put around it.

    It does so where a comma or a quote, then doubled, is inside. Others are the writer's own.
    """
    inner = cell[1:-1]
    is_quoted = len(cell) > 2 and cell[0] == cell[-1] == '"' and '"' not in inner.replace('""', "")
    return inner.replace('""', '"') if is_quoted and ("," in inner or '""' in inner) else cell


Verdict = Literal["yes", "no", "unsure"]
_VERDICTS: dict[Verdict, set[str]] = {
    "yes": {"yes", "y", "true", "1", "sí", "si", "s", "✓", "+", "verdadero"},
    "no": {"no", "n", "false", "0", "✗", "-", "falso"},
    "unsure": {"unsure", "u", "?", "maybe", "dudoso"},
}


def verdict_of(text: str) -> Verdict | None:
    """What a word means of whether a label is right; None of one that means nothing."""
    word = text.strip().lower()
    return next((verdict for verdict, words in _VERDICTS.items() if word in words), None)


def number(text: str) -> float:
    """A number with a decimal point or comma, perhaps with the other one between thousands.

    Raises ValueError.
    """
    text = re.sub(r"(?<=\d)[\u00a0\u202f\u2009'](?=\d)", "", text.strip()).replace("\u2212", "-")
    if "_" in text:  # which Python would take
        raise ValueError(tr("{text} is not a number", text=text))
    if _THOUSANDS.fullmatch(text):
        point = max(text.rfind("."), text.rfind(","))
        whole = re.sub("[.,]", "", text[:point])
        is_whole = text.count(text[point]) > 1  # 1,234,567
        return float(f"{whole}{'' if is_whole else '.'}{text[point + 1 :]}")
    if text.endswith(",") or text.count(",") > 1 or ("," in text and "." in text):
        raise ValueError(tr("{text} is not a number", text=text))
    return float(text.replace(",", "."))


def interval(start: str, end: str) -> tuple[float, float]:
    """Two times as `seconds` reads them; what begins before zero, and ends behind it, begins there.

    Raises ValueError.
    """
    begin, stop = _any_seconds(start), seconds(end)
    return (0.0 if -math.inf < begin < 0 < stop else seconds(start)), stop


def seconds(text: str) -> float:
    """A time in seconds, or as h:m:s or m:s; slightly before zero is zero. Raises ValueError."""
    value = _any_seconds(text)
    if -_SLIGHTLY_SECONDS < value < 0:
        return 0.0
    if not 0 <= value < math.inf:
        raise ValueError(tr("{text} is not a time", text=text))
    return value


def _any_seconds(text: str) -> float:
    if found := _CLOCK.fullmatch(text.strip()):
        value = int(found[2] or 0) * 3600 + int(found[3]) * 60 + number(found[4])
        return -value if found[1] == "-" else value
    return number(text)
