# SPDX-License-Identifier: Apache-2.0
"""One tree of errors, drawn in a docstring that is true."""

from __future__ import annotations

import importlib
import inspect

import pytest

import oido
from oido import errors


def drawn() -> dict[str, str | None]:
    """Class → its parent, from the tree in the module's docstring."""
    parents: dict[str, str | None] = {}
    stack: list[tuple[int, str]] = []
    for line in errors.__doc__.splitlines():
        text = line.lstrip(" │├└─")
        name = text.split(" ")[0]
        if not name.endswith("Error") or line[:1] != " ":
            continue
        depth = len(line) - len(text)
        while stack and stack[-1][0] >= depth:
            stack.pop()
        parents[name] = stack[-1][1] if stack else None
        stack.append((depth, name))
    return parents


def test_the_tree_in_the_docstring_is_that_of_the_classes():
    actual = {
        name: None if cls.__base__ is Exception else cls.__base__.__name__
        for name, cls in inspect.getmembers(errors, inspect.isclass)
        if cls.__module__ == "oido.errors"
    }
    assert drawn() == actual
    assert len(actual) == 17


ERRORS = [
    name
    for name, cls in inspect.getmembers(errors, inspect.isclass)
    if cls.__module__ == "oido.errors"
]


@pytest.mark.parametrize("name", ERRORS)
def test_every_error_is_exported_and_is_an_oido_error(name):
    cls = getattr(errors, name)
    assert getattr(oido, name) is cls
    assert name in oido.__all__
    assert issubclass(cls, oido.OidoError)
    assert cls.__doc__


def test_the_root_is_a_plain_exception():
    assert oido.OidoError.__bases__ == (Exception,)
    assert not issubclass(oido.OidoError, OSError | ValueError)


def test_a_missing_package_is_an_error_that_says_what_to_install():
    needed = errors.needs_extra("it needs a package; run: pip install it")
    with pytest.raises(oido.MissingExtraError, match="pip install") as caught, needed:
        importlib.import_module("a_package_that_nobody_has")
    assert isinstance(caught.value.__cause__, ImportError)
    with pytest.raises(ValueError, match="another"), errors.needs_extra("unused"):
        raise ValueError("another")
