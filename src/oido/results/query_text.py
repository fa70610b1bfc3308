# SPDX-License-Identifier: Apache-2.0
"""SQL as people write it: labels in any language, and what to write instead of a slip."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence

from oido.messages import joined, tr
from oido.models.labels import label_named, nearest

_TEXT = r"'(?:[^']|'')*'"
_LABEL = r'(?:(?<!")\blabel\b(?!")|"label")'
_SAME = r"(?:==?|!=|<>)"
_NAMED = re.compile(
    rf"""{_LABEL}\s*(?:{_SAME}|(?:\bis\s+(?:not\s+)?distinct\s+from\b)|(?:\bnot\s+)?\bin\s*\()\s*
        (?P<after>{_TEXT}(?:\s*,\s*{_TEXT})*)
    |(?P<before>{_TEXT})\s*{_SAME}\s*(?:\w+\.)?{_LABEL}
    |{_TEXT}|--[^\n]*|/\*.*?\*/""",
    re.IGNORECASE | re.DOTALL | re.VERBOSE,
)
"""What is compared with ``label``; else texts and comments, so that nothing is found in them."""


def quoted(text: str) -> str:
    """A string of SQL."""
    return "'" + text.replace("'", "''") + "'"


def labels_in(query: str) -> Iterator[str]:
    """The labels that a query asks for; not those that it leaves out."""
    for found in _NAMED.finditer(query):
        texts = found["after"] or found["before"] or ""
        if not re.search(r"!=|<>|\bnot\b", found[0].replace(texts, ""), re.IGNORECASE):
            yield from (text[1:-1].replace("''", "'") for text in re.findall(_TEXT, texts))


def files_in(query: str) -> Iterator[str]:
    """The names that a query compares with ``file``."""
    for found in re.finditer(rf"\bfile\s*==?\s*({_TEXT})", query, re.IGNORECASE):
        yield found[1][1:-1].replace("''", "'")


def rename_labels(query: str, rename: Callable[[str], str]) -> str:
    """The query with other texts where it compares one with ``label``; all else stays."""

    def renamed(found: re.Match[str]) -> str:
        part = "after" if found["after"] else "before"
        if found[part] is None:
            return found[0]
        start, end = (position - found.start() for position in found.span(part))
        texts = re.sub(_TEXT, lambda t: quoted(rename(t[0][1:-1].replace("''", "'"))), found[part])
        return found[0][:start] + texts + found[0][end:]

    return _NAMED.sub(renamed, query)


_UNQUOTED = re.compile(
    rf"""{_LABEL}\s*(?P<how>==?|!=|<>|:|\bis\b|\bi?like\b|(?:\bnot\s+)?\bin\b)\s*[(\[]?\s*
        (?:"(?P<double>[^"]+)"|[`´‘’“”«„](?P<other>[^`´‘’“”»\n]+)[`´‘’“”»]
        |(?P<bare>(?!(?:not|null)\b)[^\W\d][^'"=<>\n]*))""",
    re.IGNORECASE | re.VERBOSE,
)
_QUOTES = " ;\"'`´‘’“”«»„"
_BARE_ENDS = re.compile(r"\s*(?:\b(?:and|or|order|group|limit)\b|&&|\|\|).*", re.I | re.S)
_SLIPS = (
    (r"[<>=]\s*\d+,\d+\s*(?:\)|$|\band\b|\bor\b)", tr("decimals have a point, as in 0.5")),
    (r"[<>=]\s*$", tr("nothing stands behind its last sign")),
    (r"=>|=<|≥|≤", "write >= or <="),
    (r"[<>=]\s*\d+\s*%", tr("scores go from 0 to 1: write 0.5 for 50 %")),
    (r"[<>=]\s*\d{4}-\d\d", tr("times stand in single quotes, as in start_at >= '2023-10-15'")),
    (r"\blabel\W+[(\[]", tr("several labels are written label in ('Dog', 'Cat')")),
    (r"\blabel\s+(?:is|equals)\b", tr("write label = and the text")),
    (r"\blabel\W+[%*]|\blabel\s+(?:contains|starts)", tr("a part is written label like '%siren%'")),
    (r"&|\|", tr("two conditions are joined by and, or by or")),
    (r"(?:''|\d)[\s,]+\w+\s*[<>=]", tr("two conditions are joined by and, or by or")),
)
_SLIPS_OF_CONDITIONS = (
    (
        r"^\s*(?:select|from|with)\b",
        tr("this is no condition but a whole query: say --sql before it"),
    ),
    (r"^\s*where\b", tr("a condition begins without the word where")),
    (r";\s*$", tr("a condition ends without a semicolon")),
    (r"\b(?:order\s+by|limit|group\s+by)\b", tr("that belongs to a whole query, behind --sql")),
)
_OTHER_NAMES = {
    "label": "class category species sound etiqueta clase especie",
    "score": "confidence puntuación",
    "file": "filename path recording archivo fichero",
    "start_at": "time date datetime hora fecha",
    "start_time": "inicio onset",
    "end_time": "fin offset",
    "recorded_at": "time date datetime hora fecha",
    "failure_reason": "error",
}
"""What people call columns."""

_HINTS = {
    **dict.fromkeys(
        ("hour", "day", "month", "year"), tr("write hour(start_at), day(start_at) …; ")
    ),
    **dict.fromkeys(("site", "folder", "sitio"), tr("write file like '%/SiteA/%'; ")),
}


def advice(
    query: str,
    error: str,
    columns: Mapping[str, Sequence[str]],
    spelled: Callable[[str], str],
    *,
    is_condition: bool,
) -> str | None:
    """A sentence on how to write what a query that DuckDB refused seems to mean, or None.

    query: a whole one, or a condition alone. error: what DuckDB says. columns: of each table that
    is asked. spelled: a label as the results have it, or what is nearest to it.
    """
    code = re.sub(rf"{_TEXT}|--[^\n]*", "''", query)
    missing = re.search(r'Referenced column "(.+?)" not found', error)
    name = missing[1].strip(_QUOTES) if missing else ""
    known = {name for names in columns.values() for name in names}
    is_no_sql = re.search("syntax error|function with name `", error, re.IGNORECASE)
    begin = "" if is_no_sql else name or None
    if begin is not None and (right := _in_quotes(code, known, begin, spelled)) is not None:
        return tr("texts stand in single quotes: write {right}", right=right)
    table = (*(_SLIPS_OF_CONDITIONS if is_condition else ()), *(_SLIPS if not missing else ()))
    slips = [text for pattern, text in table if re.search(pattern, code, re.IGNORECASE)]
    if "unterminated" in error:
        slips = [tr("a quote is opened and never closed")]
    elif code.count("(") > code.count(")"):
        slips = [tr("a bracket is opened and never closed")]
    if slips:
        return tr("the query cannot be answered: {slips}", slips=slips[0])
    alone = re.sub(r"^\s*label\s|\s*[<>=].*", "", query, flags=re.IGNORECASE | re.DOTALL)
    text = re.search(r"Could not convert string '(.*?)' to BOOL", error)
    for label in (alone.strip(_QUOTES), name, text[1] if text else ""):
        if label_named(label) is not None:
            return tr(
                "a condition names its column: write label = {quoted}",
                quoted=quoted(spelled(label)),
            )
    if not name or not columns:
        return None
    near = near_columns(name, known)
    hint = (
        tr("did you mean {near}? ", near=joined(tr(" or "), near))
        if near
        else _HINTS.get(name.lower(), "")
    )
    lists = joined(
        "; ",
        (
            tr("{table} has the columns {n}", table=table, n=", ".join(n))
            for table, n in columns.items()
        ),
    )
    return tr('there is no column "{name}"; {hint}{lists}', name=name, hint=hint, lists=lists)


def _in_quotes(
    code: str, known: Collection[str], begin: str, spelled: Callable[[str], str]
) -> str | None:
    """The first comparison of ``label`` with what is neither a text nor a column, put right.

    begin: how what DuckDB took for a column begins.
    """
    for found in _UNQUOTED.finditer(code):
        name = found["double"] or found["other"] or _BARE_ENDS.sub("", found["bare"]).rstrip(" ;")
        how = found["how"].lower().split()
        if name.lower() in known or not name.lower().startswith(begin.lower()):
            continue
        if how[-1] == "in":
            inside = code[found.end("how") :].lstrip(" ([").partition(")")[0]
            names = ", ".join(quoted(spelled(n.strip(_QUOTES))) for n in inside.split(","))
            return tr("label {how} ({names})", how=" ".join(how), names=names)
        # A bracket that the condition closes, or one that belongs to the label.
        name = name if name.count("(") == name.count(")") else name.rstrip(" )")
        return tr(
            "label {more} {quoted}",
            more="<>" if how[0] in ("!=", "<>") else "=",
            quoted=quoted(spelled(name)),
        )
    return None


def near_columns(name: str, known: Iterable[str]) -> list[str]:
    """Up to two columns that a name may stand for."""
    known = sorted(known)
    near = nearest(name, known) if len(name) > 2 else []
    near += [n for n, others in _OTHER_NAMES.items() if name.lower() in others.split()]
    return [name for name in dict.fromkeys(near) if name in known][:2]


def columns_of(columns: Mapping[str, Sequence[str]], query: str) -> dict[str, Sequence[str]]:
    """The columns of the tables that a query names."""
    code = re.sub(_TEXT, "''", query)  # a file may be called as a table is
    is_named = {table: re.search(rf"\b{table}\b", code, re.IGNORECASE) for table in columns}
    return {table: names for table, names in columns.items() if is_named[table]}
