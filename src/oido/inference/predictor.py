# SPDX-License-Identifier: Apache-2.0
"""A model made ready to run: for each kind of network, what makes its patches and what runs it.

Segments of different sources can be run in one batch (`BatchPredictor`). Windows of one source
overlap: at YAMNet's own hop, half of a window's frames are those of the one before. `SharedFrames`
remembers a source's last patch, so that only what is new is computed, for all in one call.
"""

from __future__ import annotations

import queue
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from itertools import accumulate, groupby
from typing import Any

import numpy as np
from numpy.typing import NDArray

from oido.arrays import F32
from oido.errors import ModelFormatError, OptionError
from oido.heads import Head
from oido.inference.block import WorkItem
from oido.messages import tr
from oido.models.model import (
    AudioModel,
    EnsembleNetwork,
    FixedPointNetwork,
    LogMelNetwork,
    MnNetwork,
    WholeNetwork,
)
from oido.models.tflite.framewise import with_framewise
from oido.params import FrontEndParams
from oido.runtime.base import Outputs, Runtime, joined_outputs
from oido.runtime.litert import LiteRtRuntime, WholeRuntime
from oido.signal.fixed_point import FixedPointFrontEnd
from oido.signal.framing import Segment, cut_windows
from oido.signal.frontend import FrontEnd, MnFrontEnd

_SHORTCUT_TOLERANCE = 1 / 256
"""A step of quantised scores; a float head may differ by roundings, another front end does more."""


_UNIT_SLACK = 1 / 64
"""By which quantised scores may miss 0 and 1."""

PatchMaker = Callable[[F32, int], Any]
"""Waveform f32[(N − 1) · hop + window] and hop in samples → a patch for each window, [N, …], of
float32, or for students of int8."""

FrameMaker = Callable[[F32], F32]
"""Waveform f32[n] → log-mel frames f32[t, bands]."""


class Predictor:
    """Patches and network of one model; not shared between threads.

    run: outputs of patches f32[N, …], N ≥ 1.
    """

    def __init__(
        self, patches: PatchMaker, runtime: Runtime, frames: FrameMaker | None = None
    ) -> None:
        self.patches, self._frames = patches, frames
        self.run = DistinctRuntime(runtime).run

    @classmethod
    def of(cls, model: AudioModel, *, framewise: bool = False) -> Predictor:
        """The predictor for this model's kind of network. Raises ModelFormatError.

        framewise: with the scores of each patch's parts, where the network can give them.
        """
        network = model.network
        if isinstance(network, LogMelNetwork):
            graph = network.graph
            extended = with_framewise(graph.network) if framewise else None
            runtime = LiteRtRuntime(graph.projection, *(extended or (graph.network,)))
            bins = (graph.first_bin, graph.last_bin)
            front_end = FrontEnd(network.front_end, graph.window, bins, runtime.project)
            return cls(front_end.patches, runtime, front_end.frames)
        if isinstance(network, MnNetwork):
            patches = MnFrontEnd(network.front_end).patches
            return cls(patches, LiteRtRuntime(None, network.content, network.columns))
        if isinstance(network, FixedPointNetwork):
            students = FixedPointFrontEnd(network.front_end)
            return cls(students.patches, WholeRuntime(network.content, reference=True))
        if isinstance(network, EnsembleNetwork):
            raise OptionError(
                tr("{name} is two networks; choose one of them for this", name=model.name)
            )
        length = model.windows.window_samples  # such a network takes the waveform: as it is cut
        whole = whole_runtime(network, framewise=framewise)
        return cls(lambda waveform, hop: cut_windows(waveform, length, hop), whole)

    def predict(self, waveform: F32, hop_samples: int) -> Outputs:
        """Outputs of every window in f32[(N − 1) · hop + window]."""
        return self.run(self.patches(waveform, hop_samples))

    def frames(self, waveform: F32) -> F32:
        """The log-mel frames of f32[n]: f32[t, bands]. Raises OptionError where there are none."""
        if self._frames is None:
            raise OptionError(tr("this model has no log-mel frames that windows share"))
        return self._frames(waveform)


class DistinctRuntime:
    """A runtime that gives each patch of a batch that equals another the outputs of that one.

    To look costs a thousandth of what a patch costs.
    """

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime

    def run(self, patches: F32) -> Outputs:
        """Patches f32[N, …], N ≥ 1 → outputs for each, in order."""
        sources = _first_equal(patches)
        if sources is None:
            return self._runtime.run(patches)
        distinct, rows = np.unique(sources, return_inverse=True)
        return self._runtime.run(patches[distinct]).rows(rows)


