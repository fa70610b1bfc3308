# SPDX-License-Identifier: Apache-2.0
"""The network run by LiteRT (TensorFlow Lite), batched, on one thread.

Parallel work uses one runtime a worker: LiteRT releases the GIL while it computes, and XNNPACK's
own threads gain less than whole workers do.
"""

from __future__ import annotations

import os
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from ai_edge_litert.interpreter import Interpreter, OpResolverType
from numpy.typing import NDArray

from oido.arrays import F32
from oido.errors import ModelFormatError
from oido.messages import tr
from oido.runtime.base import Outputs, joined_outputs


class LiteRtRuntime:
    """Runs a graph that was cut behind its front end (`oido.models.tflite.editor.cut_front_end`).

    projection: a .tflite, magnitudes [t, bins] → log-mel [t, bands]; None where the front end
    needs none.
    network: a .tflite, patches [N, frames, bands] → (scores [N, classes] of each head, embedding
    [N, …, dim]), and behind them framewise scores [N · columns, classes] of each head, if columns
    is not 0.
    """

    def __init__(self, projection: bytes | None, network: bytes, columns: int = 0) -> None:
        self._projection = None if projection is None else _Graph(projection)
        self._network, self._columns = _Graph(network), columns

    def project(self, magnitudes: F32) -> F32:
        """Magnitudes f32[t, bins] → log-mel f32[t, bands], by the model's own operators.

        They are here, because the last bit depends on who adds (see `oido.signal.frontend`).
        """
        if self._projection is None:
            raise NotImplementedError(tr("this network's front end does its own projection"))
        return self._projection.run(magnitudes)[0]

    def run(self, patches: F32) -> Outputs:
        """Patches f32[N, frames, bands] → outputs for each, in order."""
        n, outputs = len(patches), self._network.run(patches)
        heads = (len(outputs) - 1) // 2 if self._columns else len(outputs) - 1
        scores = _side_by_side([values.reshape(n, -1) for values in outputs[:heads]])
        framewise = None
        if self._columns:
            rows = _side_by_side([v.reshape(n * self._columns, -1) for v in outputs[heads + 1 :]])
            framewise = rows.reshape(n, self._columns, -1)
        return Outputs(scores, outputs[heads].reshape(n, -1), framewise)


class WholeRuntime:
    """Runs an untouched model file, waveform in and scores out, a window at a time.

    Slower than a cut graph; but it runs any classifier, and it is what every cut graph must equal.
    heads: the outputs that give scores; embedding: the output that is one; None: dim is 0.
    framewise: the output with the scores of parts of the window, and how many parts; None: none.
    Scores that it lacks are those of the window in each part. reference: by the plain kernels that
    others, and those of microcontrollers, are compared with.
    """

    def __init__(
        self,
        model: bytes,
        heads: Sequence[int] = (0,),
        embedding: int | None = None,
        framewise: tuple[int, int] | None = None,
        *,
        reference: bool = False,
    ) -> None:
        self._graph = _Graph(model, OpResolverType.BUILTIN_REF if reference else None)
        self._heads, self._embedding, self._framewise = heads, embedding, framewise

    def run(self, patches: F32) -> Outputs:
        """Windows f32[N, samples] → outputs for each, in order."""
        shape = self._graph.input_shape
        return joined_outputs([self._window(window.reshape(shape)) for window in patches])

    def _window(self, window: F32) -> Outputs:
        values = [output.reshape(1, -1) for output in self._graph.run_as_it_is(window)]
        none = np.zeros((1, 0), np.float32)
        embedding = none if self._embedding is None else values[self._embedding]
        scores = _side_by_side([values[head] for head in self._heads])
        if self._framewise is None:
            return Outputs(scores, embedding)
        output, columns = self._framewise
        if values[output].size % columns:
            raise ModelFormatError(tr("its framewise scores are not of equal parts of the window"))
        parts = values[output].reshape(columns, -1)
        rest = np.repeat(scores[:, parts.shape[1] :], columns, axis=0)
        return Outputs(scores, embedding, np.concatenate([parts, rest], axis=1)[None])


class _Graph:
    """One interpreter, resized to the batch that comes (10 µs); quantised outputs made float."""

    def __init__(self, content: bytes, kernels: OpResolverType | None = None) -> None:
        chosen = {} if kernels is None else {"experimental_op_resolver_type": kernels}
        try:
            with _without_greeting():
                self._interpreter = Interpreter(model_content=content, num_threads=1, **chosen)
                self._interpreter.allocate_tensors()
        except (RuntimeError, ValueError) as error:
            raise ModelFormatError(
                tr("LiteRT cannot run this model ({error})", error=error)
            ) from error
        self._input: int = self._interpreter.get_input_details()[0]["index"]
        self.input_shape: tuple[int, ...] = tuple(self._interpreter.get_input_details()[0]["shape"])
        self._outputs: list[Any] = self._interpreter.get_output_details()
        self._batch = 1

    def run(self, batch: F32) -> list[F32]:
        if len(batch) != self._batch:
            self._resize(batch.shape)
        return self.run_as_it_is(batch)

    def _resize(self, shape: tuple[int, ...]) -> None:
        self._interpreter.resize_tensor_input(self._input, shape)
        self._interpreter.allocate_tensors()
        self._batch = shape[0]

    def run_as_it_is(self, values: F32) -> list[F32]:
        try:
            self._interpreter.set_tensor(self._input, values)
            self._interpreter.invoke()
        except (RuntimeError, ValueError) as error:
            raise ModelFormatError(
                tr("LiteRT cannot run this model ({error})", error=error)
            ) from error
        return [_dequantised(self._interpreter.get_tensor(d["index"]), d) for d in self._outputs]


_greeting = threading.Lock()
"""Held for ever once LiteRT has greeted."""


@contextmanager
def _without_greeting() -> Iterator[None]:
    """Around the first interpreter of a process, which tells standard error of its delegate.

    What else is written there meanwhile comes afterwards.
    """
    if not _greeting.acquire(blocking=False):
        yield
        return
    try:
        kept = os.dup(2)
    except OSError:  # there is no standard error
        yield
        return
    with tempfile.TemporaryFile() as file:
        os.dup2(file.fileno(), 2)
        try:
            yield
        except BaseException:
            _greeting.release()  # it has greeted no one yet
            raise
        finally:
            os.dup2(kept, 2)
            os.close(kept)
            file.seek(0)
            for line in file:
                if not line.startswith(b"INFO: Created TensorFlow Lite"):
                    os.write(2, line)


def _side_by_side(scores: list[F32]) -> F32:
    return scores[0] if len(scores) == 1 else np.concatenate(scores, axis=1)


def _dequantised(values: NDArray[Any], details: Any) -> F32:
    if values.dtype == np.float32:
        return values
    scale, zero_point = details["quantization"]
    if not scale:  # float16, or numbers that are meant as they are
        return values.astype(np.float32)
    return (values.astype(np.float32) - np.float32(zero_point)) * np.float32(scale)
