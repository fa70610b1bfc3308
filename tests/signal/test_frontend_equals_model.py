# SPDX-License-Identifier: Apache-2.0
"""The front end against the model's own, operators 0 to 12 untouched, to the last bit.

The network behind is quantised, so that one wrong bit can move a score by nine hundredths.
"""

from __future__ import annotations

import csv
from pathlib import Path

import flatbuffers
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter

from oido.signal.decode import open_audio
from oido.signal.mixing import mono_blocks
from oido.signal.resample import Resampler
from tests.signal.reference_frontend import log_mel
from tests.signal.sounds import noise, sine

WINDOW = 15_600
FRONT_END_OPERATORS = 13


@pytest.fixture(scope="module")
def models_own(model):
    """f32[15600] → f32[96, 64] by the model's own operators, as they are in the file."""
    content = schema.ModelT.InitFromPackedBuf(model.path.read_bytes(), 0)
    content.metadata, content.signatureDefs = [], []
    graph = content.subgraphs[0]
    names = [content.operatorCodes[op.opcodeIndex].builtinCode for op in graph.operators]
    assert names[FRONT_END_OPERATORS] == schema.BuiltinOperator.QUANTIZE
    graph.operators = graph.operators[:FRONT_END_OPERATORS]
    graph.outputs = graph.operators[-1].outputs[:1]
    builder = flatbuffers.Builder(1 << 20)
    builder.Finish(content.Pack(builder), b"TFL3")
    interpreter = Interpreter(model_content=bytes(builder.Output()), num_threads=1)
    interpreter.allocate_tensors()
    (given,), (made,) = interpreter.get_input_details(), interpreter.get_output_details()
    assert list(given["shape"]) == [WINDOW]

    def run(window):
        interpreter.set_tensor(given["index"], window)
        interpreter.invoke()
        return interpreter.get_tensor(made["index"]).reshape(96, 64)

    return run


def int16_like(waveform):
    """What a 16-bit recording of it would hold."""
    return (np.round(waveform * 32767.0).clip(-32768, 32767) / 32768.0).astype(np.float32)


def chirp(n_samples):
    phase = 2.0 * np.pi * np.cumsum(np.linspace(50.0, 7_900.0, n_samples)) / 16_000
    return (0.7 * np.sin(phase)).astype(np.float32)


SECONDS = 16_000 * 12
SIGNALS = {
    "noise": noise(SECONDS, level=0.3),
    "noise of 16 bits": int16_like(noise(SECONDS, seed=1, level=0.2)),
    "quiet noise of 16 bits": int16_like(noise(SECONDS, seed=2, level=1e-3)),
    "sine": sine(1_000.0, 16_000, SECONDS).astype(np.float32),
    "sine of 16 bits": int16_like(sine(437.3, 16_000, SECONDS)),
    "chirp": chirp(SECONDS),
    "chirp of 16 bits": int16_like(chirp(SECONDS)),
    "silence": np.zeros(SECONDS, np.float32),
    "constant": np.full(SECONDS, 0.25, np.float32),
    "square": np.sign(sine(220.0, 16_000, SECONDS) + 1e-9).astype(np.float32),
    "clicks": (np.arange(SECONDS) % 3_001 == 0).astype(np.float32),
    "denormal": noise(SECONDS, seed=3, level=1e-39),
    "loud": noise(SECONDS, seed=4, level=4.0),
}


def different(front_end, models_own, waveform):
    """Values that are not equal, of how many."""
    hop = 7_680
    whole = waveform[: (len(waveform) - WINDOW) // hop * hop + WINDOW]
    patches = front_end.patches(whole, hop)
    wrong = sum(
        int((patch != models_own(whole[k * hop : k * hop + WINDOW])).sum())
        for k, patch in enumerate(patches)
    )
    return wrong, patches.size


def test_the_models_own_front_end_is_the_published_one(models_own):
    """Or else the tests below would compare with the wrong thing."""
    waveform = noise(WINDOW, level=0.3)
    np.testing.assert_allclose(models_own(waveform), log_mel(waveform), atol=1e-5, rtol=0)


@pytest.mark.parametrize("signal", SIGNALS)
def test_equal_to_the_last_bit(front_end, models_own, signal):
    wrong, values = different(front_end, models_own, SIGNALS[signal])
    assert wrong == 0, f"{wrong} of {values} values"


@pytest.mark.parametrize("folder", ["everyday", "esc10", "three-events"])
def test_equal_to_the_last_bit_on_recordings(shared_audio: Path, front_end, models_own, folder):
    with open(shared_audio / folder / "clips.csv", encoding="utf-8", newline="") as file:
        clips = [row["file"] for row in csv.DictReader(file)]
    problems, total = [], 0
    for clip in clips[:: max(1, len(clips) // 40)]:
        with open_audio(shared_audio / folder / clip) as reader:
            resampler = Resampler(reader.info.sample_rate_hz, 16_000)
            pieces = [resampler.push(mono) for mono in mono_blocks(reader)]
            waveform = np.concatenate([*pieces, resampler.flush()])
        waveform = np.concatenate([waveform, np.zeros(max(0, WINDOW - len(waveform)), np.float32)])
        wrong, values = different(front_end, models_own, waveform)
        total += values
        if wrong:
            problems.append(f"{clip}: {wrong} of {values} values")
    assert total > 500_000
    assert not problems, "\n".join(problems)
