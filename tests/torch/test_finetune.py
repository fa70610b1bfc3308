# SPDX-License-Identifier: Apache-2.0
"""Fine-tuning: it learns, changes only what may change, and repeats itself."""

from __future__ import annotations

import csv
import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile
import soxr

import oido.torch
from oido.errors import InvalidSamplesError, OptionError
from oido.params import WindowParams
from oido.torch.clips import AugmentOptions, LabelledSounds
from tests.models.networks.test_mn04 import random_state
from tests.signal.sounds import noise
from tests.torch.toys import WINDOWS, changed, clip_probabilities, states, toy

torch = pytest.importorskip("torch", reason="needs PyTorch: pip install 'oido[torch]'")
from oido.torch import finetune as finetune_module  # noqa: E402
from oido.torch.base import EvidenceHead  # noqa: E402
from oido.torch.finetune import FinetuneOptions, FittedHeads, finetune  # noqa: E402

SECOND = WindowParams(32_000, 32_000, 320, 16_000, 32_000, repeat_pause_samples=6_400)
QUICK = FinetuneOptions(stages=(1, 2), epochs=2, head_epochs=4, views=1, windows_per_clip=2)
REAL = FinetuneOptions(stages=(1, 4), epochs=4, views=1, windows_per_clip=4, rate=5e-4)


def real_sounds(folder, folds, per_class):
    """Clips of four classes of ESC-10, at 16 kHz."""
    with open(folder / "esc10" / "clips.csv", encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["fold"] in folds]
    labels = sorted({row["label"] for row in rows})[:4]
    chosen = [row for label in labels for row in rows if row["label"] == label]
    kept = [
        r
        for n, r in enumerate(chosen)
        if [x["label"] for x in chosen[:n]].count(r["label"]) < per_class
    ]
    waveforms = []
    for row in kept:
        samples, rate = soundfile.read(
            folder / "esc10" / row["file"], dtype="float32", always_2d=True
        )
        waveforms.append(soxr.resample(samples.mean(axis=1), rate, 16_000))
    targets = np.eye(4, dtype=np.float32)[[labels.index(row["label"]) for row in kept]]
    groups = np.unique([row["group"] for row in kept], return_inverse=True)[1]
    return LabelledSounds(waveforms, targets, groups)


@pytest.fixture(scope="module")
def learnt(model, shared_audio):
    """A real job: 32 clips of four classes, judged by 16 of other folds."""
    sounds, others = real_sounds(shared_audio, "123", 8), real_sounds(shared_audio, "45", 4)
    network = oido.torch.YamNet.from_pretrained(model.path)
    before, told = states(network), []
    result = finetune(
        network, sounds, WINDOWS, validation=others, options=REAL, progress=told.append
    )
    return SimpleNamespace(result=result, before=before, told=told, others=others)


def test_a_real_job_is_learnt(learnt, tell):
    result = learnt.result
    head = [r for r in result.history if r.stages == 1]
    deeper = [r for r in result.history if r.stages == 4]
    frozen = min(r.validation_loss for r in head)
    tell(
        f"4 classes, 32 clips: validation loss {head[0].validation_loss:.3f}, head alone "
        f"{frozen:.3f}, fine-tuned {result.best.validation_loss:.3f}, accuracy "
        f"{result.best.validation_accuracy:.3f}; {result.cpu_seconds:.0f} s"
    )
    assert head[-1].loss < 0.7 * head[0].loss
    assert deeper
    assert result.best.validation_loss <= frozen
    assert result.best.validation_accuracy >= 0.75, "chance is 0.25"
    assert result.stopped == "finished"
    assert tuple(learnt.told) == result.history
    assert [r.epoch for r in result.history] == list(range(1, len(result.history) + 1))
    assert result.validation.size == 0, "validation clips were given"