def _first_equal(patches: F32) -> NDArray[np.intp] | None:
    """For each patch, the number of the first that is equal, intp[N]; None: all differ."""
    sums = patches.sum(axis=tuple(range(1, patches.ndim))).tolist()
    if len(set(sums)) == len(sums):
        return None
    candidates: dict[float, list[int]] = {}
    sources = []
    for number, total in enumerate(sums):
        known = candidates.setdefault(total, [])
        source = next((k for k in known if np.array_equal(patches[k], patches[number])), number)
        if source == number:
            known.append(number)
        sources.append(source)
    return np.array(sources, np.intp)


def framewise_columns(model: AudioModel) -> int:
    """Of each window, whose scores its network gives beside the window's own; 0: it gives none."""
    network = networks_of(model)[0].network
    if isinstance(network, MnNetwork):
        return network.columns
    extended = None
    if isinstance(network, LogMelNetwork):
        extended = with_framewise(network.graph.network)
    if isinstance(network, WholeNetwork) and network.framewise is not None:
        return network.framewise[1]
    return 0 if extended is None else extended[1]


def whole_runtime(network: WholeNetwork, *, framewise: bool = False) -> WholeRuntime:
    """What runs a network as it is; with the scores of parts of a window, where it gives them."""
    parts = network.framewise if framewise else None
    return WholeRuntime(network.content, network.heads, network.embedding, parts)


def validated(model: AudioModel) -> AudioModel:
    """A model that is not published, tried on a window of noise; others are as they are.

    If its graph, cut behind the front end, gives other scores than the whole file, the front end is
    not one that oido knows, and the model is run as a whole from then on. Raises ModelFormatError
    if it does not give one finite score for each label.
    """
    is_published = model.card is not None and model.card.sha256 != ""
    if is_published or isinstance(model.network, EnsembleNetwork):
        return model
    noise = np.random.default_rng(0).uniform(-0.3, 0.3, model.windows.window_samples)
    window = noise.astype(np.float32)
    scores = Predictor.of(model).predict(window, model.windows.hop_samples).scores
    classes = sum(len(head.labels) for head in model.heads) + len(model.novelties)
    network = model.network
    # The file of a taught model is gone, once it was loaded and tried.
    if isinstance(network, LogMelNetwork) and network.is_cut and model.path.exists():
        whole = WholeNetwork(model.path.read_bytes(), network.graph.heads)
        reference = whole_runtime(whole).run(window[None]).scores
        same_shape = scores.shape == reference.shape
        if not same_shape or not np.abs(scores - reference).max() <= _SHORTCUT_TOLERANCE:
            model, scores = replace(model, network=whole), reference
    if scores.shape != (1, classes) or not np.isfinite(scores).all():
        raise ModelFormatError(tr("it does not give one score for each of its labels"))
    _require_unit(model.heads, scores[0])
    return model


def _require_unit(heads: Sequence[Head], scores: F32) -> None:
    """Raise ModelFormatError if scores of a window are not of 0..1, and nothing says what else."""
    end = 0
    for head in heads:
        start, end = end, end + len(head.labels)
        low, high = float(scores[start:end].min()), float(scores[start:end].max())
        if head.calibration is None and not -_UNIT_SLACK <= low <= high <= 1 + _UNIT_SLACK:
            raise ModelFormatError(
                tr(
                    "its {name} are not from 0 to 1 ({low:.3g} to {high:.3g} of "
                    "noise): say what they are by --scores of oido models annotate, "
                    "such as --scores logits",
                    name=head.name,
                    low=low,
                    high=high,
                )
            )


def networks_of(model: AudioModel) -> tuple[AudioModel, ...]:
    """The models that a pipeline's branches are for: the model itself, or an ensemble's two."""
    network = model.network
    if isinstance(network, EnsembleNetwork):
        return network.first, network.second
    return (model,)


class PredictorPool:
    """As many predictors of each network as there are threads that predict at once."""

    def __init__(self, networks: Sequence[Callable[[], Predictor]]) -> None:
        """networks: of each branch, what makes a predictor. Raises ModelFormatError."""
        self._makers = tuple(networks)
        self._idle: list[queue.SimpleQueue[Predictor]] = []
        for make in self._makers:
            idle: queue.SimpleQueue[Predictor] = queue.SimpleQueue()
            idle.put(make())  # made now, so that a model that cannot be run is refused at once
            self._idle.append(idle)

    @classmethod
    def of(cls, model: AudioModel) -> PredictorPool:
        """For a model of one network or two. Raises ModelFormatError."""
        return cls([partial(Predictor.of, net, framewise=True) for net in networks_of(model)])

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickled, so that a classifier can be sent to other processes, it is made anew there."""
        return PredictorPool, (self._makers,)

    def predict(self, item: WorkItem) -> Outputs:
        """The outputs of an item's windows; may be called by many threads."""
        idle = self._idle[item.branch]
        try:
            predictor = idle.get_nowait()
        except queue.Empty:
            predictor = self._makers[item.branch]()
        try:
            return predictor.predict(item.segment.waveform, item.segment.hop_samples)
        finally:
            idle.put(predictor)


