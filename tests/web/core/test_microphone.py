# SPDX-License-Identifier: Apache-2.0
"""The microphone, a recording that Chromium plays into it, arrives at the model's rate."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.web.core.site import floats

_LISTEN = """async ({ rate, samples, refuses }) => {
  const { openMicrophone } = await import("/core/microphone.js");
  const { packed } = await import("/tests/hearing.mjs");
  const { mediaDevices } = navigator;
  const original = mediaDevices.getUserMedia.bind(mediaDevices);
  const asked = [];
  let media = null;
  mediaDevices.getUserMedia = async (constraints) => {
    asked.push(constraints);
    return (media = await original(constraints));
  };
  const rates = [];
  const connect = AudioContext.prototype.createMediaStreamSource;
  AudioContext.prototype.createMediaStreamSource = function (stream) {
    rates.push(this.sampleRate);
    // As Firefox did: no source at another rate than the microphone's.
    if (refuses && this.sampleRate === rate) throw new DOMException("rates", "NotSupportedError");
    return connect.call(this, stream);
  };
  const blocks = [];
  let n = 0;
  let microphone;
  await new Promise((resolve, reject) => {
    const onSamples = (block) => {
      blocks.push(block);
      if ((n += block.length) >= samples) resolve();
    };
    const opening = openMicrophone({ sampleRateHz: rate, onSamples });
    opening.then((opened) => (microphone = opened), reject);
  });
  const level = microphone.level;
  const [track] = media.getAudioTracks();
  const settings = track.getSettings();
  await microphone.close();
  const before = n;
  await new Promise((resolve) => setTimeout(resolve, 100));
  return {
    samples: packed(blocks), asked, rates, settings, level, levelAfter: microphone.level,
    state: track.readyState, after: n - before,
  };
}"""


def likeness(heard: NDArray[np.float32], played: NDArray[np.float32]) -> float:
    """The largest correlation coefficient of what was heard with a part of what was played."""
    n = len(heard)
    size = 1 << (len(played) + n).bit_length()
    heard = heard - heard.mean()
    product = np.fft.irfft(np.fft.rfft(played, size) * np.conj(np.fft.rfft(heard, size)), size)
    sums = np.cumsum(np.concatenate([[0.0], played.astype(np.float64) ** 2]))
    energy = np.maximum(sums[n:] - sums[:-n], 1e-9)
    return float((product[: len(energy)] / np.sqrt(energy * (heard @ heard))).max())


@pytest.mark.parametrize("refuses", [False, True], ids=["its rate", "another rate"])
def test_it_is_heard_at_the_models_rate_as_it_is(
    core: Any, street: NDArray[np.float32], refuses: bool
) -> None:
    told = core.evaluate(_LISTEN, {"rate": 16_000, "samples": 32_000, "refuses": refuses})
    heard = floats(told["samples"], 1)[:, 0]
    # Chromium repeats the recording: what is heard may run over its end.
    assert likeness(heard[1_000:31_000], np.concatenate([street, street])) > 0.95
    assert likeness(heard[1_000:31_000][::-1], np.concatenate([street, street])) < 0.8
    (asked,) = told["asked"]
    assert asked["audio"] == {
        "channelCount": 1,
        "echoCancellation": False,
        "noiseSuppression": False,
        "autoGainControl": False,
    }
    for name in ("echoCancellation", "noiseSuppression", "autoGainControl"):
        assert told["settings"].get(name) is not True
    assert told["rates"][0] == 16_000
    assert (len(told["rates"]) == 2) is refuses
    assert 0 <= told["level"] <= 1
    assert (told["state"], told["after"], told["levelAfter"]) == ("ended", 0, 0)


@pytest.mark.parametrize(
    ("error", "part"),
    [
        ("NotAllowedError", "was not allowed"),
        ("NotFoundError", "there is no microphone"),
        ("NotReadableError", "another program"),
        ("TypeError", "cannot be opened"),
    ],
)
def test_a_refusal_is_told(core: Any, error: str, part: str) -> None:
    code = """async (name) => {
      const { openMicrophone } = await import("/core/microphone.js");
      navigator.mediaDevices.getUserMedia = async () => { throw new DOMException("no", name); };
      try {
        await openMicrophone({ sampleRateHz: 16000, onSamples: () => {} });
      } catch (error) {
        return { kind: error.kind, message: error.message };
      }
    }"""
    told = core.evaluate(code, error)
    assert told["kind"] == "MicrophoneError"
    assert part in told["message"]


_RESAMPLE = """async ({ from, to, hz, n, pieces }) => {
  const { Resampler } = await import("/core/resampler.js");
  const { packed } = await import("/tests/hearing.mjs");
  const sample = (_, at) => 0.5 * Math.sin((2 * Math.PI * hz * at) / from);
  const tone = Float32Array.from({ length: n }, sample);
  return pieces.map((piece) => {
    const resampler = new Resampler(from, to);
    const out = [];
    for (let at = 0; at < n; at += piece) out.push(resampler.push(tone.slice(at, at + piece)));
    return packed(out);
  });
}"""


@pytest.mark.parametrize("rate", [8_000, 44_100, 48_000])
def test_the_resampler_keeps_tones_and_takes_what_would_fold(core: Any, rate: int) -> None:
    def resampled(hz: float) -> list[NDArray[np.float32]]:
        given = {"from": rate, "to": 16_000, "hz": hz, "n": rate // 2, "pieces": [1, 17, 509, rate]}
        return [floats(text, 1)[:, 0] for text in core.evaluate(_RESAMPLE, given)]

    outputs = resampled(1_000.0)
    for output in outputs[1:]:
        assert np.array_equal(output, outputs[0])
    n = len(outputs[0])
    assert 7_800 < n <= 8_000
    expected = 0.5 * np.sin(2 * np.pi * 1_000 * np.arange(n) / 16_000)
    middle = slice(400, 7_600)
    assert np.abs(outputs[0] - expected)[middle].max() < 1e-3
    if rate > 16_000:
        assert np.abs(resampled(9_000.0)[-1][middle]).max() < 1e-3
