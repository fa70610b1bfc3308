# SPDX-License-Identifier: Apache-2.0
"""The content of a weights file, by the model's name or by its path."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

from oido.errors import ModelFormatError, ModelNotFoundError
from oido.models import fetch
from oido.models.registry import CATALOG, card

__all__ = ["read_weights"]

_Weights = TypeVar("_Weights")


def read_weights(
    name_or_path: str | os.PathLike[str],
    readers: Mapping[str, Callable[[bytes], _Weights]],
    say: fetch.Say,
) -> _Weights:
    """What the reader for the file's suffix makes of it; a model of the catalogue is fetched.

    Raises a ModelError: unknown name, no source reachable, a file of another kind, or damaged.
    """
    path = Path(name_or_path)
    known = next((entry for entry in CATALOG if entry.name == os.fspath(name_or_path)), None)
    if known is not None:
        suffix = Path(known.file_names[0]).suffix
    else:
        suffix = path.suffix
        if not path.is_file():
            if suffix in {".tflite", ".h5", ".pt"} or path.is_dir():
                raise ModelNotFoundError(f"{path}: no such model file")
            card(os.fspath(name_or_path))  # raises, naming the models that exist
    if suffix not in readers:
        raise ModelFormatError(
            f"{os.fspath(name_or_path)}: this network's weights come from {' or '.join(readers)}, "
            f"not from {suffix or 'a file without an ending'}"
        )
    if known is not None:
        path = fetch.fetch(known, say)
    try:
        return readers[suffix](path.read_bytes())
    except OSError as error:
        raise ModelNotFoundError(f"{path}: cannot be read ({error.strerror})") from error
    except ModelFormatError as error:
        raise ModelFormatError(f"{path}: {error}") from error
    # A damaged graph points anywhere: this is the boundary where that is told as what it is.
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise ModelFormatError(
            f"{path}: it makes no sense ({type(error).__name__}: {error}); the file is damaged"
        ) from error
