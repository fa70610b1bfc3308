# SPDX-License-Identifier: Apache-2.0
"""mn04 in PyTorch gives what LiteRT and the original give, and its weights back."""

from __future__ import annotations

import numpy as np
import pytest

import oido
import oido.torch
from oido.errors import InvalidSamplesError, ModelFormatError, ModelNotFoundError
from oido.models.networks.mn04 import network
from oido.models.networks.torch_file import read_state_dict
from oido.params import MnFrontEndParams
from oido.runtime.litert import LiteRtRuntime
from oido.signal.frontend import MnFrontEnd
from tests.models.networks.test_mn04 import random_state
from tests.signal.test_frontend_mn04 import golden_clips, models_folder

torch = pytest.importorskip("torch", reason="needs PyTorch: pip install 'oido[torch]'")
Mn04 = oido.torch.Mn04


@pytest.fixture(scope="module")
def weights_path():
    return models_folder() / "mn04_as_mAP_432.pt"


@pytest.fixture(scope="module")
def module(weights_path):
    return Mn04.from_pretrained(weights_path)


@pytest.fixture(scope="module")
def random_module():
    """Of random weights, so that it is there on every machine."""
    return Mn04.from_state(random_state())


@torch.inference_mode()
def heard(module, sound):
    scores, embeddings = module(torch.from_numpy(np.array(sound)))
    return scores.numpy(), embeddings.numpy()


def by_litert(state, waveform):
    """Scores f32[527], embedding f32[384] of a whole clip, by oido's front end and LiteRT."""
    front_end = MnFrontEnd(MnFrontEndParams(window_samples=len(waveform)))
    patches = front_end.patches(waveform, 320)
    scores, embeddings, _ = LiteRtRuntime(None, network(state, patches.shape[2])).run(patches)
    return scores[0], embeddings[0]


def check(module, state, waveforms, tell, what):
    """Within 1e-4 in scores, and in embeddings relative to the clip's largest."""
    most = [0.0, 0.0]
    for waveform in waveforms:
        ours, theirs = heard(module, waveform), by_litert(state, waveform)
        reach = float(np.abs(theirs[1]).max())
        for k, scale in enumerate((1.0, reach)):
            assert ours[k].shape == theirs[k].shape
            most[k] = max(most[k], float(np.abs(ours[k] - theirs[k]).max()) / scale)
    tell(f"mn04, {what}: scores {most[0]:.1e}, embeddings {most[1]:.1e} of the largest")
    assert max(most) < 1e-4


def test_equals_litert_on_real_clips(module, weights_path, real_clips, tell):
    state = read_state_dict(weights_path.read_bytes())
    decoder = oido.AudioClassifier(weights_path, jobs=1)
    waveforms = [decoder.stream(path).waveform() for path in real_clips]
    what = f"torch against LiteRT, {len(waveforms)} real clips"
    check(module, state, waveforms, tell, what)


def test_equals_litert_on_synthetic_sound(random_module, sounds, tell):
    waveforms = sounds(32_000).values()
    check(random_module, random_state(), waveforms, tell, "random weights, synthetic sound")


def test_equals_the_original(module, shared_audio, tell):
    """Logits and embedding as the original computed them."""
    most = 0.0
    for waveform, values in golden_clips(shared_audio):
        with torch.inference_mode():
            embedding = module.embed(torch.from_numpy(waveform))
            logits = module.head(embedding)
        for ours, name in ((logits, "logits_first8"), (embedding, "embedding_first8")):
            most = max(most, float(np.abs(ours[:8].numpy() - np.array(values[name])).max()))
    tell(f"mn04, torch against the original's logits and embeddings: {most:.1e}")
    assert most < 1e-3


def test_waveform_and_patches_agree(random_module, sounds):
    waveform = sounds(32_000)["noise"]
    front_end = MnFrontEnd(MnFrontEndParams(window_samples=len(waveform)))
    patches = front_end.patches(waveform, 320)  # f32[1, 128, frames, 1]
    from_waveform = heard(random_module, waveform)
    for sound in (patches, patches[..., 0]):
        for ours, theirs in zip(heard(random_module, sound), from_waveform):
            assert ours.shape == (1, *theirs.shape)
            np.testing.assert_allclose(ours[0], theirs, rtol=0, atol=1e-5)


def test_a_batch_of_waveforms(random_module, sounds):
    one = sounds(32_000)["noise"]
    batch = np.stack([one, one[::-1], 0.1 * one]).astype(np.float32)
    scores, embeddings = heard(random_module, batch)
    assert scores.shape == (3, 527)
    assert embeddings.shape == (3, 384)
    for k, waveform in enumerate(batch):
        alone = heard(random_module, waveform)
        np.testing.assert_allclose(scores[k], alone[0], rtol=0, atol=1e-5)
        np.testing.assert_allclose(embeddings[k], alone[1], rtol=0, atol=1e-5)