def test_the_module_has_the_best_epochs_weights(learnt):
    result, others = learnt.result, learnt.others
    probabilities = clip_probabilities(result.module, others)
    loss = -np.log((probabilities * others.targets).sum(axis=1)).mean()
    assert loss == pytest.approx(result.best.validation_loss, abs=2e-3)
    accuracy = (probabilities.argmax(axis=1) == others.targets.argmax(axis=1)).mean()
    assert accuracy == result.best.validation_accuracy
    assert result.best == min(result.history, key=lambda r: r.validation_loss)
    assert not any(m.training for m in result.module.modules())


def test_only_the_last_stages_changed(learnt):
    names = list(learnt.result.module.stages())
    moved = changed(learnt.before, learnt.result.module)
    assert moved <= set(names[-4:])
    assert moved == set(names[-learnt.result.best.stages :])


def test_the_head_that_is_given_back_is_the_modules(learnt):
    ((weights, bias),) = learnt.result.head
    embeddings = np.random.default_rng(0).uniform(0, 1, (5, 1024)).astype(np.float32)
    with torch.inference_mode():
        logits = learnt.result.module.head(torch.from_numpy(embeddings)).numpy()
    np.testing.assert_allclose(embeddings @ weights.T + bias, logits, atol=1e-4)


def fitted_heads(network, sounds, held):
    """By least squares, on the clips that are not held out and on all."""

    def fitted(clips):
        waveforms = np.stack([sounds.waveforms[n][:15_600] for n in clips])
        with torch.inference_mode():
            rows = network.evidence(torch.from_numpy(waveforms))[:, 0].numpy()
        weights = np.linalg.pinv(np.sqrt(rows), rcond=1e-2) @ (6 * sounds.targets[clips] - 3)
        layer = (weights.T.astype(np.float32), np.zeros(sounds.classes, np.float32))
        return EvidenceHead([layer], square_root=True)

    return FittedHeads(fitted(np.flatnonzero(~held)), fitted(np.arange(len(sounds))))


@pytest.fixture
def from_heads(network):
    """A job that begins with fitted heads, and runs with other options where a test says so."""
    sounds = toy()
    held = np.arange(len(sounds)) >= 8
    heads = fitted_heads(network, sounds, held)
    options = dataclasses.replace(QUICK, stages=(1, 3), epochs=3, rate=3e-3)

    def run(copies=1, **changed):
        result = finetune(
            network,
            sounds.subset(np.flatnonzero(~held)),
            WINDOWS,
            validation=sounds.subset(np.tile(np.flatnonzero(held), copies)),
            heads=heads,
            options=dataclasses.replace(options, **changed),
        )
        return result, heads

    return run


def test_it_begins_with_a_fitted_head_and_tries_what_is_between(from_heads, network):
    before = states(network)
    result, heads = from_heads(copies=16)
    assert [r.stages for r in result.history] == [1, 3, 3, 3, 3, 3, 3]
    assert [r.share for r in result.history] == [0.0, 1.0, 1.0, 1.0, 0.25, 0.5, 0.75]
    assert [r.loss is None for r in result.history] == [True, *[False] * 3, *[True] * 3]
    assert result.best == min(result.history, key=lambda r: r.validation_loss)
    assert result.best.validation_loss < result.history[0].validation_loss
    assert {"layer13", "layer14"} <= changed(before, network) <= {"layer13", "layer14", "head"}
    assert all(torch.isfinite(p).all() for p in network.parameters())
    assert heads.on_all.dense[0].weight.shape == (2, 1536), "heads are left as they were passed"


def test_where_nothing_is_gained_it_is_the_head_on_all_clips(from_heads, network):
    """Not only nearly: the same weights, and the network as it was."""
    before = states(network)
    result, heads = from_heads(rate=10.0)
    assert result.best.share == 0.0
    (weights, bias), (layer,) = result.head[0], heads.on_all.dense
    np.testing.assert_allclose(weights, layer.weight.detach().numpy(), rtol=0, atol=1e-6)
    np.testing.assert_allclose(bias, layer.bias.detach().numpy(), rtol=0, atol=1e-6)
    assert changed(before, network) <= {"head"}


