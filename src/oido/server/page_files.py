# SPDX-License-Identifier: Apache-2.0
"""The page as files: what is served, and what `oido web export` writes.

A page is a mapping from relative URLs to contents. Besides what lies in ``oido/web/``, some files
are made: ``page.json`` tells the page what it is part of, ``precache.js`` tells its service worker
all files with their hashes, ``names/LOCALE.json`` has the labels in other languages, and
``names/families.json`` their families; ``index.html`` names the modules that its own need, so
that a browser asks for them at once, for those of the first screen before the others.
Exported, they are a folder of static files that runs on whatever device shows it, each with its
compressed forms beside it (`oido.server.encodings`).
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
import posixpath
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from oido._version import __version__
from oido.errors import MissingExtraError, OptionError
from oido.messages import tr
from oido.models.labels import LOCALES, audioset_labels, display_names
from oido.models.model import AudioModel
from oido.server.device_model import DeviceModel, describe_model, device_model
from oido.server.encodings import ENDINGS, encoded_files
from oido.server.families import families
from oido.server.vendor import is_vendored
from oido.writers.atomic import write_folder
from oido.writers.written import WRITTEN_NAME, WrittenFiles

WEB_FOLDER = Path(__file__).parents[1] / "web"

_TEXTS = {".html", ".css", ".js", ".json", ".webmanifest", ".svg", ".txt"}
_KINDS = _TEXTS | {".png", ".wasm", ".woff2"}
_START = "index.html"
_IMPORT = re.compile(r'^(?:import|export)\b(?:[^;"]*\bfrom)?\s*"(\.{1,2}/[^"]+)"', re.M)
_MODULE = re.compile(r'<(?:script type="module" src|link rel="modulepreload" href)="([^"]+)">')
_COMMENT = re.compile(r"^[ \t]*(?:/\*(?:(?!\*/).)*\*/|//(?! SPDX)[^\n]*)[ \t]*$", re.M | re.S)
_ABOUT = "page.json"
_FAMILIES = "names/families.json"
NAMES_URLS = {locale: f"names/{locale}.json" for locale in LOCALES if locale != "en"}
_REVIEW = "review"
"""The folder of the page of `oido review`, which is no part of this one."""

_EXAMPLES = {
    "examples/street.flac": "street.flac",
    "examples/alarm.flac": "alarm.flac",
    "examples/beep.flac": "sounds/beep/amber.flac",
}
"""Recordings to try the page with: their URLs, and where in the repository's examples/ they lie."""
_FOR_OTHERS = {"icons/card.png"}
"""What only other sites show of the page; it never asks for them itself."""
_BUILDS = {"litert_wasm_internal": "relaxed", "litert_wasm_compat_internal": "compat"}


def page_files(
    page: Mapping[str, Any],
    models: Sequence[DeviceModel] = (),
    folder: Path = WEB_FOLDER,
    *,
    address: str | None = None,
    locale: str | None = None,
) -> dict[str, Path | bytes]:
    """The whole page, by relative URL; ``""`` is its start, index.html.

    page: what page.json says beside the models ("models") and the languages of labels ("names").
    The first model is kept for use without a network at once, the others when they are chosen.
    address: where it will be, for those who show a link to it; None is not known. locale: the
    page's language; None is the browser's.
    """
    files: dict[str, Path | bytes] = dict(_static(folder))
    if page.get("mode") == "device":
        ours = [url for url in files if url.endswith(".js") and not url.startswith("vendor/")]
        files.update({url: _without_comments(content_of(files[url])) for url in ours})
    if page.get("mode") == "device" and _START in files:
        # An exported page has no server of ours to send its policy: it stands in it.
        policy = content_policy("'self' blob: data:")
        tag = f'<head>\n    <meta http-equiv="Content-Security-Policy" content="{policy}">'
        files[_START] = content_of(files[_START]).replace(b"<head>", tag.encode(), 1)
    if _START in files:
        files[_START] = _preloading(files)
    names = dict(NAMES_URLS)
    files.update(label_names())
    examples = _examples(folder)
    files.update(examples)
    if address is not None and _START in files:
        files[_START] = _addressed(content_of(files[_START]), address)
    if locale is not None and _START in files:
        tag = f'<html lang="{locale}" data-locale="{locale}">'
        files[_START] = content_of(files[_START]).replace(b'<html lang="en">', tag.encode(), 1)
    files[_FAMILIES] = _json(families())
    described = [describe_model(device.model, device) for device in models]
    about = {
        **page,
        "models": described,
        "names": names,
        "families": _FAMILIES,
        "examples": list(examples),
        "runtimeBytes": _runtime_bytes(files),
    }
    files[_ABOUT] = _json(about)
    files["precache.js"] = _precache(files, models)
    files.update({model.url: model.content for model in models})
    if _START in files:
        files[""] = files[_START]
    return files


