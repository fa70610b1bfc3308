# SPDX-License-Identifier: Apache-2.0
"""oido: hear what is in a recording.

    import oido

    classifier = oido.AudioClassifier()
    result = classifier.classify("street.m4a")
    result.top(5)                     # what the whole recording is about
    result.events(threshold=0.2)      # what is heard, from when to when

Importing this package loads nothing else; each name below is imported when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from oido._version import __version__

if TYPE_CHECKING:
    from oido.datasets.clip import Clip
    from oido.datasets.dataset import Dataset
    from oido.errors import (
        AudioError,
        AudioNotFoundError,
        CorruptAudioError,
        DamagedResultsError,
        EmptyAudioError,
        InvalidSamplesError,
        MissingExtraError,
        ModelError,
        ModelFetchError,
        ModelFormatError,
        ModelHashError,
        ModelNotFoundError,
        OidoError,
        OptionError,
        OutputError,
        UnknownFormatError,
        UnknownLabelError,
    )
    from oido.evaluation.evaluate import evaluate
    from oido.evaluation.report import Report
    from oido.inference.async_classifier import AsyncAudioClassifier
    from oido.inference.classifier import AudioClassifier
    from oido.inference.embedder import AudioEmbedder, EmbeddingResult, cosine_similarity
    from oido.inference.export import ExportReport, export
    from oido.inference.result import ClassificationResult, WindowCategories
    from oido.models.loading import load_model
    from oido.training.train import TrainingResult, train
    from oido.types import Category, Event, Row

_HOME = {
    "AsyncAudioClassifier": "oido.inference.async_classifier",
    "AudioClassifier": "oido.inference.classifier",
    "AudioEmbedder": "oido.inference.embedder",
    "Category": "oido.types",
    "ClassificationResult": "oido.inference.result",
    "Clip": "oido.datasets.clip",
    "Dataset": "oido.datasets.dataset",
    "EmbeddingResult": "oido.inference.embedder",
    "Event": "oido.types",
    "ExportReport": "oido.inference.export",
    "Report": "oido.evaluation.report",
    "Row": "oido.types",
    "TrainingResult": "oido.training.train",
    "WindowCategories": "oido.inference.result",
    "cosine_similarity": "oido.inference.embedder",
    "evaluate": "oido.evaluation.evaluate",
    "export": "oido.inference.export",
    "load_model": "oido.models.loading",
    "train": "oido.training.train",
}

__all__ = [
    "AsyncAudioClassifier",
    "AudioClassifier",
    "AudioEmbedder",
    "AudioError",
    "AudioNotFoundError",
    "Category",
    "ClassificationResult",
    "Clip",
    "CorruptAudioError",
    "DamagedResultsError",
    "Dataset",
    "EmbeddingResult",
    "EmptyAudioError",
    "Event",
    "ExportReport",
    "InvalidSamplesError",
    "MissingExtraError",
    "ModelError",
    "ModelFetchError",
    "ModelFormatError",
    "ModelHashError",
    "ModelNotFoundError",
    "OidoError",
    "OptionError",
    "OutputError",
    "Report",
    "Row",
    "TrainingResult",
    "UnknownFormatError",
    "UnknownLabelError",
    "WindowCategories",
    "__version__",
    "cosine_similarity",
    "evaluate",
    "export",
    "load_model",
    "train",
]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'oido' has no attribute {name!r}")
    value = getattr(import_module(_HOME.get(name, "oido.errors")), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
