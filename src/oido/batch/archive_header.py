# SPDX-License-Identifier: Apache-2.0
"""The header of a results folder: how all of its recordings are classified, and by which model.

A run goes on in a folder only with parameters that give the same rows. They are compared as the
model understands them: labels by the model's own names, whatever language they were typed in.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from oido._version import __version__
from oido.batch.plan import marks
from oido.batch.storage import Storage
from oido.batch.units import (
    ARCHIVE_VERSION,
    EMBEDDING_MODEL,
    EMBEDDINGS,
    TABLES,
    LoadedModel,
    fingerprint_of,
)
from oido.errors import OptionError, UnknownLabelError
from oido.heads import SCORES_ARE
from oido.messages import joined, listed, tr
from oido.models.labels import label_indices
from oido.urls import is_address

HEADER = "oido-archive.json"
PASSED_OVER = {"lock", ".DS_Store", "Thumbs.db", "desktop.ini"}
"""What a folder may hold and still be empty, beside a header that was never finished: our lock, and
what systems put into every folder."""

_NAMED = 4
"""Names of other things that a refusal shows."""

_NAMING = ("selection", "detection")
"""The parameters with labels in them."""

_NEW_RULES = "selection.labels"
"""A parameter that no version had whose events were runs of windows."""


def is_archive(storage: Storage) -> bool:
    """Whether a folder has our header; if not, it is new or empty. Raises OptionError."""
    entries = storage.entries()
    if HEADER in entries:
        read_header(storage)
        return True
    ours = f".{HEADER}."
    others = [n for n in entries if n not in PASSED_OVER and not n.startswith(ours)]
    if others:
        raise OptionError(
            tr(
                "{url} holds other things than results of `oido batch` "
                "({others}): give a new or an empty folder, such as -o "
                "results/",
                url=storage.url,
                others=listed(others, _NAMED),
            )
        )
    return False


def read_header(storage: Storage) -> dict[str, Any]:
    """The header. Raises OptionError if there is none."""
    try:
        header: dict[str, Any] = json.loads(storage.read(HEADER))
    except (FileNotFoundError, NotADirectoryError) as error:
        raise OptionError(
            tr(
                "{url}: is not a results folder of `oido batch` (it has no {header})",
                url=storage.url,
                header=HEADER,
            )
            if is_address(storage.url) or os.path.lexists(storage.url)
            else tr("{url}: no such folder", url=storage.url)
        ) from error
    except (OSError, ValueError, RecursionError) as error:
        raise OptionError(
            tr(
                "{url}: {header} cannot be read ({error})",
                url=storage.url,
                header=HEADER,
                error=getattr(error, "strerror", None) or error,
            )
        ) from error
    version = header.get("archive_version") if isinstance(header, dict) else None
    if version != ARCHIVE_VERSION:
        raise OptionError(
            tr(
                "{url}: its {header} is of version {version}, which this oido does not know",
                url=storage.url,
                header=HEADER,
                version=version,
            )
        )
    return header


def new_header(
    parameters: Mapping[str, Any], model: LoadedModel, calibrated: bool, created: str
) -> dict[str, Any]:
    """The header of a folder that is begun."""
    parameters = _by_own_names(parameters, model.labels)
    more, scores = marks(model.path or model.name, parameters.get("head"))
    return {
        "archive_version": ARCHIVE_VERSION,
        "oido_version": __version__,
        "created": created,
        "fingerprint": fingerprint_of(parameters, model.sha256),
        "model": {"name": model.name, "sha256": model.sha256, **more},
        **({} if scores == SCORES_ARE["sigmoid"] else {"scores": scores}),
        "parameters": parameters,
        "calibrated": calibrated,
        "tables": [*TABLES, EMBEDDINGS] if parameters["embeddings"] else [*TABLES],
    }


def embedding_model(header: Mapping[str, Any]) -> Mapping[str, Any]:
    """``name`` and ``sha256`` of the model whose embeddings an archive keeps, if it keeps any."""
    facts: Mapping[str, Any] = header["parameters"].get(EMBEDDING_MODEL) or header["model"]
    return facts


def require_same(
    url: str, header: Mapping[str, Any], parameters: Mapping[str, Any], model: LoadedModel
) -> None:
    """Raise OptionError, naming what differs, if these would give other rows than the header's."""
    fingerprint, sha256 = header["fingerprint"], model.sha256
    wanted = _by_own_names(parameters, model.labels)
    if fingerprint == fingerprint_of(wanted, sha256):
        return
    before = _by_own_names(header["parameters"], model.labels)
    # Versions before kept labels as they were typed.
    if before != wanted or fingerprint != fingerprint_of(header["parameters"], sha256):
        raise _parameters_error(url, {**header, "parameters": before}, wanted, sha256)


def _by_own_names(parameters: Mapping[str, Any], labels: tuple[str, ...]) -> dict[str, Any]:
    """The same with labels as the model has them, each once and in its order.

    labels: of the model, () if nobody knows them. What names another model's stays as it is.
    """

    def columns(names: Iterable[str]) -> list[int]:
        return label_indices(labels, names)

    known = {name: dict(values) for name, values in parameters.items() if name in _NAMING}
    with contextlib.suppress(UnknownLabelError):
        for name in ("category_allowlist", "category_denylist"):
            named = known.get("selection", {}).get(name)
            if named and labels:
                known["selection"][name] = [labels[i] for i in sorted(set(columns(named)))]
        pairs = known.get("detection", {}).get("thresholds")
        if pairs and labels:
            found = zip(columns(label for label, _ in pairs), (value for _, value in pairs))
            known["detection"]["thresholds"] = [[labels[i], value] for i, value in sorted(found)]
        return {**parameters, **known}
    return dict(parameters)


def _parameters_error(
    url: str, header: Mapping[str, Any], parameters: Mapping[str, Any], sha256: str
) -> OptionError:
    old, new = dict(_flatten(header["parameters"])), dict(_flatten(parameters))
    if _NEW_RULES in new and _NEW_RULES not in old:
        return OptionError(
            tr(
                "{url} was heard by oido {oido_version}, whose events followed other "
                "rules; choose another folder for the new ones",
                url=url,
                oido_version=header["oido_version"],
            )
        )
    if old == new:
        return OptionError(
            tr(
                "{url} was heard by the model {name} (SHA-256 {before}…), and not by this one "
                "({now}…): say --model and its file, or choose another folder",
                url=url,
                name=header["model"]["name"],
                before=header["model"]["sha256"][:12],
                now=sha256[:12],
            )
        )
    old["model sha256"], new["model sha256"] = header["model"]["sha256"][:12], sha256[:12]
    differing = [
        tr(
            "{name} was {old}, now {new}",
            name=name,
            old=_text_of(old.get(name)),
            new=_text_of(new.get(name)),
        )
        for name in [*old, *(n for n in new if n not in old)]
        if old.get(name) != new.get(name)
    ]
    return OptionError(
        tr(
            "{url} was heard with other parameters: {differing}. Say --resume with "
            "those of before, or choose another folder for the new ones",
            url=url,
            differing=joined("; ", differing),
        )
    )


def _flatten(values: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _flatten(value, f"{before}{name}.")
        else:
            yield before + name, value


def _text_of(value: Any) -> str:
    return tr("not set") if value is None else json.dumps(value, ensure_ascii=False)
