# SPDX-License-Identifier: Apache-2.0
"""Numbers and files as constant arrays of C, for firmware."""

from __future__ import annotations

from collections.abc import Iterable

from oido.errors import OptionError
from oido.messages import tr

_PER_LINE = 16


def c_array(name: str, kind: str, values: Iterable[int], *, alignment: int = 0) -> str:
    """``const kind name[] = {…};`` for C99 and C++11 alike.

    alignment: in bytes, as models of TensorFlow Lite for Microcontrollers want 16.
    """
    if not name.isidentifier() or not name.isascii():
        raise OptionError(
            tr("{name!r} is no name of C; take letters, digits and underscores", name=name)
        )
    numbers = [str(int(value)) for value in values]
    lines = [numbers[k : k + _PER_LINE] for k in range(0, len(numbers), _PER_LINE)]
    body = ",\n".join("  " + ", ".join(line) for line in lines)
    where = f" __attribute__((aligned({alignment})))" if alignment else ""
    return f"extern const {kind} {name}[];\nconst {kind} {name}[]{where} = {{\n{body}\n}};\n"


def c_text(text: str) -> str:
    """A string literal; what is not ASCII as the bytes of its UTF-8, in octal."""
    found = []
    for byte in text.encode("utf-8"):
        plain = 32 <= byte < 127 and chr(byte) not in '"\\?'
        found.append(chr(byte) if plain else f"\\{byte:03o}")
    return '"' + "".join(found) + '"'
