# SPDX-License-Identifier: Apache-2.0
"""The self-test tells the formats that work from those that do not."""

from __future__ import annotations

import numpy as np
import pytest

from oido.errors import UnknownFormatError
from oido.signal.decode import selftest
from tests.signal.sounds import sine


def test_here_every_format_works():
    working, broken = selftest.working_formats()
    assert broken == []
    assert {"WAV", "FLAC", "OGG", "MP3", "m4a", "webm", "mkv", "mp4"} <= set(working)


@pytest.mark.parametrize(
    "heard",
    [
        pytest.param(np.zeros(48_000), id="silence"),
        pytest.param(sine(440.0, 48_000, 48_000), id="another tone"),
        pytest.param(sine(1_000.0, 48_000, 20_000), id="half of it"),
    ],
)
def test_wrong_sound_is_not_called_working(monkeypatch, heard):
    monkeypatch.setattr(selftest, "_decode", lambda _: heard.astype(np.float32))
    assert selftest.working_formats()[0] == []


def test_a_decoder_that_fails_breaks_only_its_own_formats(monkeypatch):
    decode = selftest._decode

    def without_flac(encoded):
        if encoded.startswith(b"fLaC"):
            raise UnknownFormatError("no FLAC here")
        return decode(encoded)

    monkeypatch.setattr(selftest, "_decode", without_flac)
    working, broken = selftest.working_formats()
    assert broken == ["FLAC"]
    assert "WAV" in working