def test_a_few_clips_decide_nothing(from_heads, monkeypatch):
    """What learnt is kept where its gain is beyond one standard error of it."""
    head, better = np.array([0.9, 0.4, 0.6, 0.5]), np.array([0.4, 0.2, 0.2, 0.5])
    mixed = head - [0.1, 0.1, -0.1, -0.1] - 0.05
    noisy = head - [0.5, -0.1, -0.1, -0.1]
    for learnt, kept in ((better, 1.0), (mixed, 0.0), (noisy, 0.0), (head, 0.0)):
        left = [head, learnt, *[head + 1] * 5]
        monkeypatch.setattr(
            finetune_module,
            "_evaluate_clips",
            lambda *_, left=left: finetune_module._Verdict(left.pop(0), 0.9, 1.0),
        )
        result, _ = from_heads()
        assert not left
        assert result.best.share == kept
        assert [r.best for r in result.history] == [True, kept == 1.0, *[False] * 5]
        assert result.best == result.history[int(kept)]


@pytest.mark.parametrize("share", [0.25, 0.75, 1.0])
def test_what_changes_is_done_to_the_head_on_all_clips(from_heads, network, monkeypatch, share):
    """A place on the way is between the weights, and the head of all clips is moved as far."""
    start = {n: v.clone() for n, v in network.state_dict().items()}
    kept, note = {}, finetune_module._Run._note

    def only(self, stages, loss, windows, at):
        kept[at] = {n: v.clone() for n, v in self._learner.network.state_dict().items()}
        note(self, stages, loss, windows, at)
        kept_here = self._best[at]
        loss = 0.0 if at == share else 9.0
        self._best[at] = kept_here._replace(
            report=kept_here.report._replace(validation_loss=loss),
            losses=np.full_like(kept_here.losses, loss),
        )

    monkeypatch.setattr(finetune_module._Run, "_note", only)
    result, heads = from_heads(epochs=1)
    slope = result.best.slope / result.history[0].slope
    name = "layers.layer14.pointwise_conv.weight"
    expected = start[name] + share * (kept[1.0][name] - start[name])
    torch.testing.assert_close(network.state_dict()[name], expected)
    assert not torch.equal(expected, start[name])
    begun, learnt = kept[0.0]["taught.layers.0.weight"], kept[1.0]["taught.layers.0.weight"]
    torch.testing.assert_close(begun, heads.without_validation.dense[0].weight.detach())
    whole = heads.on_all.dense[0].weight.detach()
    torch.testing.assert_close(
        torch.from_numpy(result.head[0][0]), slope * (whole + share * (learnt - begun))
    )


def test_mn04_learns_with_its_statistics_kept():
    module = oido.torch.Mn04.from_state(random_state())
    before = states(module)
    statistics = {n: v for n, v in module.weights().items() if "running" in n}
    options = dataclasses.replace(QUICK, stages=(1, 3), epochs=1, views=0, rate=1e-5)
    result = finetune(module, toy(32_000), SECOND, options=options)
    assert [r.stages for r in result.history] == [1] * 4 + [3] * 4
    assert [r.share for r in result.history] == [0.0] * 4 + [1.0, 0.25, 0.5, 0.75]
    assert changed(before, module) <= {"features.15", "features.16", "head"}
    assert [w.shape for w, _ in result.head] == [(512, 384), (2, 512)]
    after = module.weights()
    assert all(np.array_equal(values, after[name]) for name, values in statistics.items())


def test_several_labels_and_unknown_ones(network):
    sounds = toy(multi_label=True)
    sounds.targets[0, 1] = np.nan
    options = dataclasses.replace(QUICK, head_epochs=30)
    result = finetune(network, sounds, WINDOWS, options=options)
    assert result.multi_label
    with torch.inference_mode():
        scores = torch.sigmoid(
            network.logits(torch.from_numpy(np.stack(sounds.waveforms))[:, :15_600])
        )
    known = ~np.isnan(sounds.targets)
    right = ((scores[:, 0].numpy() > 0.5) == (sounds.targets > 0))[known].mean()
    assert right > 0.8
    assert np.isfinite([r.loss for r in result.history if r.share in {0.0, 1.0}]).all()


