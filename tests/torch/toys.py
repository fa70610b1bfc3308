# SPDX-License-Identifier: Apache-2.0
"""A toy job for fine-tuning, and what its tests ask of a module."""

from __future__ import annotations

import numpy as np

from oido.models.networks.yamnet import YAMNET_FRONT_END
from oido.torch.clips import LabelledSounds, clip_windows
from tests.signal.sounds import noise, sine

WINDOWS = YAMNET_FRONT_END.windows


def toy(rate=16_000, multi_label=False):
    """Twelve clips of a second: tones, noise, and both at once if there may be several labels."""
    clips, targets = [], []
    for k in range(6):
        tone, hiss = sine(300.0 + 200 * k, rate, rate, 0.2), noise(rate, seed=k, level=0.05)
        clips += [tone, hiss]
        targets += [[1, 0], [0, 1]]
        if multi_label:
            clips.append(tone + hiss)
            targets.append([1, 1])
    waveforms = [clip.astype(np.float32) for clip in clips]
    return LabelledSounds(waveforms, np.array(targets, np.float32), multi_label=multi_label)


def clip_probabilities(module, sounds, windows=WINDOWS):
    """The mean softmax of each clip's windows, silent ones left out, by the module as it is."""
    import torch

    found = []
    for waveform in sounds.waveforms:
        cut, weights = clip_windows(waveform, windows)
        level = np.sqrt(np.mean(np.square(cut, dtype=np.float64), axis=1))
        heard = level > 0.01 * level.max()
        with torch.inference_mode():
            logits = module.logits(torch.from_numpy(cut.copy())).reshape(len(cut), -1)
            scores = torch.softmax(logits, dim=1).double().numpy()
        found.append(np.average(scores[heard], axis=0, weights=weights[heard]))
    return np.array(found)


def states(module):
    """Everything by stage: parameters, and the statistics of batch norms."""
    return {
        name: [values.clone() for values in stage.state_dict().values()]
        for name, stage in module.stages().items()
    }


def changed(before, module):
    """The stages that are not what they were."""
    import torch

    return {
        name
        for name, values in states(module).items()
        if not all(torch.equal(a, b) for a, b in zip(before[name], values))
    }
