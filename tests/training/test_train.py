# SPDX-License-Identifier: Apache-2.0
"""Teaching from end to end: on made sounds everywhere, on real ones where they are."""

from __future__ import annotations

import csv
import os
import shutil
from pathlib import Path

import numpy as np
import pytest

import oido
from oido.arrays import F32
from oido.models.loading import load_model
from oido.models.model import LogMelNetwork, Notes, WholeNetwork
from oido.models.tflite.evidence import with_evidence
from oido.models.tflite.taught_head import read_taught_head
from oido.training.train import TrainingResult, train
from tests.training.minutes import SOUND_SECONDS, make_minutes
from tests.training.taught_sounds import KINDS, make_sounds

MODELS = Path(os.environ.get("OIDO_TEST_MODELS", Path(__file__).parents[3] / "shared" / "models"))


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> object:
    """Embeddings of tests stay out of the user's cache; models are read from there."""
    before = os.environ.get("OIDO_MODEL_PATH", "")
    patch = pytest.MonkeyPatch()
    models = oido.load_model("yamnet/classification").path
    folder = tmp_path_factory.mktemp("model")
    shutil.copy(models, folder / "yamnet.tflite")
    patch.setenv("OIDO_MODEL_PATH", os.pathsep.join(filter(None, [str(folder), before])))
    patch.setenv("OIDO_CACHE", str(tmp_path_factory.mktemp("cache")))
    yield
    patch.undo()


@pytest.fixture(scope="module")
def sounds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_sounds(tmp_path_factory.mktemp("data") / "sounds")


@pytest.fixture(scope="module")
def taught(sounds: Path) -> TrainingResult:
    return train(oido.Dataset.load(sounds))