def test_a_part_is_held_out_by_source(network):
    sounds = dataclasses.replace(toy(), groups=np.arange(12) // 4)
    result = finetune(network, sounds, WINDOWS, options=dataclasses.replace(QUICK, epochs=1))
    held = result.validation
    assert 0 < len(held) < 12
    assert sounds.groups is not None
    assert not set(sounds.groups[held]) & set(np.delete(sounds.groups, held))


def test_the_seed_decides_everything(model):
    def weights(seed):
        network = oido.torch.YamNet.from_pretrained(model.path)
        options = dataclasses.replace(QUICK, seed=seed, epochs=1)
        dice, threads = torch.get_rng_state(), torch.get_num_threads()
        finetune(network, toy(), WINDOWS, backgrounds=[noise(20_000)], options=options)
        assert torch.equal(dice, torch.get_rng_state()), "the caller's dice are not thrown"
        assert torch.get_num_threads() == threads
        return network.weights()

    first, again, other = weights(1), weights(1), weights(2)
    np.testing.assert_array_equal(first.dense, again.dense)
    np.testing.assert_array_equal(first.dense_bias, again.dense_bias)
    for a, b in zip(first.convolutions, again.convolutions):
        np.testing.assert_array_equal(a.weights, b.weights)
    assert not np.array_equal(first.dense, other.dense)


def test_silence_says_nothing_of_a_class(network):
    """A clip that is mostly silence does not make silence its class."""
    sounds = toy()
    quiet = [np.pad(w, (0, 60_000)) if n % 2 else w for n, w in enumerate(sounds.waveforms)]
    padded = dataclasses.replace(sounds, waveforms=quiet)
    options = dataclasses.replace(QUICK, head_epochs=40, max_minutes=0.0, windows_per_clip=12)
    finetune(network, padded, WINDOWS, options=options)
    with torch.inference_mode():
        scores = torch.softmax(network.logits(torch.zeros(1, 15_600)), dim=-1).flatten()
    assert float(scores.max()) < 0.7, "undecided, of two classes"


def test_what_cannot_be_trained_is_told(network):
    with pytest.raises(OptionError, match="15 stages"):
        finetune(network, toy(), WINDOWS, options=FinetuneOptions(stages=(1, 16)))
    with pytest.raises(OptionError, match="16000 Hz"):
        finetune(network, toy(), SECOND)
    other = dataclasses.replace(toy(), targets=np.eye(3, dtype=np.float32)[[0, 1] * 6])
    with pytest.raises(OptionError, match="the same classes"):
        finetune(network, toy(), WINDOWS, validation=other)
    bad = toy()
    bad.waveforms[3][5] = np.nan
    with pytest.raises(InvalidSamplesError, match="NaN"):
        finetune(network, bad, WINDOWS, options=QUICK)
    with pytest.raises(OptionError, match="smaller rate"):
        finetune(network, toy(), WINDOWS, options=dataclasses.replace(QUICK, head_rate=1e30))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"stages": ()}, "begin with 1"),
        ({"stages": (2, 4)}, "begin with 1"),
        ({"stages": (1, 4, 4)}, "begin with 1"),
        ({"epochs": 0}, "1 or more"),
        ({"threads": 0}, "1 or more"),
        ({"rate": 0.0}, "above 0"),
        ({"rate_decay": 1.5}, "1 at most"),
        ({"smoothing": 1.0}, "below 1"),
        ({"max_minutes": float("nan")}, "0 or more"),
        ({"views": -1}, "0 or more"),
    ],
)
def test_options_are_checked(options, message):
    with pytest.raises(OptionError, match=message):
        FinetuneOptions(**options)


def test_options_may_be_changed_alone():
    assert FinetuneOptions(augment=AugmentOptions(mixup=0.0)).augment.noise == 0.5
