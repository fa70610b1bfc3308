# SPDX-License-Identifier: Apache-2.0
"""Every error that oido raises on purpose.

::

    OidoError
    ├── AudioError              the audio given cannot be heard
    │   ├── AudioNotFoundError      no such file
    │   ├── UnknownFormatError      no decoder here knows this format
    │   ├── CorruptAudioError       a known format, but damaged, or its decoder died
    │   ├── EmptyAudioError         no sound in it: an empty file, or no sample at all
    │   └── InvalidSamplesError     NaN or infinite samples, a wrong dtype, shape or rate
    ├── ModelError              the model given cannot be used
    │   ├── ModelNotFoundError      no such name or file
    │   ├── ModelFetchError         every source was tried, and each one's answer is told
    │   ├── ModelHashError          the file is not the one that was published
    │   └── ModelFormatError        not a classifier's .tflite, or metadata are missing
    ├── OptionError             an option's value makes no sense
    │   ├── UnknownLabelError       no such label; the nearest ones are named
    │   └── DamagedResultsError     files of a results folder are missing or changed
    ├── OutputError             the results cannot be written
    └── MissingExtraError       an optional package is needed; its extra is named

Each message is one sentence (or two) that says what is wrong and what to do. Errors of other
libraries are turned into these at the module that calls the library, with the cause kept.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec


class OidoError(Exception):
    """Root of every error that oido raises on purpose."""


class AudioError(OidoError):
    """The audio given cannot be heard."""


class AudioNotFoundError(AudioError):
    """There is no such file, or it may not be read."""


class UnknownFormatError(AudioError):
    """No decoder here knows this format."""


class CorruptAudioError(AudioError):
    """The format is known, but the content is damaged."""


class EmptyAudioError(AudioError):
    """There is no sound in it: an empty file, or a header without one sample."""


class InvalidSamplesError(AudioError):
    """NaN or infinite samples, a dtype or shape that is not audio, or an impossible rate."""


class ModelError(OidoError):
    """The model given cannot be used."""


class ModelNotFoundError(ModelError):
    """There is no model of this name, and no such file."""


class ModelFetchError(ModelError):
    """No source gave the model; the message has each source and what it said."""


class ModelHashError(ModelError):
    """The file's size or SHA-256 is not the published one."""


class ModelFormatError(ModelError):
    """Not an audio classifier that oido can read, or its metadata are missing."""


class OptionError(OidoError):
    """An option's value makes no sense."""


class UnknownLabelError(OptionError):
    """A label that the model does not have; the message names the nearest ones."""


class DamagedResultsError(OptionError):
    """Files of a results folder are missing or changed; `oido batch verify` names them."""

    exit_code = 4


class OutputError(OidoError):
    """The results cannot be written; nothing half-written stays under the final name."""


class MissingExtraError(OidoError):
    """An optional package is needed; the message names the extra that brings it."""


@contextmanager
def needs_extra(message: str) -> Iterator[None]:
    """Around the import of an optional package: without it, a MissingExtraError with this text."""
    try:
        yield
    except ImportError as error:
        raise MissingExtraError(message) from error


def require_packages(message: str, *names: str) -> None:
    """Raise a MissingExtraError with this text unless all are installed; imports none of them."""
    if any(find_spec(name) is None for name in names):
        raise MissingExtraError(message)