@pytest.fixture(scope="module")
def exported(taught: TrainingResult, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("exported") / "sounds.tflite"
    taught.export(path)
    return path


def test_progress_goes_on_to_the_end_of_the_report(sounds: Path) -> None:
    embedded: list[tuple[int, int]] = []
    fitted: list[tuple[int, int]] = []
    taught = train(
        oido.Dataset.load(sounds),
        progress=lambda *step: embedded.append(step),
        fit_progress=lambda *step: fitted.append(step),
    )
    assert embedded[-1] == (18, 18)
    assert fitted[0][0] == 0
    assert fitted[-1][0] < fitted[-1][1]
    _ = taught.report
    (total,) = {total for _, total in fitted}
    assert [done for done, _ in fitted] == list(range(total + 1))


def test_a_taught_classifier_hears_and_leaves_no_file(
    taught: TrainingResult, sounds: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    classifier = taught.classifier()
    assert list(tmp_path.iterdir()) == []
    one = next((sounds / KINDS[0]).iterdir())
    result = classifier.classify(one)
    assert result.top(1)[0].label == KINDS[0]
    assert list(tmp_path.iterdir()) == []
    again = oido.AudioClassifier(classifier.model).classify(one)  # its file is gone
    np.testing.assert_array_equal(again.scores, result.scores)
    embedder = oido.AudioEmbedder(classifier.model)
    np.testing.assert_array_equal(embedder.embed(one).embeddings, result.embeddings)


def test_it_learns_and_says_how_well(taught: TrainingResult) -> None:
    assert taught.classes == KINDS
    assert taught.report.to_dict()["clip_accuracy"] >= 0.9
    assert taught.judged is not None
    assert len(taught.judged) == 18
    assert taught.judged.windows is not None
    assert taught.judged.windows.times is not None
    assert taught.judged.windows.times[:2].tolist() == [[0.0, 0.975], [0.48, 1.455]]
    assert taught.report.to_dict()["window_accuracy"] >= 0.8
    assert set(taught.thresholds) == set(KINDS)
    assert all(0.1 <= value <= 0.9 for value in taught.thresholds.values())
    assert taught.selection.table[0].name == "linear"
    names = [name for name, _, _ in taught.baselines]
    assert "majority class" in names
    assert any("Model Maker" in name for name in names)


def test_the_file_names_new_sounds_of_the_same_kinds(exported: Path, tmp_path: Path) -> None:
    classifier = oido.AudioClassifier(exported, jobs=1)
    assert isinstance(classifier.model.network, LogMelNetwork)
    new = make_sounds(tmp_path / "new", each=3, seconds=3.0, seed=77)
    right = 0
    for kind in KINDS:
        for path in sorted((new / kind).iterdir()):
            result = classifier.classify(path)
            right += result.top(1)[0].label == kind
            assert result.probabilities is not None
            np.testing.assert_allclose(result.probabilities, result.scores, atol=1e-6)
            assert result.embeddings.shape[1] == 1024
    assert right >= 8


def test_the_file_says_what_was_judged(exported: Path, taught: TrainingResult) -> None:
    """In oido's own path too: embeddings, the head, its aggregation."""
    classifier = oido.AudioClassifier(exported, jobs=1)
    widened = oido.AudioClassifier(with_evidence(taught.base_model), jobs=1)
    assert classifier.postprocessor.aggregation == "confident-mean"
    for clip in taught.embedded.kept[::5]:
        result = classifier.classify(clip.path)
        evidence = widened.classify(clip.path).embeddings
        expected = taught.head.scores(evidence)
        np.testing.assert_allclose(result.scores, expected, atol=1e-5)
        assert result.similarities is not None
        nearness = taught.novelty.similarities(evidence)
        np.testing.assert_allclose(result.similarities, nearness, atol=1e-4)


def test_an_unknown_sound_is_told(exported: Path) -> None:
    classifier = oido.AudioClassifier(exported, jobs=1)
    street = Path(__file__).parents[2] / "examples" / "street.flac"
    with_speech = classifier.classify(street)
    assert with_speech.is_unknown is True
    assert oido.AudioClassifier(jobs=1).classify(street).is_unknown is None


def test_the_same_data_and_seed_give_the_same_bytes(
    sounds: Path, exported: Path, tmp_path: Path
) -> None:
    moved = tmp_path / "elsewhere"
    shutil.copytree(sounds, moved)
    train(moved, cache=False).export(tmp_path / "sounds.tflite")
    assert (tmp_path / "sounds.tflite").read_bytes() == exported.read_bytes()


def test_changed_copies_are_learnt_from_and_never_judged(sounds: Path) -> None:
    plain, more = (train(oido.Dataset.load(sounds), augment=copies) for copies in (0, 2))
    assert len(more.taught) == len(plain.taught) == 18
    assert (more.taught.embeddings == plain.taught.embeddings).all()
    assert (more.head.layers[0].weights != plain.head.layers[0].weights).any()
    assert more.report.to_dict()["clip_accuracy"] >= 0.9


def test_the_base_head_may_stay(taught: TrainingResult, tmp_path: Path) -> None:
    path = tmp_path / "both.tflite"
    taught.export(path, keep_base=True, unknown=False)
    both = oido.AudioClassifier(path, jobs=1)
    assert [head.name for head in both.model.heads] == ["base", "scores"]
    clip = taught.embedded.kept[0].path
    result = both.classify(clip)
    assert result.labels == KINDS
    plain = oido.AudioClassifier(jobs=1).classify(clip)
    assert (result.of_head("base").scores == plain.scores).all()
    assert (result.of_head("base").clip_scores == plain.clip_scores).all()
    assert result.is_unknown is None


def test_notes_say_how_it_was_made(exported: Path) -> None:
    from oido.models.tflite.editor import TfliteGraph
    from oido.models.tflite.metadata import read_metadata

    content = exported.read_bytes()
    raw = TfliteGraph(content).metadata()
    assert raw is not None
    notes: Notes = read_metadata(raw, content).notes()
    assert notes.training["base"] == "yamnet/classification"
    assert notes.training["clips"] == 18
    assert str(exported.parent) not in str(notes.training)


def test_the_second_time_nothing_is_heard_anew(
    sounds: Path, taught: TrainingResult, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: object) -> None:
        raise AssertionError("a recording was decoded")

    monkeypatch.setattr("oido.datasets.waveforms.open_audio", never)
    again = train(oido.Dataset.load(sounds))
    assert (again.embedded.clips.embeddings == taught.embedded.clips.embeddings).all()


def test_one_bad_recording_is_left_out_and_named(sounds: Path, tmp_path: Path) -> None:
    data = tmp_path / "sounds"
    shutil.copytree(sounds, data)
    (data / "beep" / "broken.wav").write_bytes(b"RIFF nothing")
    (data / "beep" / "empty.wav").write_bytes(b"")
    result = train(oido.Dataset.load(data))
    assert sorted(Path(item.name).name for item in result.left_out) == ["broken.wav", "empty.wav"]
    assert len(result.taught) == 18


def test_background_is_a_class_of_its_own_and_no_event(sounds: Path, tmp_path: Path) -> None:
    data = tmp_path / "sounds"
    shutil.copytree(sounds / "beep", data / "beep")
    shutil.copytree(sounds / "hiss", data / "noise")
    result = train(oido.Dataset.load(data))
    assert result.classes == ("beep", "background")
    assert result.report.to_dict()["clip_accuracy"] >= 0.9
    result.export(tmp_path / "beep.tflite")
    heard = oido.AudioClassifier(tmp_path / "beep.tflite", jobs=1)
    assert heard.classify(data / "noise" / "hiss-0.wav").top(1)[0].label == "background"


def test_several_labels_at_once(sounds: Path, tmp_path: Path) -> None:
    data = tmp_path / "sounds"
    shutil.copytree(sounds / "beep", data / "beep")
    shutil.copytree(sounds / "hiss", data / "hiss")
    rate = 16_000
    from tests.signal.decode.wav_bytes import wav

    dice = np.random.default_rng(5)
    for number in range(5):
        time = np.arange(2 * rate) / rate
        tone = 0.4 * np.sin(2 * np.pi * dice.uniform(600, 2_000) * time)
        both = np.clip(tone + dice.normal(0, 0.1, len(time)), -1, 1)
        (data / "beep,hiss").mkdir(exist_ok=True)
        (data / "beep,hiss" / f"{number}.wav").write_bytes(wav(both, rate))
    result = train(oido.Dataset.load(data))
    assert result.taught.multi_label
    result.export(tmp_path / "both.tflite")
    priors = read_taught_head(load_model(tmp_path / "both.tflite")).training["priors"]
    assert all(0.5 < prior < 0.8 for prior in priors)  # of 17 clips, 11 have each
    heard = oido.AudioClassifier(tmp_path / "both.tflite", jobs=1)
    assert heard.postprocessor.aggregation == "power-mean"
    scores = heard.classify(data / "beep,hiss" / "0.wav").clip_scores
    assert (scores > 0.5).all()
    alone = heard.classify(data / "hiss" / "hiss-1.wav").clip_scores
    assert alone[1] > 0.5 > alone[0]


def test_given_train_and_test_parts_are_kept(tmp_path: Path) -> None:
    make_sounds(tmp_path / "data" / "train", each=5)
    make_sounds(tmp_path / "data" / "test", each=2, seed=9)
    result = train(oido.Dataset.load(tmp_path / "data"))
    assert len(result.taught) == 15
    assert result.judged is not None
    assert len(result.judged) == 6
    assert all("/test/" in clip.path.replace(os.sep, "/") for clip in result.judged.clips)


def test_it_can_be_had_in_onnx(taught: TrainingResult, tmp_path: Path) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    taught.export(tmp_path / "sounds.onnx")
    session = onnxruntime.InferenceSession(
        tmp_path / "sounds.onnx", providers=["CPUExecutionProvider"]
    )
    assert [output.name for output in session.get_outputs()] == ["scores", "similarity"]
    clip = taught.embedded.kept[3]
    classifier = taught.classifier(jobs=1)
    waveform = classifier.stream(clip.path).waveform()[:15_600]
    scores, _ = session.run(None, {session.get_inputs()[0].name: waveform})
    assert KINDS[int(scores.argmax())] == clip.labels[0]


@pytest.mark.parametrize(
    ("kinds", "each", "sentence"),
    [(("beep",), 4, "only class"), (("noise",), 4, "no clip has an event")],
)
def test_what_cannot_be_learnt_from_is_told(
    kinds: tuple[str, ...], each: int, sentence: str, tmp_path: Path
) -> None:
    source = make_sounds(tmp_path / "all", each=each)
    for kind in kinds:
        shutil.copytree(source / ("beep" if kind == "beep" else "hiss"), tmp_path / "data" / kind)
    with pytest.raises(oido.OptionError, match=sentence):
        train(oido.Dataset.load(tmp_path / "data"))


def test_where_nothing_can_be_heard_the_first_recording_is_named() -> None:
    gone = [oido.Clip(f"{name}.wav", (name,)) for name in ("owl", "wren")]
    with pytest.raises(oido.OptionError, match=r"the 2 clips .*first, owl\.wav: no such file"):
        train(oido.Dataset.from_clips(gone))


def test_wrong_numbers_are_refused_before_anything_is_heard(sounds: Path) -> None:
    with pytest.raises(oido.OptionError, match="jobs must be 1 or more, not 0"):
        train(sounds, jobs=0)
    with pytest.raises(oido.OptionError, match="augment must be 0 or more copies, not -1"):
        train(sounds, augment=-1)


def test_a_class_of_which_nothing_can_be_heard_is_told(sounds: Path, tmp_path: Path) -> None:
    data = tmp_path / "sounds"
    shutil.copytree(sounds / "beep", data / "beep")
    (data / "owl").mkdir()
    (data / "owl" / "a.wav").write_bytes(b"RIFF nothing")
    with pytest.raises(oido.OptionError, match="no recording of 'owl' is left"):
        train(oido.Dataset.load(data))


def test_one_clip_a_class_teaches_but_nothing_is_known(sounds: Path, tmp_path: Path) -> None:
    data = tmp_path / "sounds"
    for kind in KINDS:
        (data / kind).mkdir(parents=True)
        shutil.copy(sounds / kind / f"{kind}-0.wav", data / kind)
    result = train(oido.Dataset.load(data))
    assert result.judged is None
    with pytest.raises(oido.OptionError, match="two sources"):
        print(result.report)
    result.export(tmp_path / "few.tflite")
    heard = oido.AudioClassifier(tmp_path / "few.tflite", jobs=1)
    assert heard.classify(data / "hiss" / "hiss-0.wav").top(1)[0].label == "hiss"
    assert heard.classify(data / "hiss" / "hiss-0.wav").probabilities is None


def test_one_class_of_one_source_does_not_keep_others_from_being_judged(
    sounds: Path, tmp_path: Path
) -> None:
    data = tmp_path / "sounds"
    shutil.copytree(sounds, data)
    only, *others = sorted((data / "beep").iterdir())
    for path in others:
        path.unlink()
    result = train(data)
    assert result.judged is not None
    assert {label for clip in result.judged.clips for label in clip.labels} == {"click", "hiss"}
    assert "no clips of 'beep' to judge by" in str(result.report)
    assert "All recordings of 'beep' are of one source" in str(result.report)
    assert result.thresholds["beep"] == 0.5
    assert result.selection.slope != 1.0, "the others calibrate it"
    assert result.classifier().classify(only).top(1)[0].label == "beep"


def test_a_wrong_file_name_is_told_before_anything_is_written(
    taught: TrainingResult, tmp_path: Path
) -> None:
    with pytest.raises(oido.OptionError, match=r"name it so"):
        taught.export(tmp_path / "sounds.h5")
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(oido.OutputError):
        taught.export(tmp_path / "file" / "sounds.tflite")
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_on_mn04_too(sounds: Path, tmp_path: Path) -> None:
    path = MODELS / "mn04_as_mAP_432.pt"
    if not path.exists():
        pytest.skip(f"{path.name} is not here; OIDO_TEST_MODELS names its folder")
    result = train(oido.Dataset.load(sounds), model=path)
    assert result.report.to_dict()["clip_accuracy"] >= 0.9
    parity = result.export(tmp_path / "mn.tflite")
    assert parity.largest_difference < 1e-3
    heard = oido.AudioClassifier(tmp_path / "mn.tflite", jobs=1)
    assert isinstance(heard.model.network, WholeNetwork)
    assert heard.windowing.hop_samples == 160_000
    clip = sounds / "beep" / "beep-1.wav"
    result_of_file = heard.classify(clip)
    assert result_of_file.top(1)[0].label == "beep"
    evidence = oido.AudioEmbedder(with_evidence(load_model(path))).embed(clip).embeddings
    expected = result.head.scores(evidence)
    np.testing.assert_allclose(result_of_file.scores, expected, atol=1e-3)


@pytest.mark.slow
def test_applause_finger_snaps_and_typing(shared_audio: Path, tmp_path: Path) -> None:
    """The three events of the mission, on real recordings."""
    result = train(oido.Dataset.load(shared_audio / "three-events"))
    assert len(result.taught) == 34
    assert result.report.to_dict()["clip_accuracy"] >= 0.85
    result.export(tmp_path / "events.tflite")
    heard = oido.AudioClassifier(tmp_path / "events.tflite", jobs=1)
    right = [heard.classify(c.path).top(1)[0].label == c.labels[0] for c in result.embedded.kept]
    assert np.mean(right) >= 0.9


@pytest.mark.slow
@pytest.mark.parametrize(("model", "least"), [("yamnet/classification", 0.975), ("mn04", 0.98)])
def test_esc10_by_its_own_folds(shared_audio: Path, model: str, least: float) -> None:
    if model == "mn04":
        path = MODELS / "mn04_as_mAP_432.pt"
        if not path.exists():
            pytest.skip(f"{path.name} is not here; OIDO_TEST_MODELS names its folder")
        model = str(path)
    result = train(oido.Dataset.load(shared_audio / "esc10"), model=model)
    figures = result.report.to_dict()
    assert figures["clip_accuracy"] >= least
    assert figures["mAP"] >= 0.98


def room(level_db: float, slope: float) -> F32:
    """Twenty seconds of a quiet room, other than what training makes, in 16 bits."""
    random = np.random.default_rng(99)
    n = 16_000 * 20
    shape = np.maximum(np.fft.rfftfreq(n, 1 / 16_000), 50.0) ** (slope / 2)
    noise = np.fft.irfft(np.fft.rfft(random.standard_normal(n)) / shape, n)
    noise *= 10 ** (level_db / 20) / np.sqrt((noise**2).mean())
    return np.asarray(np.round(noise * 32_768) / 32_768, np.float32)


@pytest.mark.slow
@pytest.mark.parametrize("beside", ["background", "sneeze"])
def test_a_quiet_room_is_no_clock(tmp_path: Path, shared_audio: Path, beside: str) -> None:
    """A third of what is recorded of a clock is the quiet between its ticks."""
    with open(shared_audio / "esc10" / "clips.csv", encoding="utf-8") as file:
        esc10 = list(csv.DictReader(file))
    clocks = [row for row in esc10 if row["label"] == "Clock tick"]
    with open(shared_audio / "everyday" / "clips.csv", encoding="utf-8") as file:
        others = [row for row in csv.DictReader(file) if "lock" not in row["file"]][:60]
    sneezes = [row for row in esc10 if row["label"] == "Person sneeze" and row["fold"] in "123"]
    data = tmp_path / "data"
    for label, name, rows in (
        ("tick", "esc10", [row for row in clocks if row["fold"] in "123"]),
        (beside, "esc10", sneezes) if beside == "sneeze" else (beside, "everyday", others),
    ):
        (data / label).mkdir(parents=True)
        for number, row in enumerate(rows):
            path = shared_audio / name / row["file"]
            (data / label / f"{number}-{path.name}").symlink_to(path)
    classifier = oido.train(data, cache=False).classifier()
    for level, slope in ((-82.0, 0.3), (-76.0, 1.2), (-70.0, 0.6), (-62.0, 1.7), (-56.0, 1.0)):
        result = classifier.classify(room(level, slope), 16_000)
        seconds = sum(event.end_time - event.start_time for event in result.events())
        assert seconds < 1, (level, slope)
    found = []
    for row in clocks:
        if row["fold"] in "45":
            events = classifier.classify(shared_audio / "esc10" / row["file"]).events()
            found.append("tick" in {event.label for event in events})
    assert np.mean(found) >= (0.9 if beside == "background" else 0.7)


@pytest.mark.slow
def test_minutes_with_a_label_somewhere_in_them(tmp_path: Path) -> None:
    make_minutes(tmp_path / "minutes")
    data = oido.Dataset.load(tmp_path / "minutes")
    result = train(data, cache=False)
    assert result.taught.weak is not None
    assert result.taught.weak.all()
    assert result.taught.multi_label
    assert "18 recordings are long" in str(result.report)
    result.export(tmp_path / "weak.tflite")
    classifier = oido.AudioClassifier(tmp_path / "weak.tflite")
    right, false = 0, 0
    held_out = make_minutes(tmp_path / "others", each=2, seed=1)
    for path, (kind, start) in held_out.items():
        for event in classifier.classify(path).events():
            near = event.start_time < start + SOUND_SECONDS and event.end_time > start
            right += near and event.label == kind and event.end_time - event.start_time < 6
            false += not (near and event.label == kind)
    assert right >= len(held_out) - 1
    assert false <= len(held_out)
    throughout = train(data, weak_from=float("inf"))
    assert throughout.taught.weak is None
    assert not throughout.taught.multi_label


def test_regions_of_long_recordings_are_not_weak(tmp_path: Path) -> None:
    made = make_minutes(tmp_path / "minutes", each=2)
    rows = [f"{path},{start:.2f},{start + 2:.2f},{kind}" for path, (kind, start) in made.items()]
    table = tmp_path / "regions.csv"
    table.write_text("\n".join(["file,start_time,end_time,label", *rows]))
    assert train(oido.Dataset.load(table), weak_from=0).taught.weak is None


def test_one_class_of_long_recordings_beside_background(tmp_path: Path) -> None:
    made = make_minutes(tmp_path / "minutes", each=4)
    for path, (kind, _) in made.items():
        if kind != "click":
            folder = tmp_path / "data" / "background"
            folder.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, folder / f"{kind}-of-{path.stem}.wav")
    shutil.copytree(tmp_path / "minutes" / "click", tmp_path / "data" / "click")
    result = train(oido.Dataset.load(tmp_path / "data", each_is_a_source=True))
    assert result.classes == ("click",)
    result.export(tmp_path / "one.tflite")
    assert oido.AudioClassifier(tmp_path / "one.tflite").labels == ("click",)


def test_a_length_that_is_none_is_refused(sounds: Path) -> None:
    with pytest.raises(oido.OptionError, match="weak_from must be 0 or more"):
        train(oido.Dataset.load(sounds), weak_from=float("nan"))


def test_a_head_on_embeddings_alone_can_be_put_on_those_of_an_archive(
    sounds: Path, tmp_path: Path
) -> None:
    result = train(oido.Dataset.load(sounds), embeddings_only=True)
    assert result.head.inputs == 1024
    path = tmp_path / "sounds.tflite"
    assert result.export(path).largest_difference < 1e-3
    head = read_taught_head(load_model(path))
    assert head.labels == KINDS
    assert head.training["base_sha256"] == load_model("yamnet/classification").sha256
    one = next((sounds / KINDS[0]).iterdir())
    embeddings = oido.AudioEmbedder("yamnet/classification").embed(one).embeddings
    kept = embeddings.astype(np.float16).astype(np.float32)  # as an archive has them
    scores = oido.AudioClassifier(path, jobs=1).classify(one).scores
    np.testing.assert_allclose(head.scores(kept), scores, atol=2e-3)