def test_the_published_tensors_are_all_there(module, weights_path):
    published = read_state_dict(weights_path.read_bytes())
    state = module.state_dict()
    assert set(state) == set(published)
    for name, values in module.weights().items():
        np.testing.assert_array_equal(values, published[name])
    assert set(published) - set(module.weights()) == {
        name for name in published if name.endswith("num_batches_tracked")
    }


def test_by_its_name(monkeypatch, weights_path, module):
    monkeypatch.setenv("OIDO_MODEL_PATH", str(weights_path.parent))
    named = Mn04.from_pretrained()
    assert all(torch.equal(a, b) for a, b in zip(named.parameters(), module.parameters()))


def test_changed_weights_run_in_litert(sounds, tell):
    """Also the statistics that batch norms gather in training."""
    module = Mn04.from_state(random_state()).train()
    before = module.weights()
    optimizer = torch.optim.Adam(module.parameters(), lr=1e-3)
    batch = torch.from_numpy(np.random.default_rng(0).standard_normal((4, 128, 40), np.float32))
    for _ in range(3):
        optimizer.zero_grad()
        module.logits(batch).square().mean().backward()
        optimizer.step()
    after = module.eval().weights()
    unchanged = [name for name in before if np.array_equal(before[name], after[name])]
    assert unchanged == []
    check(module, after, [sounds(32_000)["noise"]], tell, "after three steps of training")


def test_what_torch_saves_is_read_again(tmp_path, sounds):
    module = Mn04.from_state(random_state())
    module.new_head(5)
    path = tmp_path / "mine.pt"
    torch.save(module.state_dict(), path)
    again = Mn04.from_pretrained(path)
    waveform = sounds(32_000)["noise"]
    assert heard(again, waveform)[0].shape == (5,)
    for ours, theirs in zip(heard(again, waveform), heard(module, waveform)):
        np.testing.assert_array_equal(ours, theirs)


def test_whoever_does_not_fit_is_refused(random_module):
    for wrong in ((2, 127, 100), (2, 128, 100, 2), (2, 128, 0), (1, 1, 1, 1, 1)):
        with pytest.raises(InvalidSamplesError, match="expected"):
            random_module(torch.zeros(wrong))
    with pytest.raises(InvalidSamplesError, match="divide int16 by 32768"):
        random_module(torch.zeros(32_000, dtype=torch.int16))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda s: s.pop("features.0.0.weight"), "features.0.0.weight"),
        (lambda s: s.update(extra=np.zeros(3, np.float32)), "extra"),
        (lambda s: s.update({"features.3.block.1.0.weight": np.zeros((2, 2))}), "features.3"),
        (lambda s: s.clear(), "classifier"),
    ],
)
def test_other_weights_are_refused(change, told):
    state = random_state()
    change(state)
    with pytest.raises(ModelFormatError, match=f"not the weights of mn04_as: .*{told}"):
        Mn04.from_state(state)


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("features.2.block.0.1.running_var", -1.0, "negative"),
        ("features.2.block.0.1.running_var", np.nan, "not finite"),
        ("classifier.5.weight", np.inf, "not finite"),
    ],
)
def test_impossible_numbers_are_refused(name, value, told):
    state = random_state()
    state[name].flat[0] = value
    with pytest.raises(ModelFormatError, match=told):
        Mn04.from_state(state)


def test_other_files_are_refused(tmp_path):
    with pytest.raises(ModelNotFoundError, match="no such model file"):
        Mn04.from_pretrained(tmp_path / "none.pt")
    with pytest.raises(ModelFormatError, match=r"come from \.pt, not from \.tflite"):
        Mn04.from_pretrained("yamnet/classification")
    (tmp_path / "taught.tflite").write_bytes(b"")
    with pytest.raises(ModelFormatError, match="begins from the weights of 'efficientat/mn04'"):
        Mn04.from_pretrained(tmp_path / "taught.tflite")
    (tmp_path / "weights").write_bytes(b"")
    with pytest.raises(ModelFormatError, match=r"come from \.pt, not from a file without"):
        Mn04.from_pretrained(tmp_path / "weights")
    (tmp_path / "damaged.pt").write_bytes(b"PK\x03\x04")
    with pytest.raises(ModelFormatError, match=r"damaged\.pt: "):
        Mn04.from_pretrained(tmp_path / "damaged.pt")


def test_the_spectrum_is_computed_in_the_numbers_that_were_asked_for():
    module = Mn04.from_state(random_state(), torch.float32)
    assert module.front_end.window.dtype == torch.float32
    assert Mn04.from_state(random_state()).front_end.window.dtype == torch.float64
