# SPDX-License-Identifier: Apache-2.0
"""A model with another calibration or other thresholds, as a .tflite."""

from __future__ import annotations

from pathlib import Path

from oido.errors import OptionError
from oido.inference.export import export
from oido.models.model import AudioModel, LogMelNetwork
from oido.models.tflite.metadata_writer import with_heads
from oido.writers.atomic import AtomicFile, keep_original

__all__ = ["save_model"]


def save_model(model: AudioModel, path: Path) -> None:
    """Write the model with its heads as they are now.

    A .tflite that has metadata keeps its graph byte for byte, and gets other metadata; anything
    else is exported whole (`oido.export`). If ``path`` is the model's own file, that is kept as
    ``….orig`` first. Raises OptionError, ModelFormatError, or OutputError.
    """
    if path.suffix != ".tflite":
        raise OptionError(f"{path}: a model is written as .tflite; name it so")
    in_place = path.exists() and path.samefile(model.path)
    if in_place and model.card is not None:
        raise OptionError(f"{path} is a published model, which must stay as it is; choose another")
    cut = isinstance(model.network, LogMelNetwork)
    as_it_is = not cut or model.network.is_cut  # type: ignore[union-attr]
    content = with_heads(model) if as_it_is else None
    if content is None:
        export(model, path)
        return
    file = AtomicFile(path, binary=True)
    with file.guard():
        file.stream.write(content)
        if in_place:
            keep_original(path)
    file.commit()
