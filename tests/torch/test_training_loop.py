# SPDX-License-Identifier: Apache-2.0
"""Training further: the loss falls, and only what is not frozen changes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import oido.torch
from oido.errors import OptionError
from tests.models.networks.test_mn04 import random_state
from tests.signal.sounds import noise, sine
from tests.signal.test_frontend_mn04 import models_folder

torch = pytest.importorskip("torch", reason="needs PyTorch: pip install 'oido[torch]'")
from oido.torch.training_loop import FinetuneOptions, Learner  # noqa: E402
from tests.torch.toys import WINDOWS  # noqa: E402
from tests.torch.toys import toy as toy_sounds  # noqa: E402

Mn04 = oido.torch.Mn04
YamNet = oido.torch.YamNet


@pytest.fixture(params=["yamnet", "mn04"])
def module(request, model):
    torch.manual_seed(0)
    if request.param == "yamnet":
        return YamNet.from_pretrained(model.path)
    return Mn04.from_state(random_state())


def toy(module):
    """Waveforms f32[4, n] and targets f32[4, 2]: tones are class 0, noise is class 1."""
    rate = module.sample_rate_hz
    tones = [sine(hz, rate, rate, 0.3).astype(np.float32) for hz in (440.0, 900.0)]
    waveforms = np.stack([*tones, noise(rate), noise(rate, seed=1, level=0.03)])
    return torch.from_numpy(waveforms), torch.tensor([[1.0, 0.0]] * 2 + [[0.0, 1.0]] * 2)


def copies(module):
    """Everything by stage: parameters, and the statistics of batch norms."""
    return {
        name: [values.clone() for values in stage.state_dict().values()]
        for name, stage in module.stages().items()
    }


def loss_of(module, waveforms, targets):
    logits = module.logits(waveforms)
    if logits.ndim == 3:  # of a second and some, every patch
        targets = targets[:, None].expand_as(logits)
    return torch.nn.functional.binary_cross_entropy_with_logits(logits, targets)


def settled_loss(module, waveforms, targets):
    """Without dropout."""
    module.eval()
    with torch.inference_mode():
        return float(loss_of(module, waveforms, targets))


def ten_steps(module, waveforms, targets):
    """Of Adam, with batch norms that keep their statistics: these would be of four waveforms."""
    learning = [p for p in module.parameters() if p.requires_grad]
    optimizer = torch.optim.Adam(learning, lr=1e-3)
    module.keep_statistics = True
    module.train()
    for _ in range(10):
        optimizer.zero_grad()
        loss_of(module, waveforms, targets).backward()
        optimizer.step()
    module.eval()


@pytest.mark.parametrize("last", [1, 3, "all"])
def test_ten_steps_lower_the_loss_and_change_only_the_unfrozen(module, last):
    module.new_head(2)
    names = list(module.stages())
    learn = names if last == "all" else list(module.unfreeze_last(last))
    assert learn == names[-len(learn) :]
    waveforms, targets = toy(module)
    if isinstance(module, Mn04):  # of random weights, which hardly tell sounds apart
        targets = targets[:1].expand(4, 2)
    before = copies(module)
    first = settled_loss(module, waveforms, targets)
    ten_steps(module, waveforms, targets)
    assert settled_loss(module, waveforms, targets) < 0.8 * first
    changed = {
        name
        for name, values in copies(module).items()
        if not all(torch.equal(a, b) for a, b in zip(before[name], values))
    }
    assert changed == set(learn)


def test_mn04_learns_to_tell_tones_from_noise(tell):
    torch.manual_seed(0)
    module = Mn04.from_pretrained(models_folder() / "mn04_as_mAP_432.pt")
    module.new_head(2)
    module.unfreeze_last(3)
    waveforms, targets = toy(module)
    first = settled_loss(module, waveforms, targets)
    ten_steps(module, waveforms, targets)
    last = settled_loss(module, waveforms, targets)
    tell(f"mn04, ten steps of its last three stages: loss {first:.3f}, then {last:.3f}")
    assert last < 0.5 * first
    with torch.inference_mode():
        assert torch.equal(module(waveforms).scores > 0.5, targets > 0.5)


def test_gradients_reach_the_waveform(module):
    waveforms, targets = toy(module)
    module.new_head(2)
    waveforms.requires_grad_()
    loss_of(module, waveforms, targets).backward()
    assert torch.isfinite(waveforms.grad).all()
    assert float(waveforms.grad.abs().max()) > 0


def test_stages_hold_every_parameter_once(module):
    held = [id(p) for stage in module.stages().values() for p in stage.parameters()]
    assert sorted(held) == sorted(id(p) for p in module.parameters())
    assert list(module.stages())[-1] == "head"


def test_freezing(module):
    count = len(module.stages())
    assert count == (15 if isinstance(module, YamNet) else 18)

    def learning():
        return {
            n for n, s in module.stages().items() if all(p.requires_grad for p in s.parameters())
        }

    assert len(learning()) == count, "a module that was just loaded can be trained"
    module.freeze()
    assert not any(p.requires_grad for p in module.parameters())
    assert module.unfreeze_last(1) == ("head",)
    assert learning() == {"head"}
    module.unfreeze()
    assert len(learning()) == count
    for wrong in (-1, count + 1):
        with pytest.raises(OptionError, match=f"{count} stages"):
            module.unfreeze_last(wrong)


def test_frozen_stages_stay_in_evaluation_mode(module):
    assert not any(m.training for m in module.modules())
    module.unfreeze_last(2)
    module.train()
    modes = {n: {m.training for m in s.modules()} for n, s in module.stages().items()}
    *frozen, last_but_one, head = modes.values()
    assert all(mode == {False} for mode in frozen)
    assert last_but_one == head == {True}
    module.unfreeze_last(1)
    modes = [{m.training for m in s.modules()} for s in module.stages().values()]
    assert modes[-2:] == [{False}, {True}]
    assert not any(m.training for m in module.eval().modules())


@pytest.mark.parametrize("keep", [False, True])
def test_statistics_may_be_kept(keep):
    module = Mn04.from_state(random_state())
    before = module.weights()
    module.unfreeze_last(3)
    module.keep_statistics = keep
    module.train()
    waveforms, targets = toy(module)
    module.new_head(2)
    loss_of(module, waveforms, targets).backward()
    changed = {n for n, v in module.weights().items() if not np.array_equal(v, before.get(n))}
    moved = {n.rpartition(".")[0] for n in changed if n.endswith(("running_mean", "running_var"))}
    gathered = {n for n in before if n.startswith(("features.15.", "features.16."))}
    gathered = {n.rpartition(".")[0] for n in gathered if n.endswith("running_var")}
    assert len(gathered) == 4
    assert moved == (set() if keep else gathered)


def test_a_new_head_is_in_the_networks_mode(module):
    module.new_head(2)
    assert not any(m.training for m in module.modules())
    assert all(p.requires_grad for p in module.stages()["head"].parameters())


def test_a_head_without_classes_is_refused(module):
    with pytest.raises(OptionError, match="at least 1 class"):
        module.new_head(0)


def test_what_is_given_back_does_not_change_with_training(module):
    given = module.weights()
    kept = given.dense_bias if isinstance(module, YamNet) else given["classifier.5.bias"]
    before = kept.copy()
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(1.0)
    np.testing.assert_array_equal(kept, before)


def learner(module, scores=None, **options):
    rate = module.sample_rate_hz
    windows = replace(WINDOWS, sample_rate_hz=rate, window_samples=15_600 * rate // 16_000)
    sounds = replace(toy_sounds(rate), soft=scores)
    module.new_head(sounds.classes)
    return Learner(module, sounds, windows, [], FinetuneOptions(**options))


@pytest.mark.parametrize("masked", ["masked_bands", "masked_frames"])
def test_a_span_of_each_patch_is_its_mean(module, monkeypatch, masked):
    loop = learner(module, **{"masked_bands": 0.0, "masked_frames": 0.0, masked: 0.5})
    waveforms, _ = toy(module)
    monkeypatch.setattr(module, "logits", lambda patches: patches)
    axis = module.bands_axis if masked == "masked_bands" else -3 - module.bands_axis
    with torch.inference_mode():
        plain = module.patches(waveforms)
        patches = loop._masked_logits(waveforms)
    widths = set()
    for before, after in zip(plain, patches):
        rows = (before != after).movedim(axis, 0).flatten(1).any(dim=1)
        places = torch.nonzero(rows)[:, 0].tolist()
        assert places == list(range(places[0], places[-1] + 1) if places else [])
        assert len(places) <= len(rows) // 2
        values = after.movedim(axis, 0)[places]
        torch.testing.assert_close(values, torch.full_like(values, float(before.mean())))
        widths.add(len(places))
    assert len(widths) > 1
    assert max(widths) > 0


def test_without_masks_the_waveform_goes_in(module, monkeypatch):
    loop = learner(module, masked_bands=0.0, masked_frames=0.0)
    waveforms, _ = toy(module)
    monkeypatch.setattr(module, "logits", lambda sound: sound)
    assert loop._masked_logits(waveforms) is waveforms


def test_a_teachers_scores_are_a_share_of_the_targets(module):
    scores = np.random.default_rng(0).random((12, 2)).astype(np.float32)
    targets = toy_sounds().targets
    found = learner(module, scores, soft=0.4)._targets.numpy()
    np.testing.assert_allclose(found, 0.6 * targets + 0.4 * scores, atol=1e-6)
    np.testing.assert_array_equal(learner(module, scores, soft=0.0)._targets.numpy(), targets)
    np.testing.assert_array_equal(learner(module, soft=0.4)._targets.numpy(), targets)


def test_a_teachers_scores_go_with_their_clips():
    scores = np.random.default_rng(0).random((12, 2)).astype(np.float32)
    sounds = replace(toy_sounds(), soft=scores)
    np.testing.assert_array_equal(sounds.subset(np.array([5, 2])).soft, scores[[5, 2]])
    with pytest.raises(OptionError, match="teacher's scores"):
        replace(toy_sounds(), soft=scores[:3])


def test_an_epoch_is_judged_with_the_mean_of_its_weights(module):
    """Over twenty epochs, of which it is the first: they have hardly moved."""

    def way_of_the_head(averaged):
        torch.manual_seed(1)
        loop = learner(module, averaged=averaged, rate=1e-2)
        before = copies(module)["head"]
        assert next(loop.epochs(1, lambda: 0.0)) > 0
        after = copies(module)["head"]
        return sum(float((a - b).square().sum()) for a, b in zip(before, after)) ** 0.5

    last, mean = way_of_the_head(0.0), way_of_the_head(20.0)
    assert 0 < mean < 0.1 * last


def test_time_that_is_over_shortens_the_last_epoch(module):
    loop = learner(module, batch=4, epochs=3)
    clock = iter([0.0, 0.2, 0.4, 0.8, 0.9, 1.0])
    losses = list(loop.epochs(1, lambda: next(clock)))
    assert len(losses) == 2, "of three batches, and of two"


@pytest.mark.parametrize("option", ["soft", "masked_bands", "masked_frames"])
@pytest.mark.parametrize("value", [-0.1, 1.0, float("nan")])
def test_shares_are_checked(option, value):
    with pytest.raises(OptionError, match="are shares"):
        FinetuneOptions(**{option: value})


@pytest.mark.parametrize("value", [-1.0, float("inf"), float("nan")])
def test_epochs_to_average_over_are_checked(value):
    with pytest.raises(OptionError, match="0 or more epochs"):
        FinetuneOptions(averaged=value)
