# SPDX-License-Identifier: Apache-2.0
"""HTML pages from this folder's templates in one style: light and dark, on a phone too.

Every value is escaped when a template is rendered, control characters, too, because labels and file
names come from strangers. The pages load nothing and run no script.
"""

from __future__ import annotations

import base64
import math
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from oido._version import __version__
from oido.errors import needs_extra
from oido.messages import language, shown, tr
from oido.paths import escape_controls

if TYPE_CHECKING:
    from jinja2 import Environment


def render(template: str, extra: str, **values: object) -> str:
    """The page that a template of this folder makes of the values.

    extra: the one of oido's that brings Jinja2 to whoever needs this page. Raises
    MissingExtraError, which names it.
    """
    with needs_extra(tr("HTML pages need Jinja2; run: pip install 'oido[{extra}]'", extra=extra)):
        return environment().get_template(template).render(values)


@cache
def environment() -> Environment:
    """The templates, with their filters; a name that they misspell is an error."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    made = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        finalize=_without_controls,
    )
    made.globals |= {"version": __version__, "_": _translated, "language": language}
    made.tests["faded"] = lambda value: isinstance(value, Faded)
    made.filters.update(data_uri=_data_uri, number=number, lines=_lines)
    return made


def _translated(text: str, **values: object) -> str:
    """A text of a template in the language in use."""
    return shown(tr(text, **values))


def _without_controls(value: object) -> object:
    """Text as pages may show it; names of files may hold anything. Elements stay as they are."""
    is_text = isinstance(value, str) and not hasattr(value, "__html__")
    return escape_controls(shown(value)) if is_text else value


def _lines(text: str) -> str:
    """The same for a text of several lines."""
    from markupsafe import escape

    return escape(escape_controls(shown(text), kept="\n\t"))


class Faded(float):
    """A rate over too little time to be compared: drawn pale, and no measure of the others."""


def number(value: float) -> str:
    """Three decimals; a dash where nothing is known."""
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    return "–" if math.isnan(value) else f"{value:.3f}"


def _data_uri(content: bytes, media_type: str) -> str:
    """The content itself, as an address."""
    return f"data:{media_type};base64,{base64.b64encode(content).decode('ascii')}"
