# SPDX-License-Identifier: Apache-2.0
"""A program for MediaPipe's audio tasks: what it prints of a recording, as JSON.

It is run as it stands by MediaPipe, and, with `oido.compat.` before `mediapipe` in its imports, by
oido. Arguments: an .npz of the same sound by its rate (float32, mono), and models.
"""

import json
import sys

import numpy as np
from mediapipe.tasks import python
from mediapipe.tasks.python import audio
from mediapipe.tasks.python.components import containers

ARRAYS = np.load(sys.argv[1])
SAMPLES = ARRAYS["16000"]
RESAMPLED = {int(rate): samples for rate, samples in ARRAYS.items() if rate != "16000"}
BOTH = np.stack([SAMPLES, SAMPLES[::-1]], axis=1)[:40_000]
COLUMN = SAMPLES[:20_000, None].astype(float)
MODELS = sys.argv[2:]
RATE = 16_000
REPORT = {}


def shown(results):
    """Timestamps, heads, and their categories, best first."""
    return [
        (
            result.timestamp_ms,
            [
                (
                    head.head_index,
                    head.head_name,
                    [(c.index, c.category_name, c.display_name, c.score) for c in head.categories],
                )
                for head in result.classifications
            ],
        )
        for result in results
    ]


def note(name, work):
    """What it gives, or the name of its error."""
    try:
        REPORT[name] = work()
    except Exception as error:
        REPORT[name] = type(error).__name__


def clip(samples, rate=RATE):
    return containers.AudioData.create_from_array(samples, rate)


def options(**more):
    base = python.BaseOptions(model_asset_path=MODELS[0])
    return audio.AudioClassifierOptions(base_options=base, **more)


def with_options(samples=SAMPLES[16_000:32_000], **more):
    with audio.AudioClassifier.create_from_options(options(**more)) as classifier:
        return shown(classifier.classify(clip(samples)))


def streamed(size, rate, first_ms=0):
    """All callbacks before the stream is closed; MediaPipe's last has a timestamp of nonsense."""
    results = []

    def collect(result, timestamp_ms):
        results.append((timestamp_ms, result))

    mode = audio.RunningMode.AUDIO_STREAM
    more = {"running_mode": mode, "result_callback": collect, "max_results": 3}
    with audio.AudioClassifier.create_from_options(options(**more)) as classifier:
        samples = ARRAYS[str(rate)][: 4 * rate]
        for start in range(0, len(samples), size):
            block = clip(samples[start : start + size], rate)
            classifier.classify_async(block, first_ms + start * 1000 // rate)
    assert all(result.timestamp_ms == time_ms for time_ms, result in results[:-1])
    last = shown([results.pop()[1]])[0][1]
    return [*shown([result for _, result in results]), last]


def buffered():
    """A buffer of one second that is filled piece by piece, as from a microphone."""
    data = containers.AudioData(RATE, containers.AudioDataFormat(1, RATE))
    for start in range(0, 20_000, 5_000):
        data.load_from_array(SAMPLES[16_000 + start :][:5_000, None])
    assert data.buffer_length == RATE
    data.load_from_array(SAMPLES[:, None], offset=20_000, size=1_000)
    with audio.AudioClassifier.create_from_options(options()) as classifier:
        return [data.buffer[:, 0].tolist(), shown(classifier.classify(data))]


def main():
    for model in MODELS:
        name = model.rpartition("/")[2]
        with audio.AudioClassifier.create_from_model_path(model) as classifier:
            for length in (1, 7_800, 15_600, 15_601, 40_000):
                note(
                    f"{name} {length}",
                    lambda n=length: shown(classifier.classify(clip(SAMPLES[:n]))),
                )
            note(f"{name} stereo", lambda: shown(classifier.classify(clip(BOTH))))
            note(f"{name} column", lambda: shown(classifier.classify(clip(COLUMN, 16_000.0))))
            for rate, samples in RESAMPLED.items():
                note(
                    f"{name} at {rate} Hz",
                    lambda r=rate, s=samples: shown(classifier.classify(clip(s, r))),
                )
            note(f"{name} without a rate", lambda: classifier.classify(clip(SAMPLES, None)))
            note(f"{name} clips", lambda: classifier.classify_async(clip(SAMPLES), 0))
    for more in (
        {"max_results": 3},
        {"max_results": -1},
        {"max_results": 0},
        {"score_threshold": 0.3},
        {"score_threshold": 0.0},
        {"score_threshold": 2.0, "max_results": 2},
        {"category_allowlist": ["Siren", "Speech", "Siren"]},
        {"category_allowlist": ["Siren", "nonsense"], "score_threshold": 0.1},
        {"category_allowlist": ["nonsense"]},
        {"category_allowlist": ["siren"]},
        {"category_allowlist": []},
        {"category_denylist": ["Siren", "Alarm"], "max_results": 5},
        {"category_denylist": ["nonsense"]},
        {"category_allowlist": ["Siren"], "category_denylist": ["Speech"]},
        {"display_names_locale": "en"},
        {"display_names_locale": "xx"},
        {"running_mode": audio.RunningMode.AUDIO_STREAM},
        {"result_callback": print},
    ):
        note(str(sorted(more.items(), key=str)), lambda m=more: with_options(**m))
    for size, rate in ((8_000, 16_000), (15_600, 16_000), (1_024, 16_000), (9_000, 44_100)):
        note(f"stream {size} at {rate} Hz", lambda s=size, r=rate: streamed(s, r, first_ms=5_000))
    note("buffer", buffered)
    backwards = options(
        running_mode=audio.RunningMode.AUDIO_STREAM, result_callback=lambda *_: None
    )
    with audio.AudioClassifier.create_from_options(backwards) as classifier:
        note("clip in a stream", lambda: classifier.classify(clip(SAMPLES)))
        classifier.classify_async(clip(SAMPLES[:8_000]), 100)
        note("backwards", lambda: classifier.classify_async(clip(SAMPLES[:8_000]), 100))
        note("another rate", lambda: classifier.classify_async(clip(SAMPLES[:8_000], 8_000), 900))
    create = audio.AudioClassifier.create_from_options
    no_model = audio.AudioClassifierOptions(base_options=python.BaseOptions())
    note("no model", lambda: create(no_model))
    path = audio.AudioClassifier.create_from_model_path
    note("no such file", lambda: path("/no/such/file.tflite"))
    note("no model's file", lambda: path(__file__))
    with open(MODELS[0], "rb") as file:
        content = python.BaseOptions(model_asset_buffer=file.read())
    note(
        "bytes",
        lambda: shown(
            create(audio.AudioClassifierOptions(base_options=content)).classify(
                clip(SAMPLES[:15_600])
            )
        ),
    )
    data = clip(SAMPLES[:100])
    note("beyond", lambda: data.load_from_array(SAMPLES[:10], offset=5, size=10))
    note("channels", lambda: data.load_from_array(np.zeros((10, 2))))
    print(json.dumps(REPORT))


if __name__ == "__main__":
    main()
