# SPDX-License-Identifier: Apache-2.0
"""The starting points: both networks as PyTorch modules, to be trained further (``oido[torch]``).

    import oido.torch

    yamnet = oido.torch.YamNet.from_pretrained("yamnet/classification")
    scores, embeddings = yamnet(waveform)

PyTorch is loaded when one of the names is first used, and nowhere else in oido. Without it each of
them raises MissingExtraError.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from oido.errors import needs_extra
from oido.messages import tr

if TYPE_CHECKING:
    from oido.torch.base import Heard, MnLogMel, StagedNetwork, YamNetLogMel
    from oido.torch.mn04 import Mn04
    from oido.torch.yamnet import YamNet

_HOME = {"Mn04": "oido.torch.mn04", "YamNet": "oido.torch.yamnet"}
"""Of those that are not in `oido.torch.base`."""

__all__ = ["Heard", "Mn04", "MnLogMel", "StagedNetwork", "YamNet", "YamNetLogMel"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(tr("module 'oido.torch' has no attribute {name!r}", name=name))
    message = tr("the starting points need PyTorch; install it with: pip install 'oido[torch]'")
    with needs_extra(message):
        import_module("torch")
    value = getattr(import_module(_HOME.get(name, "oido.torch.base")), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
