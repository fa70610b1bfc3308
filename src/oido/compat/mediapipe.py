# SPDX-License-Identifier: Apache-2.0
"""MediaPipe's audio tasks by their own names: classes, options, results, errors.

    from oido.compat.mediapipe.tasks import python
    from oido.compat.mediapipe.tasks.python import audio
    from oido.compat.mediapipe.tasks.python.components import containers

Every path of ``mediapipe`` that has something of audio leads here, so ``oido.compat.`` before
``mediapipe`` is all that changes; ``import oido.compat.mediapipe as mp`` goes, too. Clips and
streams are cut as MediaPipe cuts them: windows side by side, the last one filled with zeros.
Errors are ValueError, FileNotFoundError and RuntimeError, as there. What else differs stands in
docs/guides/from-mediapipe.md.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from oido.arrays import F32, Bools
from oido.compat import containers as _types
from oido.compat.containers import *  # noqa: F403 (MediaPipe has them all under these paths)
from oido.errors import ModelNotFoundError, OidoError, OptionError
from oido.inference.block import Block
from oido.inference.embedder import l2_normalized
from oido.inference.pipeline import Pipeline
from oido.inference.postprocess import HeadPostprocessor, make_postprocessors
from oido.inference.predictor import PredictorPool, validated
from oido.models.labels import display_names
from oido.models.loading import load_model
from oido.models.model import AudioModel
from oido.params import Selection, Windowing
from oido.signal.decode.readers import stream_info

if TYPE_CHECKING:
    from typing_extensions import Self

RunningMode = _types.AudioTaskRunningMode
AudioClassifierResult, AudioEmbedderResult = _types.ClassificationResult, _types.EmbeddingResult


@contextmanager
def _as_mediapipe_raises() -> Iterator[None]:
    try:
        yield
    except ModelNotFoundError as error:
        raise FileNotFoundError(str(error)) from error
    except OidoError as error:
        raise ValueError(str(error)) from error


class _Windows:
    """Sound of one rate as windows that lie side by side: a block for each."""

    def __init__(
        self, model: AudioModel, predictors: PredictorPool, audio: _types.AudioDataFormat
    ) -> None:
        params, rate = model.windows, audio.sample_rate or 0
        if rate != int(rate):
            raise ValueError(f"the sample rate must be a whole number of Hz, not {rate}")
        windowing = Windowing(params.sample_rate_hz, params.window_samples, params.window_samples)
        info = stream_info("<audio data>", int(rate), audio.num_channels)
        self._pipeline, self._predictors = Pipeline(model, info, windowing), predictors

    def push(self, samples: F32 | None) -> Iterator[Block]:
        """Those that f32[n] or f32[n, channels] completes; None: what is left at the end."""
        pipeline = self._pipeline
        if samples is None:
            items = pipeline.flush()
        else:
            items = pipeline.push(samples.reshape(len(samples), -1))
        if pipeline.damage is not None:
            raise pipeline.damage
        for item in items:
            yield from pipeline.collect(item, self._predictors.predict(item), np.zeros(1))
        if samples is None:
            yield from pipeline.finish()


class _Task:
    """What both tasks share: a model, clips, and a stream whose results another thread tells."""

    _options_type: Any

    def __init__(self, options: Any) -> None:
        mode = options.running_mode
        if (options.result_callback is None) == (mode is RunningMode.AUDIO_STREAM):
            needs = "must not" if options.result_callback else "must"
            raise ValueError(f"in the mode {mode.value} a result_callback {needs} be given")
        self._options = options
        with _as_mediapipe_raises():
            self._model = _loaded(options.base_options)
            self._predictors = PredictorPool.of(self._model)
        self._thread: ThreadPoolExecutor | None = None
        self._format: _types.AudioDataFormat | None = None
        self._first_ms = self._last_ms = 0
        self._error: Exception | None = None
        self._is_closed = False

    @classmethod
    def create_from_model_path(cls, model_path: str) -> Self:
        """The task on clips, with the defaults of all else."""
        return cls(cls._options_type(_types.BaseOptions(model_path)))

    @classmethod
    def create_from_options(cls, options: Any) -> Self:
        """The task with these options. Raises ValueError or FileNotFoundError."""
        return cls(options)

    def create_audio_record(
        self, num_channels: int, sample_rate: int, required_input_buffer_size: int
    ) -> _types.AudioRecord:
        """The default microphone."""
        return _types.AudioRecord(num_channels, sample_rate, required_input_buffer_size)

    def close(self) -> None:
        """The end of a stream: returns when all of it was called back."""
        if self._thread is not None and not self._is_closed:
            self._thread.submit(self._call_back, None)
            self._thread.shutdown()
        self._is_closed = True
        self._raise_error()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _of_clip(self, clip: _types.AudioData) -> list[Any]:
        self._check(RunningMode.AUDIO_CLIPS, clip)
        if not clip.buffer_length:
            raise ValueError("the audio data hold no sample")
        with _as_mediapipe_raises():
            windows = _Windows(self._model, self._predictors, clip.audio_format)
            blocks = [*windows.push(clip.buffer), *windows.push(None)]
        return [self._result(block, self._start_ms(block)) for block in blocks]

    def _of_stream(self, data: _types.AudioData, timestamp_ms: int) -> None:
        self._check(RunningMode.AUDIO_STREAM, data)
        self._raise_error()
        if self._thread is None:
            with _as_mediapipe_raises():
                self._windows = _Windows(self._model, self._predictors, data.audio_format)
            self._format, self._first_ms = data.audio_format, timestamp_ms
            self._thread = ThreadPoolExecutor(1, "oido-mediapipe")
        elif data.audio_format != self._format:
            raise ValueError(f"the stream began as {self._format}, not as {data.audio_format}")
        elif timestamp_ms <= self._last_ms:
            raise ValueError(f"timestamps must grow, and {timestamp_ms} follows {self._last_ms}")
        self._last_ms = timestamp_ms
        self._thread.submit(self._call_back, data.buffer.copy())

    def _call_back(self, samples: F32 | None) -> None:
        """In the thread; nothing behind an error, of the callback, too, is looked at."""
        if self._error is None:
            try:
                with _as_mediapipe_raises():
                    for block in self._windows.push(samples):
                        time_ms = self._first_ms + self._start_ms(block)
                        self._options.result_callback(self._result(block, time_ms), time_ms)
            except Exception as error:
                self._error = error

    def _raise_error(self) -> None:
        error, self._error = self._error, None
        if error is not None:
            self._is_closed = True
            raise error

    def _check(self, mode: RunningMode, data: _types.AudioData) -> None:
        if self._is_closed:
            raise RuntimeError("this task is closed; create another")
        if self._options.running_mode is not mode:
            raise ValueError(f"this needs the running mode {mode.value}")
        if not data.audio_format.sample_rate:
            raise ValueError("the audio data must have a sample rate")

    def _start_ms(self, block: Block) -> int:
        windows = self._model.windows
        return block.first_window * windows.window_samples * 1000 // windows.sample_rate_hz

    def _result(self, block: Block, timestamp_ms: int) -> Any:
        raise NotImplementedError


def _loaded(options: _types.BaseOptions) -> AudioModel:
    if options.model_asset_path:
        return validated(load_model(options.model_asset_path))
    if not options.model_asset_buffer:
        raise ValueError("base_options need model_asset_path or model_asset_buffer")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "model.tflite")
        path.write_bytes(options.model_asset_buffer)
        return validated(load_model(path))


class AudioClassifier(_Task):
    """Tells what is in clips, and in blocks of a stream, as MediaPipe's class of this name."""

    _options_type = _types.AudioClassifierOptions

    def __init__(self, options: _types.AudioClassifierOptions) -> None:
        allowed, denied = options.category_allowlist or (), options.category_denylist or ()
        if options.max_results == 0:
            raise ValueError("max_results must not be 0; None is all")
        if allowed and denied:
            raise ValueError("category_allowlist and category_denylist exclude each other")
        super().__init__(options)
        heads, locale = self._model.heads, options.display_names_locale or "en"
        readers = make_postprocessors(heads, heads[0], Selection(), locale="en", rolls_up=False)
        self._heads: list[tuple[HeadPostprocessor, Bools, tuple[str | None, ...]]] = []
        for reader in readers.values():
            named = np.isin(reader.labels, list(allowed or denied))
            shown: tuple[str | None, ...] = (None,) * len(named)
            if not locale.lower().startswith("en"):
                with suppress(OptionError):  # a language that is not there is no error
                    shown = display_names(reader.labels, locale)
            # A list that names nothing of a head does not count for it.
            kept = named if allowed and named.any() else ~named if denied else named | True
            self._heads.append((reader, kept, shown))

    def classify(self, audio_clip: _types.AudioData) -> list[_types.ClassificationResult]:
        """A result for each window of a clip."""
        return self._of_clip(audio_clip)

    def classify_async(self, audio_block: _types.AudioData, timestamp_ms: int) -> None:
        """Bring the next block of a stream; ``result_callback`` gets each window that is whole."""
        self._of_stream(audio_block, timestamp_ms)

    def _result(self, block: Block, timestamp_ms: int) -> _types.ClassificationResult:
        limit, heads = self._options.max_results or -1, []
        for number, (reader, kept, shown) in enumerate(self._heads):
            values, labels = reader.decision_values(reader.scores(block.scores))[0], reader.labels
            threshold = self._options.score_threshold
            threshold = reader.head.score_threshold if threshold is None else threshold
            above = kept if threshold is None else kept & (values >= np.float32(threshold))
            order = np.argsort(-values, kind="stable")
            best = order[above[order]][: limit if limit > 0 else None].tolist()
            found = [_types.Category(i, float(values[i]), shown[i], labels[i]) for i in best]
            heads.append(_types.Classifications(found, number, reader.head.name))
        return _types.ClassificationResult(heads, timestamp_ms)