def label_names() -> dict[str, bytes]:
    """The labels in other languages than English, by the URL of each language."""
    labels = audioset_labels()
    return {
        url: _json(dict(zip(labels, display_names(labels, locale))))
        for locale, url in NAMES_URLS.items()
    }


def content_of(file: Path | bytes) -> bytes:
    """The bytes of a page's file."""
    return file if isinstance(file, bytes) else file.read_bytes()


def _static(folder: Path) -> Iterator[tuple[str, Path]]:
    for path in sorted(folder.rglob("*")):
        url = path.relative_to(folder)
        hidden = any(part.startswith((".", "_")) for part in url.parts)
        unusable = url.parts[0] == "vendor" and not is_vendored(folder / "vendor")
        unusable = unusable or url.parts[0] == _REVIEW
        is_wanted = path.suffix in _KINDS or path.name == "LICENSE"
        if path.is_file() and is_wanted and not hidden and not unusable:
            yield url.as_posix(), path


def _without_comments(script: bytes) -> bytes:
    """A script whose comments are empty lines: a third less travels, and lines keep their numbers.

    Only comments that have their lines to themselves go.
    """
    return _COMMENT.sub(lambda found: "\n" * found[0].count("\n"), script.decode()).encode()


def _addressed(start: bytes, address: str) -> bytes:
    """The start with whole addresses in what other sites read: they do not know where it is."""
    url = html.escape(address)
    image = '<meta property="og:image" content="'
    whole = f'<meta property="og:url" content="{url}">\n    {image}{url}'
    return start.replace(image.encode(), whole.encode(), 1)


def _page_address(url: str) -> str:
    """The address of a page, as a folder. Raises OptionError."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.netloc or parts.query or parts.fragment:
        raise OptionError(
            tr(
                "--url is the page's own address, such as https://example.org/oido/; "
                "{url!r} is none",
                url=url,
            )
        )
    return url.rstrip("/") + "/"


def _examples(folder: Path) -> dict[str, Path]:
    """Those that are here: in a wheel they lie in the page's folder, else in the repository."""
    repository = Path(__file__).parents[3] / "examples"
    places = {url: (folder / url, repository / name) for url, name in _EXAMPLES.items()}
    found = {url: [path for path in paths if path.is_file()] for url, paths in places.items()}
    return {url: paths[0] for url, paths in found.items() if paths}


def modules_of(files: Mapping[str, Path | bytes], script: str) -> list[str]:
    """The modules that a page's script imports, and those that they import, as URLs."""
    found = [script] if script in files else []
    for module in found:
        for name in _IMPORT.findall(content_of(files[module]).decode()):
            url = posixpath.normpath(posixpath.join(posixpath.dirname(module), name))
            if url in files and url not in found:
                found.append(url)
    return found[1:]


def _preloading(files: Mapping[str, Path | bytes]) -> bytes:
    """The start with a link to each module that its own scripts and links need, before them."""
    named: set[str] = set()

    def with_links(tag: re.Match[str]) -> str:
        urls = [url for url in modules_of(files, tag[1]) if url not in named]
        named.update(urls, [tag[1]])
        return "".join(f'<link rel="modulepreload" href="{url}">\n' for url in urls) + tag[0]

    return _MODULE.sub(with_links, content_of(files[_START]).decode()).encode()


def _runtime_bytes(files: Mapping[str, Path | bytes]) -> dict[str, int]:
    """What each build of the runtime is long, so that its progress can be shown."""
    urls = {build: f"vendor/{stem}.wasm" for stem, build in _BUILDS.items()}
    return {build: _length(files[url]) for build, url in urls.items() if url in files}


def _length(file: Path | bytes) -> int:
    return len(file) if isinstance(file, bytes) else file.stat().st_size


def content_policy(images: str) -> str:
    """The page's Content-Security-Policy: nothing from elsewhere; WebAssembly, to run models."""
    return (
        "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; worker-src 'self'; "
        f"style-src 'self'; font-src 'self'; img-src {images}; media-src 'self' blob:; "
        "connect-src 'self' blob:; manifest-src 'self'; base-uri 'none'; form-action 'none'"
    )


