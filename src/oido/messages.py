# SPDX-License-Identifier: Apache-2.0
"""Texts for people, in their language: marked by `tr` where they are made, translated by `shown`.

A marked text is a str in English, whatever the language: so it is compared, stored in files and
sent to programs. What it was made of goes with it, through pickles and exceptions, and only where
it is shown to somebody it is looked up in the catalogue (``locale/LANGUAGE/LC_MESSAGES``, gettext).
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache, partial
from pathlib import Path
from string import Formatter
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gettext import NullTranslations

_FOLDER = Path(__file__).with_name("locale")
_LEAST_LETTERS = 6
"""That a text must have beside its fields to be recognised."""


class MarkedText(str):
    """An English text that can be shown in other languages; made by `tr`.

    msgid: what the catalogue has it by. parts: what stands for each field of the msgid, by the
    field as it is written; None: the msgid has none. changes: what was cut out or replaced since,
    by the names of str's methods.
    """

    msgid: str
    parts: Mapping[str, str] | None
    changes: tuple[tuple[str, tuple[str, ...]], ...]

    def __add__(self, other: str) -> MarkedText:
        return joined("", (self, other))

    def __radd__(self, other: str) -> MarkedText:
        return joined("", (other, self))

    def removeprefix(self, prefix: str, /) -> MarkedText:
        """As of a str; the translation loses the same, if it begins so."""
        return self._changed("removeprefix", prefix)

    def replace(self, old: str, new: str, count: Any = -1, /) -> str:
        """As of a str; all of them are so in the translation, too."""
        return (
            self._changed("replace", old, new)
            if count == -1
            else str(self).replace(old, new, count)
        )

    def format(self, *values: object, **named: object) -> MarkedText:
        """As of a str; its fields have not been filled before."""
        return tr(self.msgid, **{str(place): each for place, each in enumerate(values)}, **named)

    def in_language(self, locale: str) -> str:
        """As people read it who have this language."""
        if locale == "en":
            return str(self)
        translation = translated(self.msgid, locale)
        if self.parts is not None:
            parts = {
                field: part if isinstance(part, MarkedText) else _of_others(part, locale)
                for field, part in self.parts.items()
            }
            translation = _filled(translation, parts, partial(shown, locale=locale))
        for method, words in self.changes:
            translation = getattr(translation, method)(*(shown(word, locale) for word in words))
        return translation

    def _changed(self, method: str, *words: str) -> MarkedText:
        text = getattr(str, method)(str(self), *words)
        return _make(text, self.msgid, self.parts, (*self.changes, (method, words)))


def _make(
    text: str, msgid: str, parts: Mapping[str, str] | None, changes: tuple[Any, ...] = ()
) -> MarkedText:
    made = MarkedText(text)
    made.msgid, made.parts, made.changes = msgid, parts, changes
    return made


def tr(msgid: str, /, **values: object) -> MarkedText:
    """A text to be translated where it is shown.

    values: of its fields, which are written as for `str.format` ("{seconds:.1f} s of {name!r}").
    Messages and errors among them are translated with it. Without values, braces are braces.
    """
    if not values:
        return _make(msgid, msgid, None)
    parts = {
        field: _part(values[name], form, conversion)
        for _, field, name, form, conversion in _fields(msgid)
        if field
    }
    return _make(_filled(msgid, parts), msgid, parts)


def _fields(msgid: str) -> Iterator[tuple[str, str, str, str, str]]:
    """The text before each field, the field as it is written, its name, form and conversion.

    Fields without a name have their number; the last field may be "": no more than text.
    """
    number = 0
    for before, found, form, conversion in Formatter().parse(msgid):
        name = found
        if found == "":
            name, number = str(number), number + 1
        field = (name or "") + (f"!{conversion}" if conversion else "")
        field += f":{form}" if form else ""
        yield before, field, name or "", form or "", conversion or ""


def _part(value: object, form: str, conversion: str) -> str:
    """What stands for a field; a MarkedText stays one, and gets its form where it is filled in."""
    if isinstance(value, BaseException):
        value = text_of(value)
    return value if isinstance(value, MarkedText) else _formatted(value, form, conversion)


def _formatted(value: object, form: str, conversion: str) -> str:
    return format(_CONVERSIONS[conversion](value), form)


_CONVERSIONS: dict[str, Callable[[Any], Any]] = {
    "": lambda value: value,
    "r": repr,
    "s": str,
    "a": ascii,
}


def _filled(text: str, parts: Mapping[str, str], show: Callable[[str], str] = str) -> str:
    filled = []
    for before, field, _, form, conversion in _fields(text):
        part = parts[field] if field else ""
        is_marked = isinstance(part, MarkedText)
        filled += [before, _formatted(show(part), form, conversion) if is_marked else part]
    return "".join(filled)


def joined(separator: str, texts: Iterable[str]) -> MarkedText:
    """`str.join` of texts that are translated each by itself, and so is what separates them."""
    parts = {str(number): text for number, text in enumerate(texts)}
    msgid = "{between}".join(f"{{{number}}}" for number in parts)
    return _make(separator.join(parts.values()), msgid, {**parts, "between": separator})


def listed(names: Sequence[str], most: int = 10) -> str:
    """So many of the names, and how many more there are."""
    some = joined(", ", names[:most])
    more = len(names) - most
    return tr("{names} and {more} more", names=some, more=more) if more > 0 else some


def text_of(error: object) -> str:
    """What an error or a text says, in English; a `MarkedText` where it was made of one."""
    if isinstance(error, BaseException) and len(error.args) == 1:
        error = error.args[0] if isinstance(error.args[0], MarkedText) else error
    return error if isinstance(error, MarkedText) else str(error)


def shown(text: object, locale: str | None = None) -> str:
    """A text or an error as people read it: marked ones in their language, others as they are.

    locale: another language than the one in use.
    """
    text = text_of(text)
    return text.in_language(locale or language()) if isinstance(text, MarkedText) else text


def _of_others(reason: str, locale: str) -> str:
    """What the system or a library says, if it is one of `OF_OTHERS`; else as it is."""
    for msgid, longest, pattern in _patterns_of_others():
        if longest in reason and (match := pattern.fullmatch(reason)):
            return _filled(translated(msgid, locale), dict(zip(_names(msgid), match.groups())))
    found = re.fullmatch(r"(\[Errno -?\d+\] )?(.*?)(: '.*')?", reason, re.DOTALL)
    if found is None or found[2] not in OF_OTHERS:
        return reason
    return f"{found[1] or ''}{translated(found[2], locale)}{found[3] or ''}"


def recognised(text: str, locale: str | None = None) -> str:
    """A sentence as people read it that was stored, in English, by what the catalogue has.

    locale: another language than the one in use.
    """
    used = locale or language()
    if isinstance(text, MarkedText):
        return shown(text, used)
    for msgid, longest, pattern in _patterns(used) if used != "en" else ():
        if longest in text and (found := pattern.fullmatch(text)):
            parts = {
                field: recognised(part, used) for field, part in zip(_names(msgid), found.groups())
            }
            return _filled(translated(msgid, used), parts)
    for msgid, longest, pattern in _patterns(used) if used != "en" else ():
        # What was added to a sentence, as " (heard up to {…} s)".
        at = text.rfind(msgid.partition("{")[0]) if msgid[0] == " " and longest in text else -1
        if at > 0 and (found := pattern.fullmatch(text, at)):
            tail = _make(text[at:], msgid, dict(zip(_names(msgid), found.groups())))
            return recognised(text[:at], used) + shown(tail, used)
    return translated(text, used) if " " in text else text  # no name of one word


class _Stored(MarkedText):
    def in_language(self, locale: str) -> str:
        return recognised(str(self), locale)


def stored(text: str) -> str:
    """A sentence that was stored, as a text or a part of one: shown as it is `recognised`."""
    made = _Stored(text)
    made.msgid, made.parts, made.changes = text, None, ()
    return made


def _names(msgid: str) -> list[str]:
    """The fields of a text, as they are written."""
    return [field for _, field, *_ in _fields(msgid) if field]


_Patterns = tuple[tuple[str, str, re.Pattern[str]], ...]


@cache
def _patterns(locale: str) -> _Patterns:
    """Those of a whole catalogue."""
    return _matching(catalogue(locale)._catalog)  # type: ignore[attr-defined] # no other way


@cache
def _patterns_of_others() -> _Patterns:
    return _matching(OF_OTHERS)


def _matching(msgids: Iterable[str]) -> _Patterns:
    """The msgids that have fields, the longest text between these, and what matches them."""
    found = []
    for msgid in sorted(msgids, key=len, reverse=True):
        try:
            fields = [(before, field) for before, field, *_ in _fields(msgid)]
        except ValueError:  # braces that are no fields
            continue
        longest = max((before for before, _ in fields), key=len, default="")
        if len(longest.strip()) >= _LEAST_LETTERS and any(field for _, field in fields):
            pattern = "".join(re.escape(b) + ("(.*?)" if field else "") for b, field in fields)
            found.append((msgid, longest, re.compile(pattern, re.DOTALL)))
    return tuple(found)


def translated(text: str, locale: str | None = None) -> str:
    """A constant in a language (None: the one in use); what has no translation stays as it is."""
    used = locale or language()
    return text if used == "en" or not text else catalogue(used).gettext(text)


@cache
def catalogue(locale: str) -> NullTranslations:
    """The texts in a language; English, where there are none."""
    import gettext  # which English does without

    return gettext.translation("oido", _FOLDER, [locale], fallback=True)


@cache
def languages() -> tuple[str, ...]:
    """Those that there are texts in; English first."""
    found = _FOLDER.glob("*/LC_MESSAGES/oido.mo")
    return ("en", *sorted(path.parent.parent.name for path in found))


OF_OTHERS = frozenset(
    (
        tr(
            'Could not choose a best candidate function for the function call "{call}". In order '
            "to select one, please add explicit type casts"
        ),
        tr("Could not convert string '{value}' to {type}"),
        tr("Could not convert string '{value}' to {type} when casting from source column {name}"),
        tr(
            "No function matches the given name and argument types '{call}'. You might need to add "
            "explicit type casts"
        ),
        tr('Referenced table "{name}" not found'),
        tr("Scalar Function with name {name} does not exist"),
        tr("Table with name {name} does not exist"),
        tr("WHERE clause cannot contain aggregates"),
        tr(
            'column "{name}" must appear in the GROUP BY clause or must be part of an aggregate '
            "function"
        ),
        tr('invalid timestamp field format: "{value}", expected format is ({form})'),
        tr('syntax error at or near "{near}"'),
        tr("Unable to locate credentials"),
        tr("Address already in use"),
        tr("Connection refused"),
        tr("Connection reset by peer"),
        tr("Connection timed out"),
        tr("Device or resource busy"),
        tr("Directory not empty"),
        tr("End of file"),
        tr("File exists"),
        tr("File name too long"),
        tr("Format not recognised"),
        tr("Input/output error"),
        tr("Invalid argument"),
        tr("Invalid data found when processing input"),
        tr("Is a directory"),
        tr("Name or service not known"),
        tr("Network is unreachable"),
        tr("No route to host"),
        tr("No space left on device"),
        tr("No such file or directory"),
        tr("Not a directory"),
        tr("Operation not permitted"),
        tr("Permission denied"),
        tr("Read-only file system"),
        tr("Server returned 400 Bad Request"),
        tr("Server returned 403 Forbidden (access denied)"),
        tr("Server returned 404 Not Found"),
        tr("Server returned 5XX Server Error reply"),
        tr("Temporary failure in name resolution"),
        tr("Too many open files"),
    )
)
"""What the system, FFmpeg, libsndfile, DuckDB and stores give as a reason; it stands in sentences
of ours."""

_in_use: list[str] = []


@contextmanager
def in_language(locale: str) -> Iterator[None]:
    """Texts are shown in this language while the block runs; in English, if there are none in it.

    It holds for all threads.
    """
    before = list(_in_use)
    _in_use[:] = [supported(locale)]
    try:
        yield
    finally:
        _in_use[:] = before


def language() -> str:
    """The language in use: of `in_language`, or OIDO_LOCALE; else English.

    So programs that use oido speak English on every machine, unless somebody wants another.
    """
    return _in_use[0] if _in_use else supported(os.environ.get("OIDO_LOCALE", ""))


def system_language() -> str:
    """That of the environment: OIDO_LOCALE, LC_ALL, LC_MESSAGES or LANG, the first that is set."""
    names = ("OIDO_LOCALE", "LC_ALL", "LC_MESSAGES", "LANG")
    return supported(next(filter(None, map(os.environ.get, names)), ""))


def accepted_language(header: str) -> str:
    """The language of ours that an Accept-Language (RFC 9110) wants most; without one, that in use.

    A language is wanted whatever the country, and "*" is any.
    """
    wanted: list[tuple[float, str]] = []
    for each in header.split(","):
        tag, _, parameters = each.partition(";")
        weight = re.fullmatch(r"\s*q\s*=\s*([01](?:\.\d{0,3})?)\s*|\s*", parameters)
        code = re.split(r"[-_]", tag.strip().lower(), maxsplit=1)[0]
        if weight is None or code not in (*languages(), "*"):
            continue
        wanted.append((float(weight[1] or 1), language() if code == "*" else code))
    found = max(wanted, key=lambda each: each[0], default=(0.0, ""))  # of equals the first
    return found[1] if found[0] > 0 else language()


@cache
def supported(locale: str) -> str:
    """The language of a locale, "es" of es_MX.UTF-8, if there are texts in it; else "en"."""
    code = re.split(r"[-_.@]", locale, maxsplit=1)[0].strip().lower()
    return code if code not in ("", "c", "posix") and code in languages() else "en"