class AudioEmbedder(_Task):
    """Makes vectors of clips, and of blocks of a stream, as MediaPipe's class of this name."""

    _options_type = _types.AudioEmbedderOptions

    def __init__(self, options: _types.AudioEmbedderOptions) -> None:
        super().__init__(options)
        with _as_mediapipe_raises():
            self._model.require_embeddings()

    def embed(self, audio_clip: _types.AudioData) -> list[_types.EmbeddingResult]:
        """A result for each window of a clip."""
        return self._of_clip(audio_clip)

    def embed_async(self, audio_block: _types.AudioData, timestamp_ms: int) -> None:
        """Bring the next block of a stream; ``result_callback`` gets each window that is whole."""
        self._of_stream(audio_block, timestamp_ms)

    @classmethod
    def cosine_similarity(cls, u: _types.Embedding, v: _types.Embedding) -> float:
        """Of two embeddings of one kind, both floats or both quantized. Raises ValueError."""
        left, right = np.asarray(u.embedding), np.asarray(v.embedding)
        if left.shape != right.shape or left.dtype != right.dtype:
            raise ValueError("only embeddings of one length and one kind can be compared")
        if left.dtype == np.uint8:
            left, right = left.view(np.int8), right.view(np.int8)
        left, right = left.astype(float), right.astype(float)
        lengths = float(np.linalg.norm(left) * np.linalg.norm(right))
        if not lengths:
            raise ValueError("an embedding of zeros has no direction that could be compared")
        return float(left @ right) / lengths

    def _result(self, block: Block, timestamp_ms: int) -> _types.EmbeddingResult:
        vector = block.embeddings[0]
        if self._options.l2_normalize:
            vector = l2_normalized(vector)
        if self._options.quantize:
            scaled = np.clip(np.round(vector * 128), -128, 127)
            return _types.EmbeddingResult(
                [_types.Embedding(scaled.astype(np.int8).view(np.uint8), 0, "embedding")],
                timestamp_ms,
            )
        return _types.EmbeddingResult([_types.Embedding(vector, 0, "embedding")], timestamp_ms)


# Each module of MediaPipe's that has these names is this one.
_MODULES = """tasks tasks.audio tasks.components tasks.components.containers tasks.python
tasks.python.core tasks.python.core.base_options
tasks.python.audio tasks.python.audio.audio_classifier tasks.python.audio.audio_embedder
tasks.python.audio.core tasks.python.audio.core.audio_record
tasks.python.audio.core.audio_task_running_mode
tasks.python.components tasks.python.components.containers
tasks.python.components.containers.audio_data tasks.python.components.containers.category
tasks.python.components.containers.classification_result
tasks.python.components.containers.embedding_result"""
for _path in _MODULES.split():
    sys.modules[f"{__name__}.{_path}"] = sys.modules[__name__]
    globals()[_path.rpartition(".")[2]] = sys.modules[__name__]