class SharedFrames:
    """Makes the patches of single windows of many sources; not shared between threads.

    frames: waveform f32[n] → frames f32[t, bands], each from its own samples alone.
    """

    def __init__(self, frames: FrameMaker, params: FrontEndParams) -> None:
        self._frames, self._params = frames, params

    def patches(self, items: Sequence[WorkItem]) -> F32:
        """f32[N, patch_frames, bands]; the works of a source come in order."""
        p = self._params
        counts = self._new_frames(items)
        # A tail of t frames is (t − 1) · hop + window samples; the next begins at a whole hop.
        overhang = -(-(p.window_samples - p.hop_samples) // p.hop_samples)
        starts = [0, *accumulate(count + overhang for count in counts)]
        joined = np.zeros(starts[-1] * p.hop_samples, np.float32)
        for item, count, start in zip(items, counts, starts):
            tail = item.segment.waveform[(p.patch_frames - count) * p.hop_samples :]
            joined[start * p.hop_samples :][: len(tail)] = tail
        frames = self._frames(joined)  # f32[t, bands]
        patches = np.empty((len(items), p.patch_frames, frames.shape[1]), np.float32)
        for item, count, start, patch in zip(items, counts, starts, patches):
            kept = p.patch_frames - count
            if kept:
                patch[:kept] = item.memory.patch[count:]
            patch[kept:] = frames[start : start + count]
            # A copy, so that a source that falls silent does not keep the whole batch alive.
            item.memory.patch, item.memory.window = patch.copy(), item.segment.first_window
        return patches

    def _new_frames(self, items: Sequence[WorkItem]) -> list[int]:
        """How many of each window's frames its source has not computed yet."""
        p, last, counts = self._params, dict[int, int](), []  # by source, its last window
        for item in items:
            key, window = id(item.memory), item.segment.first_window
            is_next = last.get(key, item.memory.window) == window - 1
            new = min(item.segment.hop_samples // p.hop_samples, p.patch_frames)
            counts.append(new if is_next else p.patch_frames)
            last[key] = window
        return counts


_MOST_WINDOWS = 16
"""Per run of the network: what they need stays in the processor's cache."""


class BatchPredictor:
    """A predictor for many sources; not shared between threads.

    Single windows are put one behind the other, and their patches made as those of one recording
    whose hop is a window's length made up to whole steps: each window's scores are what they would
    be alone, and what a call costs is paid once. Where neighbouring windows share frames, their
    patches are made with less work. For a model of one network. Raises ModelFormatError.
    """

    def __init__(self, model: AudioModel) -> None:
        self._predictor, windows = Predictor.of(model, framewise=True), model.windows
        self._window = windows.window_samples
        self._apart = -(-self._window // windows.step_samples) * windows.step_samples
        self._frames: SharedFrames | None = None
        if isinstance(model.network, LogMelNetwork):
            self._frames = SharedFrames(self._predictor.frames, model.network.front_end)

    def predict(self, items: Sequence[WorkItem]) -> list[Outputs]:
        """Outputs of each item's segment, in order."""
        segments = [item.segment for item in items]
        parts = self._patches(items)
        patches = parts[0] if len(parts) == 1 else np.concatenate(parts)
        runs = [
            self._predictor.run(patches[start : start + _MOST_WINDOWS])
            for start in range(0, len(patches), _MOST_WINDOWS)
        ]
        outputs = joined_outputs(runs)
        ends = np.cumsum([segment.n_windows for segment in segments])
        return [outputs.part(end - segment.n_windows, end) for segment, end in zip(segments, ends)]

    def _patches(self, items: Sequence[WorkItem]) -> list[F32]:
        patches = []
        for is_single, neighbours in groupby(items, lambda item: item.segment.n_windows == 1):
            group = list(neighbours)
            segments = [item.segment for item in group]
            if not is_single:
                patches += [self._predictor.patches(s.waveform, s.hop_samples) for s in segments]
            elif self._frames is not None:
                patches.append(self._frames.patches(group))
            else:
                patches.append(self._predictor.patches(self._joined(segments), self._apart))
        return patches

    def _joined(self, singles: list[Segment]) -> F32:
        """Their windows with zeros between: f32[(N − 1) · apart + window]."""
        waveform = np.zeros((len(singles) - 1) * self._apart + self._window, np.float32)
        for number, segment in enumerate(singles):
            start = number * self._apart
            waveform[start : start + self._window] = segment.waveform
        return waveform
