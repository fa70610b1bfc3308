# SPDX-License-Identifier: Apache-2.0
"""`oido.__all__` is the API: this list changes only on purpose."""

from __future__ import annotations

import ast
import importlib
from pathlib import Path

import numpy as np
import pytest

import oido
from tests.training.taught_sounds import make_sounds

PUBLIC = [
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

LISTING = {
    *("__init__.py", "results/__init__.py", "signal/decode/__init__.py", "torch/__init__.py")
}


def test_the_public_names_are_these():
    assert oido.__all__ == PUBLIC
    assert dir(oido) == sorted(PUBLIC)


@pytest.mark.parametrize("name", PUBLIC)
def test_each_name_is_there_and_stays_the_same(name):
    value = getattr(oido, name)
    assert value is getattr(oido, name)
    if name != "__version__":
        assert value.__name__ == name
        assert value.__doc__


def test_star_import_gives_exactly_these():
    names: dict[str, object] = {}
    exec("from oido import *", names)
    assert sorted(n for n in names if n != "__builtins__") == sorted(PUBLIC)


@pytest.mark.parametrize("name", ["Classifier", "_HOME_", "audioclassifier", "numpy"])
def test_other_names_are_attribute_errors(name):
    with pytest.raises(AttributeError, match=name):
        getattr(oido, name)


def test_every_object_has_a_short_repr(classifier, tmp_path_factory):
    """What a notebook shows of it: no address, and no list of all that is in it."""
    pytest.importorskip("sklearn", reason="needs oido[train]")
    folder = tmp_path_factory.mktemp("reprs")
    street = Path(__file__).parents[1] / "examples" / "street.flac"
    data = oido.Dataset.load(make_sounds(folder / "sounds", each=6))
    taught = oido.train(data)
    result = classifier.classify(street)
    objects = [
        *(classifier, result, taught, taught.report, data, data.clips[0], data.check()),
        *(oido.AsyncAudioClassifier(classifier), classifier.stream(street), classifier.model),
        *(result.top(1)[0], result.events()[0], result.windows()[0], result.rows()[0]),
        *(classifier.live(16_000), classifier.live(16_000).push(np.zeros(16_000))[0]),
        *(oido.AudioEmbedder(classifier.model), taught.head, result.info),
        oido.AudioEmbedder(classifier.model).embed(street),
        next(iter(classifier.stream(street))),
        oido.export(classifier.model, folder / "model.tflite"),
    ]
    shown = {type(each).__name__: repr(each) for each in objects}
    classes = {name for name in PUBLIC if isinstance(getattr(oido, name), type)}
    errors = {name for name in classes if issubclass(getattr(oido, name), Exception)}
    assert classes - errors <= set(shown)
    for name, text in shown.items():
        assert " object at 0x" not in text, name
        assert "\n" not in text
        assert len(text.replace(str(folder), "").replace(str(street.parent), "")) < 200, name


def test_the_version_is_one_number_in_one_place():
    from oido import _version

    assert oido.__version__ == _version.__version__
    assert oido.__version__.split(".")[0].isdecimal()


def test_type_checkers_see_the_same_names():
    """The imports under TYPE_CHECKING are those of __all__."""
    tree = ast.parse(Path(oido.__file__).read_text(encoding="utf-8"))
    guarded = [n for n in tree.body if isinstance(n, ast.If)]
    seen = {
        alias.name for block in guarded for node in ast.walk(block) for alias in _imported(node)
    }
    assert seen == set(PUBLIC) - {"__version__"}


def _imported(node):
    return node.names if isinstance(node, ast.ImportFrom) else []


def test_only_the_doors_of_the_package_list_their_names():
    """Elsewhere an underscore says what is a module's own, and a list would only repeat it."""
    root = Path(oido.__file__).parent
    listing = {
        str(path.relative_to(root))
        for path in root.rglob("*.py")
        for node in ast.parse(path.read_text(encoding="utf-8")).body
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "__all__"
    }
    assert listing == LISTING


@pytest.mark.parametrize("file", sorted(LISTING))
def test_a_door_has_the_names_it_lists(file):
    if file.startswith("torch/"):
        pytest.importorskip("torch")
    name = file.removesuffix(".py").removesuffix("__init__").strip("/").replace("/", ".")
    door = importlib.import_module(f"oido.{name}".rstrip("."))
    for public in door.__all__:
        assert hasattr(door, public)