def _precache(files: Mapping[str, Path | bytes], models: Sequence[DeviceModel]) -> bytes:
    """The list that sw.js goes by; its version differs if anything in it does.

    build: a file that only one kind of browser needs. fresh: asked for anew each time, where there
    is a network. onDemand: kept when it is asked for, and not before.
    """
    entries: list[dict[str, Any]] = []
    for url, file in sorted(files.items()):
        is_code = url.endswith((".js", ".wasm"))
        is_text = Path(url).name == "LICENSE" or (url.startswith("vendor/") and not is_code)
        if url == "sw.js" or url in _FOR_OTHERS or is_text:
            continue
        entry: dict[str, Any] = {
            "url": "./" if url == _START else url,
            "integrity": _integrity(content_of(file)),
        }
        if Path(url).stem in _BUILDS:
            entry["build"] = _BUILDS[Path(url).stem]
        if url in _EXAMPLES:
            entry["onDemand"] = True
        entries.append(entry | ({"fresh": True} if url == _ABOUT else {}))
    kept = [
        {"url": model.url, "integrity": _integrity(model.content), "precached": number == 0}
        for number, model in enumerate(models)
    ]
    listed = {"files": entries, "models": kept}
    version = hashlib.sha256(_json(listed)).hexdigest()[:16]
    return b"self.OIDO_PRECACHE = " + _json({"version": version, **listed}).rstrip() + b";\n"


def _integrity(content: bytes) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(content).digest()).decode()


def _json(values: Any) -> bytes:
    return (json.dumps(values, ensure_ascii=False, indent=1) + "\n").encode()


@dataclass(frozen=True)
class PageReport:
    """What was written: how many files, compressed forms among them, how large, and the models'
    names and sizes in bytes.

    first_visit_bytes: what a browser fetches to hear by the first model, from a host that serves
    the compressed forms.
    """

    folder: Path
    files: int
    size_bytes: int
    models: tuple[tuple[str, int], ...]
    first_visit_bytes: int = 0


def export_page(
    folder: Path,
    models: Sequence[AudioModel],
    *,
    locale: str | None = None,
    url: str | None = None,
    web: Path = WEB_FOLDER,
) -> PageReport:
    """Write the page with these models; the first is the one that it opens with.

    folder: its place is taken when all is written; one that is there already must be empty, or an
    export in which nothing was added or changed. locale: the page's language, "en" or "es"; None is
    the browser's. url: where it will be: other sites show its picture beside a link only by a whole
    address.

    Raises MissingExtraError without LiteRT.js, OptionError for a folder with anything else in it,
    OutputError for one that cannot be written.
    """
    if locale not in (None, *LOCALES):
        raise OptionError(
            tr(
                "there is no page in {locale!r}; choose from {locales}",
                locale=locale,
                locales=", ".join(LOCALES),
            )
        )
    if not is_vendored(web / "vendor"):
        raise MissingExtraError(
            tr(
                "this oido has no LiteRT.js, which hears inside the browser: fetch "
                "it with `make web`, or with `python -m oido.server.vendor` (both "
                "need npm, of Node.js)"
            )
        )
    address = None if url is None else _page_address(url)
    _require_ours(folder)
    page = {"generator": "oido web export", "oido": __version__, "mode": "device"}
    names = [model.name if model.card else model.path.stem for model in models]
    ready = [device_model(model, name=name) for model, name in zip(models, names)]
    if len({model.url for model in ready}) < len(ready):
        raise OptionError(tr("the same model was given twice"))
    whole = page_files(page, ready, web, address=address, locale=locale)
    plain = {name: file for name, file in whole.items() if name}
    files = {name: content_of(file) for name, file in plain.items()}
    beside = dict(each for name, file in plain.items() for each in encoded_files(name, file))
    written = {**files, **beside}
    write_folder(folder.resolve(), written, recorded=True)
    sizes = tuple((model.name, len(model.content)) for model in ready)
    visit = sum(_travels(name, files, beside) for name in _first_visit(files, ready[0].url))
    return PageReport(folder, len(written), sum(map(len, written.values())), sizes, visit)


def _first_visit(files: Mapping[str, bytes], model_url: str) -> Iterator[str]:
    """What a browser with relaxed SIMD fetches, once each."""
    listed = json.loads(files["precache.js"].partition(b"= ")[2].rstrip(b";\n"))
    for entry in listed["files"]:
        if entry.get("build") != "compat" and not entry.get("onDemand"):
            yield _START if entry["url"] == "./" else entry["url"]
    yield from ("precache.js", "sw.js", model_url)


def _travels(url: str, files: Mapping[str, bytes], beside: Mapping[str, bytes]) -> int:
    forms = (beside.get(url + ending, files[url]) for ending in ENDINGS.values())
    return min(map(len, forms))


def _require_ours(folder: Path) -> None:
    """Refuse a folder that holds anything but an export as it was made. Raises OptionError."""
    if folder.exists() and not folder.is_dir():
        raise OptionError(tr("{folder} is a file; name a folder", folder=folder))
    files = (path for path in sorted(folder.rglob("*")) if path.is_symlink() or not path.is_dir())
    others = [path for path in files if path != folder / WRITTEN_NAME]
    WrittenFiles(folder).refuse_others(others, tr("deleted with the earlier export"))
