# SPDX-License-Identifier: Apache-2.0
"""A recording of an archive as something that can be heard, wherever it lies."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator

from oido.batch.storage import filesystem_of, is_remote
from oido.batch.units import Source
from oido.errors import AudioError, AudioNotFoundError, OidoError
from oido.signal.decode import AudioReader, open_audio

__all__ = ["fetched", "opened"]


@contextlib.contextmanager
def fetched(source: Source) -> Iterator[str]:
    """The path of a recording; a remote one is a temporary file while the block lasts.

    Raises AudioNotFoundError if it cannot be fetched.
    """
    if not is_remote(source.location):
        yield source.location
        return
    with tempfile.TemporaryDirectory(prefix="oido-") as folder:
        # With its own ending, because messages may show it.
        path = os.path.join(folder, "recording" + os.path.splitext(source.location)[1][:16])
        with _told(source):
            filesystem_of(source.location).get_file(source.location, path)
        try:
            yield path
        except AudioError as error:
            raise type(error)(str(error).replace(path, source.name)) from error


@contextlib.contextmanager
def opened(source: Source) -> Iterator[AudioReader]:
    """A recording read in place, without fetching all of it. Raises AudioError."""
    with contextlib.ExitStack() as stack:
        if is_remote(source.location):
            with _told(source):
                file = filesystem_of(source.location).open(source.location, "rb")
            stack.enter_context(file)
            yield stack.enter_context(open_audio(file))
        else:
            yield stack.enter_context(open_audio(source.location))


@contextlib.contextmanager
def _told(source: Source) -> Iterator[None]:
    """Whatever a store says as an error of the recording."""
    try:
        yield
    except OidoError:
        raise
    except FileNotFoundError as error:
        raise AudioNotFoundError(f"{source.name}: no such file") from error
    except Exception as error:
        reason = str(error) or type(error).__name__
        raise AudioNotFoundError(f"{source.name}: cannot be fetched ({reason})") from error
