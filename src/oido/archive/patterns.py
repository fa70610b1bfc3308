# SPDX-License-Identifier: Apache-2.0
"""Patterns that tell where in a name its time stands, in the language of ``strftime``."""

from __future__ import annotations

import re
from datetime import datetime, timedelta

from oido.archive.names import EPOCH
from oido.errors import OptionError

__all__ = ["NamePattern"]

_DIGITS = {"Y": 4, "m": 2, "d": 2, "H": 2, "M": 2, "S": 2, "y": 2, "I": 2, "j": 3, "s": 10}
_OTHER = {
    "f": r"\d{1,6}",
    "p": "[AaPp][Mm]",
    "b": "[A-Za-z]{3}",
    "B": "[A-Za-z]+",
    "z": r"(?:Z|[+-]\d\d:?\d\d)",
    "%": "%",
}
_DATES = ({"m", "d"}, {"b", "d"}, {"B", "d"}, {"j"})


class NamePattern:
    """Finds the time that stands somewhere in a name in the way a pattern tells.

    pattern: directives of ``strftime`` (``%Y%m%d_%H%M%S``; ``%s`` alone is Unix time) and plain
    text. With a slash in it the whole path is searched, else the name. Raises OptionError for a
    directive that is not known, or if no date or no time of day can come of it.
    """

    def __init__(self, pattern: str) -> None:
        pieces = re.split(r"%(.)", pattern)
        directives = pieces[1::2]
        for name in directives:
            if name not in _DIGITS and name not in _OTHER:
                known = " ".join(f"%{n}" for n in (*_DIGITS, *_OTHER))
                raise OptionError(f"%{name} in {pattern!r} is not known; there are {known}")
        given = set(directives)
        is_date = given & {"Y", "y"} and any(date <= given for date in _DATES)
        if given != {"s"} and not (is_date and given & {"H", "I"}):
            raise OptionError(
                f"{pattern!r} needs a year, a day and an hour, as in %Y%m%d_%H%M%S; or %s alone"
            )
        text = "".join(
            _expression(piece) if number % 2 else re.escape(piece)
            for number, piece in enumerate(pieces)
        )
        before = r"(?<!\d)" if text.startswith(r"\d") else ""
        after = r"(?!\d)" if text.endswith("}") else ""
        self._pattern, self._is_unix, self._in_path = pattern, given == {"s"}, "/" in pattern
        self._search = re.compile(before + text + after)

    def find(self, file: str) -> datetime | None:
        """The first possible time in it; aware if the pattern has a zone. None if there is none."""
        path = file.replace("\\", "/")
        for found in self._search.finditer(path if self._in_path else path.rpartition("/")[2]):
            try:
                if self._is_unix:
                    digits = re.search(r"\d{10}", found[0])
                    assert digits is not None
                    return EPOCH + timedelta(seconds=int(digits[0]))
                return datetime.strptime(found[0], self._pattern)
            except ValueError:
                continue
        return None


def _expression(directive: str) -> str:
    if directive in _DIGITS:
        return rf"\d{{{_DIGITS[directive]}}}"
    return _OTHER[directive]
