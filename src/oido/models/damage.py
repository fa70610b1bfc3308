# SPDX-License-Identifier: Apache-2.0
"""Where a foreign error, raised while a model's file is read, becomes a ModelFormatError.

Flatbuffers, ZIP, HDF5 and pickles are read by parsers that trust their numbers: in a damaged file
those point anywhere, and the errors are whatever Python makes of it. All readers share this list.
"""

from __future__ import annotations

import pickle
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager

from oido.errors import ModelFormatError
from oido.messages import tr

_ERRORS = (
    ArithmeticError,
    AttributeError,
    EOFError,
    LookupError,
    MemoryError,
    NotImplementedError,  # zipfile: an unknown compression
    OSError,  # h5py
    RuntimeError,  # zipfile: an encrypted entry
    TypeError,
    ValueError,
    pickle.UnpicklingError,
    struct.error,
    zipfile.BadZipFile,
    zlib.error,
)


@contextmanager
def refuse_damage(message: str) -> Iterator[None]:
    """Raise ModelFormatError, this message with the cause behind it, for an error of reading."""
    try:
        yield
    except _ERRORS as error:
        raise ModelFormatError(
            tr(
                "{message} ({name}: {error})",
                message=message,
                name=type(error).__name__,
                error=error,
            )
        ) from error
