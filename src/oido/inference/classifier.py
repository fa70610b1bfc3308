# SPDX-License-Identifier: Apache-2.0
"""The classifier: a model, its options, and any source of audio."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from copy import copy
from functools import partial
from typing import TYPE_CHECKING, Literal

from oido.arrays import F32
from oido.errors import ModelFormatError, OptionError
from oido.events.aggregation import Aggregator
from oido.inference.block import BATCH_WINDOWS, Block, joined_blocks
from oido.inference.detector import EventDetector
from oido.inference.live_stream import LiveQueue, LiveStream, OnEvent, OnWindow
from oido.inference.pipeline import Pipeline, PipelineOptions, WindowStream
from oido.inference.postprocess import make_postprocessors
from oido.inference.predictor import Predictor, PredictorPool, validated
from oido.inference.result import ClassificationResult, Prediction
from oido.messages import tr
from oido.models.calibration_file import Calibration, apply_calibration
from oido.models.loading import load_model
from oido.models.model import AudioModel, Precision
from oido.options import check
from oido.params import Detection, EventOptions, Hop, Selection, Windowing, available_cores
from oido.signal.decode import AudioInfo, AudioReader, AudioSource, open_audio
from oido.signal.decode.readers import stream_info
from oido.signal.mixing import Channel

if TYPE_CHECKING:
    from typing_extensions import Unpack


class AudioClassifier:
    """Tells what is heard in a recording.

        classifier = oido.AudioClassifier()
        result = classifier.classify("street.m4a")
        result.top(5); result.events(threshold=0.2)

    model: a name (`oido models list`; fetched at first use), the path of a .tflite, or a loaded
        ``AudioModel``.
    hop: seconds between windows, a multiple of 0.01 s up to 0.96 s; None is 0.48 s; "window" is a
        whole window, which takes half the work and costs events little.
    aggregation: how windows become a clip (`oido.events.aggregation`): "loudness-mean" (each by its
        loudness), "mean", "max", "top-k-mean", "confident-mean" or "power-mean". None is what the
        model says of its head, or else loudness-mean.
    max_results, score_threshold, category_allowlist, category_denylist: as in the Task Library;
        they choose which categories are reported by ``top``, ``windows`` and ``events`` alike
        (``score_threshold`` is the threshold of events that are given none of their own; of
        events, the strongest ``max_results`` stay), never what ``scores`` holds. A name that ends
        in "/" is that class and all below it in AudioSet's tree ("Animal/"), and so is a group
        that has no class of its own ("Human sounds").
    labels: "specific" tells one row for each sound, by its most specific label whose evidence
        holds, in ``events`` and ``top``; "all" tells every label by itself.
    display_names_locale: language of ``display_name``: "en" or "es". labels_file: the labels in any
        other language, one a line in the model's order (Latin_Common where the model's own are);
        they are shown, and understood beside the model's own.
    precision: "float32" runs the quantised YAMNet's weights with float activations: finer scores
        than its steps of 1/256. None is the file's own.
    rollup: give each class the highest score of its own and of the classes below it.
    head: which one is heard, by its name, of a model that has several; None is the last one, which
        is what was taught last. A result has the others too (`ClassificationResult.of_head`).
    calibration: a calibration.json that `oido calibrate` made for this model, or what is in it.
    jobs: threads that may work on one recording; None is one per core.

    A model's own score calibration makes probabilities beside the scores, and then results are
    ordered, limited and made events by those; its own thresholds are the default ones of events.
    Scores are the model's raw outputs, 0..1, and not probabilities. One classifier may be used by
    many threads, and sent to other processes (pickled). Raises ModelError or OptionError.
    """

    def __init__(
        self,
        model: str | os.PathLike[str] | AudioModel = "yamnet/classification",
        *,
        hop: Hop = None,
        aggregation: str | None = None,
        max_results: int | None = None,
        score_threshold: float | None = None,
        category_allowlist: Sequence[str] = (),
        category_denylist: Sequence[str] = (),
        labels: Literal["specific", "all"] = "specific",
        display_names_locale: str = "en",
        rollup: bool = False,
        precision: Precision | None = None,
        head: str | None = None,
        calibration: str | os.PathLike[str] | Calibration | None = None,
        labels_file: str | os.PathLike[str] | None = None,
        jobs: int | None = None,
    ) -> None:
        check("jobs", jobs)
        if aggregation is not None:
            Aggregator(aggregation)  # a wrong name is told now, not after the first recording
        selection = Selection(
            max_results, score_threshold, category_allowlist, category_denylist, labels
        )
        if not isinstance(model, AudioModel):
            model = load_model(model, precision=precision)
        elif precision not in (None, model.precision):
            raise OptionError(
                tr(
                    "the model is loaded with {precision} already; give precision to load_model",
                    precision=model.precision,
                )
            )
        self.windowing = Windowing.from_seconds(model.windows, hop)
        self.jobs = jobs or available_cores()
        self._aggregation = aggregation
        if calibration is not None:
            if not isinstance(calibration, Calibration):
                calibration = Calibration.read(calibration)
            model = apply_calibration(model, calibration)
        chosen = model.head_named(head)
        self._make_postprocessors = partial(
            make_postprocessors,
            model.heads,
            chosen,
            locale=display_names_locale,
            rolls_up=rollup,
            similarity_columns=model.similarity_columns,
            labels_file=None if labels_file is None else os.fspath(labels_file),
        )
        self._postprocessors = self._make_postprocessors(selection)
        self.postprocessor = self._postprocessors[chosen.name]
        try:
            self.model = validated(model)
            self._predictors = PredictorPool.of(self.model)
        except ModelFormatError as error:
            raise ModelFormatError(tr("{path}: {error}", path=model.path, error=error)) from error

    def __repr__(self) -> str:
        hop = self.windowing.hop_seconds
        return f"<AudioClassifier {self.model.name}: {len(self.labels)} labels, hop {hop:g} s>"

    @property
    def labels(self) -> tuple[str, ...]:
        """The classes, in the order of the score columns."""
        return self.postprocessor.labels

    def label_indices(self, names: Iterable[str]) -> list[int]:
        """The columns of these labels. Raises UnknownLabelError naming the nearest ones."""
        return self.postprocessor.label_indices(names)

    def selecting(self, selection: Selection) -> AudioClassifier:
        """The same classifier with another choice of labels; the networks are shared."""
        other = copy(self)
        other._postprocessors = self._make_postprocessors(selection)
        other.postprocessor = other._postprocessors[self.postprocessor.head.name]
        return other

    def classify(
        self, source: AudioSource, sample_rate: int | None = None, *, channel: Channel = "mix"
    ) -> ClassificationResult:
        """Hear one recording to its end.

        source: a path ("-" is standard input), an address (https://…, extra ``oido[archive]``),
            encoded bytes, a binary file object, or an array [n] or [n, channels] of int16, int32
            or float with its ``sample_rate`` in Hz; also in chunks, as a list, a generator or an
            iterator of such arrays.
        channel: "mix" (the mean of all) or a channel number from 0.

        Memory grows by 12 kB per window (at the default hop 16 MB per hour for scores, 47 MB for
        those of frames, 31 MB for embeddings); `stream` keeps it flat. Raises AudioError.
        """
        stream = self._stream(source, sample_rate, channel=channel, batch_windows=BATCH_WINDOWS)
        blocks = list(stream)
        gaps = stream.gaps_seconds
        found = (*stream.notes, *stream.sums.findings(stream.info.sample_rate_hz, gaps))
        return self.result_of(
            stream.info, stream.n_samples, stream.damaged_packets, blocks, gaps, found, channel
        )

    def result_of(
        self,
        info: AudioInfo,
        n_samples: int,
        damaged_packets: int,
        blocks: Sequence[Block],
        gaps_seconds: float = 0.0,
        findings: tuple[str, ...] = (),
        channel: Channel = "mix",
    ) -> ClassificationResult:
        """The result of a source that is over; blocks: with the scores of all heads."""
        prediction = Prediction(
            info,
            self.windowing,
            n_samples,
            joined_blocks(blocks),
            self.model.image_samples,
            self._aggregation,
            damaged_packets,
            gaps_seconds,
            findings,
            None if channel == "mix" else channel,
        )
        return ClassificationResult(prediction, self._postprocessors, self.postprocessor.head.name)

    def live(
        self,
        sample_rate: int,
        channels: int = 1,
        *,
        hop: Hop = None,
        channel: Channel = "mix",
        thresholds: Mapping[str, float] | None = None,
        **options: Unpack[EventOptions],
    ) -> LiveStream:
        """A stream that you push, chunk by chunk, in your own thread.

            with classifier.live(sample_rate=16_000) as live:
                for chunk in chunks:              # int16, int32 or float arrays of any length
                    for window in live.push(chunk):
                        print(window.start_time, window.top(1))
                    print(live.events())          # those that are over now
                windows = live.flush()            # what is left

        hop: as for `stream`; channel: as for `classify`; thresholds, options: threshold, off_ratio,
        min_duration, merge_gap and unknown, as for `ClassificationResult.events`. Scores and events
        are those of `classify`, to the last bit. Raises InvalidSamplesError or OptionError.
        """
        info = stream_info("<stream>", sample_rate, channels)
        windowing = self._windows_every(hop)
        detector = self._live_detector(windowing, Detection.of(thresholds, **options))
        reader = self.postprocessor
        pipeline = Pipeline(self.model, info, windowing, channel=channel, transform=reader.select)
        return LiveStream(pipeline, channel, self._predictors, reader, detector)

    def live_queue(
        self,
        on_window: OnWindow,
        sample_rate: int,
        channels: int = 1,
        *,
        on_event: OnEvent | None = None,
        hop: Hop = None,
        channel: Channel = "mix",
        thresholds: Mapping[str, float] | None = None,
        **options: Unpack[EventOptions],
    ) -> LiveQueue:
        """The same for those who cannot wait: ``classify_async(chunk, timestamp_ms)`` returns at
        once, and ``on_window(window, timestamp_ms)`` is called from another thread.

        As MediaPipe's audio classifier in its stream mode. on_event: gets each event that is over.
        """
        info = stream_info("<stream>", sample_rate, channels)
        for name, call in (("on_window", on_window), ("on_event", on_event or on_window)):
            if not callable(call):
                raise OptionError(
                    tr("{name} must be a function, not {call!r}", name=name, call=call)
                )
        windowing = self._windows_every(hop)
        detector = self._live_detector(windowing, Detection.of(thresholds, **options))
        return LiveQueue(
            self.model, info, channel, windowing, self.postprocessor, detector, on_window, on_event
        )

    def detector(self, detection: Detection) -> EventDetector:
        """What makes events of the blocks of a `stream`. Raises UnknownLabelError."""
        return self._live_detector(self.windowing, detection)

    def _live_detector(self, windowing: Windowing, detection: Detection) -> EventDetector:
        return self.postprocessor.detector(windowing, self.model.image_samples, detection)

    def _windows_every(self, hop: Hop) -> Windowing:
        """The classifier's own, or one with another hop in seconds."""
        return self.windowing if hop is None else Windowing.from_seconds(self.model.windows, hop)

    def log_mel(
        self, source: AudioSource, sample_rate: int | None = None, *, channel: Channel = "mix"
    ) -> F32:
        """The spectrogram that the network sees, f32[t, 64] for YAMNet: ln(mel + 0.001).

        A frame is 25 ms long, every 10 ms; zeros at the end fill the last window. With `classify`'s
        scores and embeddings it makes the three outputs of YAMNet on TF-Hub. All of it is kept in
        memory (92 MB an hour). Raises OptionError for a model without such frames.
        """
        predictor = Predictor.of(self.model)
        return predictor.frames(self.stream(source, sample_rate, channel=channel).waveform())

    def stream(
        self,
        source: AudioSource | AudioReader,
        sample_rate: int | None = None,
        *,
        hop: Hop = None,
        channel: Channel = "mix",
        jobs: int | None = None,
        batch_windows: int = BATCH_WINDOWS,
    ) -> WindowStream:
        """The same recording as blocks of windows, in order, in flat memory.

        source: as for `classify`, or an opened `AudioReader`, such as a microphone. Scores are
        those of the classifier's head. ``jobs`` replaces the classifier's own for this recording,
        and ``hop``, in seconds.
        batch_windows: that are predicted together; 1 gives each window as soon as its last sample
        is there, and costs about twice the time.
        """
        check("jobs", jobs)
        check("top", batch_windows, "batch_windows")
        return self._stream(
            source,
            sample_rate,
            hop,
            jobs,
            channel=channel,
            transform=self.postprocessor.select,
            batch_windows=batch_windows,
        )

    def _stream(
        self,
        source: AudioSource | AudioReader,
        sample_rate: int | None,
        hop: Hop = None,
        jobs: int | None = None,
        **options: Unpack[PipelineOptions],
    ) -> WindowStream:
        windowing = self._windows_every(hop)
        reader = source if isinstance(source, AudioReader) else open_audio(source, sample_rate)
        options["measures_loudness"] = True  # whoever reads the blocks may aggregate them
        return WindowStream(
            reader,
            Pipeline(self.model, reader.info, windowing, **options),
            self._predictors,
            workers=jobs or self.jobs,
            adapts_hop=options["batch_windows"] == 1,
        )
