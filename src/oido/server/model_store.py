# SPDX-License-Identifier: Apache-2.0
"""The models and calibrations that a server has, and streams run by them in its own process."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import lru_cache
from typing import Any

from oido.errors import ModelNotFoundError, OptionError
from oido.inference.classifier import AudioClassifier
from oido.inference.postprocess import HeadPostprocessor, make_postprocessors
from oido.inference.scheduler import BatchScheduler
from oido.messages import tr
from oido.models.calibration_file import Calibration, apply_calibration
from oido.models.labels import labels_from
from oido.models.loading import load_model
from oido.models.model import AudioModel, Precision
from oido.params import Selection
from oido.server.settings import Settings

_KEPT_POSTPROCESSORS = 16
"""To make one costs as much as a window; most clients send the same options again."""


def load_configured_model(
    source: str, precision: Precision | None, calibrations: Sequence[str]
) -> tuple[AudioModel, bool]:
    """A model by name or path, and whether one of these calibrations was made for it.

    calibrations: paths of calibration.json files, for this model or for others. Raises ModelError,
    or OptionError for a file that is none.
    """
    model = load_model(source, precision=precision)
    for path in calibrations:
        calibration = Calibration.read(path)
        if _is_for(calibration, model):
            return apply_calibration(model, calibration), True
    return model, False


def require_fitting(models: Sequence[AudioModel], calibrations: Sequence[str]) -> None:
    """Raise OptionError for a calibration that was made for none of the models."""
    for path in calibrations:
        calibration = Calibration.read(path)
        if not any(_is_for(calibration, model) for model in models):
            names = ", ".join(model.name for model in models)
            raise OptionError(
                tr(
                    "calibration {path} was made for {model} in {precision} (SHA-256 "
                    "{model_sha256}…), and this server has {names}; calibrate this "
                    "one: oido calibrate",
                    path=path,
                    model=calibration.model,
                    precision=calibration.precision,
                    model_sha256=calibration.model_sha256[:12],
                    names=names,
                )
            )


def _labels_file_of(model: AudioModel, paths: Sequence[str]) -> str | None:
    """The first of these files that has the model's labels."""
    for path in paths:
        with suppress(OptionError):
            labels_from(path, model.labels)
            return path
    return None


def _is_for(calibration: Calibration, model: AudioModel) -> bool:
    return (calibration.model_sha256, calibration.precision) == (model.sha256, model.precision)


class ServedModel:
    """One model: what is known of it, and streams of it.

    source: the name or path that it was loaded by, which is what workers load it by. name: how
    requests call it. hub: what hears all its streams. labels_file: of its labels in another
    language, None if there is none.
    """

    def __init__(
        self, source: str, model: AudioModel, threads: int, labels_file: str | None = None
    ) -> None:
        self.source, self._labels_file = source, labels_file
        self.name = model.name
        # Checks a model that was never run before, and builds ensembles.
        classifier = AudioClassifier(model, jobs=1)
        self.model = classifier.model
        self.hub = BatchScheduler(classifier.model, threads)
        self._postprocessors = lru_cache(_KEPT_POSTPROCESSORS)(self._new_postprocessor)

    def labels_file(self, head: str | None) -> str | None:
        """That of a head: the file is of the default one's labels."""
        is_default = head in (None, self.model.head.name)
        return self._labels_file if is_default else None

    def postprocessor(
        self, selection: Selection, *, locale: str, head: str | None = None, rolls_up: bool = False
    ) -> HeadPostprocessor:
        """The postprocessor of one head. Raises OptionError, which names near labels."""
        return self._postprocessors(selection, locale, head, rolls_up)

    def _new_postprocessor(
        self, selection: Selection, locale: str, head: str | None, rolls_up: bool
    ) -> HeadPostprocessor:
        chosen = self.model.head_named(head)
        postprocessors = make_postprocessors(
            self.model.heads,
            chosen,
            selection,
            locale=locale,
            rolls_up=rolls_up,
            similarity_columns=self.model.similarity_columns,
            labels_file=self.labels_file(head),
        )
        return postprocessors[chosen.name]

    def facts(self, with_labels: bool = False) -> dict[str, Any]:
        """Its entry in ``GET /v1/models``."""
        windows, head = self.model.windows, self.model.head
        rate = windows.sample_rate_hz
        facts: dict[str, Any] = {
            "name": self.name,
            "summary": self.model.summary,
            "licence": self.model.licence,
            "attribution": self.model.attribution,
            "sha256": self.model.sha256,
            "precision": self.model.precision,
            "sample_rate": rate,
            "window": windows.window_samples / rate,
            "hop": windows.hop_samples / rate,
            "calibrated": head.calibration is not None,
            "heads": [entry.name for entry in self.model.heads],
            "classes": len(head.labels),
        }
        return facts | {"labels": list(head.labels)} if with_labels else facts


class ModelStore:
    """All models of a server. Raises ModelError, or OptionError for two of one name."""

    def __init__(self, settings: Settings) -> None:
        self._models: dict[str, ServedModel] = {}
        precision, calibrations = settings.precision, settings.calibrations
        loaded = [load_configured_model(m, precision, calibrations)[0] for m in settings.models]
        require_fitting(loaded, calibrations)
        for path in settings.labels_files:
            if not any(_labels_file_of(model, [path]) for model in loaded):
                labels_from(path, loaded[0].labels)  # raises
        for source, model in zip(settings.models, loaded):
            labels_file = _labels_file_of(model, settings.labels_files)
            served = ServedModel(source, model, settings.workers, labels_file)
            if served.name in self._models and model.card is None:
                served.name = model.path.stem  # as a calibrated copy has the name of the first
            if served.name in self._models:
                raise OptionError(tr("two of the models are called {name}", name=served.name))
            self._models[served.name] = served

    def __iter__(self) -> Iterator[ServedModel]:
        return iter(self._models.values())

    def find(self, name: str | None) -> ServedModel:
        """A model by its name; None: the first. Raises ModelNotFoundError."""
        if name is None:
            return next(iter(self._models.values()))
        if name not in self._models:
            known = ", ".join(self._models)
            raise ModelNotFoundError(
                tr("this server has no model {name!r}, only {known}", name=name[:100], known=known)
            )
        return self._models[name]

    def close(self) -> None:
        """End the threads of all."""
        for served in self._models.values():
            served.hub.close()
