# SPDX-License-Identifier: Apache-2.0
"""Fetches LiteRT.js, with which the page predicts in the browser: two packages of npm.

    python -m oido.server.vendor

They are not ours and large, so they are never committed: `make web` runs this, and so does whoever
builds a wheel. Versions and hashes are fixed here; npm is asked for these packages only.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import shutil
import subprocess
import sys
import tarfile
import tempfile
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, files
from pathlib import Path
from typing import NamedTuple

from oido.errors import MissingExtraError, OidoError
from oido.messages import shown, tr
from oido.writers.atomic import write_folder

VENDOR_FOLDER = Path(__file__).parents[1] / "web" / "vendor"
"""Where the page looks for them."""

_NOTICE = "NOTICE.txt"
_GLUE = ("litert_wasm_internal", "litert_wasm_compat_internal")
"""Builds of the runtime: for browsers with relaxed SIMD, and for all others."""

_BROTLI = """\
const { readFileSync, writeFileSync } = require("fs");
const { brotliCompressSync, constants } = require("zlib");
for (const file of process.argv.slice(1)) {
  const content = readFileSync(file);
  const params = { [constants.BROTLI_PARAM_QUALITY]: 9, [constants.BROTLI_PARAM_LGWIN]: 24,
                   [constants.BROTLI_PARAM_SIZE_HINT]: content.length };
  writeFileSync(`${file}.br`, brotliCompressSync(content, { params }));
}
"""
"""Run by Node.js, which comes with npm: Python has no brotli of its own."""

_EXPORT = b"\nexport default ModuleFactory;\n"


class Package(NamedTuple):
    """A package of npm. integrity: of its tarball, as npm writes it (sha512, base64)."""

    name: str
    version: str
    integrity: str


PACKAGES = (
    Package(
        "@litertjs/core",
        "2.5.3",
        "sha512-PlGmbMOq9WitX7FO0jhbdJw9GthatsyuCQXjTt/wJZo0FLaw48q4tz8IwqgqCIkviYGr9OFDL1kCnN4nzWoyJQ==",
    ),
    Package(
        "@litertjs/wasm-utils",
        "2.5.3",
        "sha512-4fJiw6tBQnIs+0jH/OQ16nYOiSl8/+zZnn5h2ul8aTKHi05sVqZW580Tmk78pC2kT39A9OYBVdFawteZ/sI1kQ==",
    ),
)


def is_vendored(folder: Path = VENDOR_FOLDER) -> bool:
    """Whether the page can hear by itself: all is there, of the versions that are wanted."""
    try:
        return (folder / _NOTICE).read_text(encoding="utf-8") == _notice()
    except OSError:
        return False


def vendor(folder: Path = VENDOR_FOLDER) -> bool:
    """Fetch the packages into the folder, unless they are there; returns whether it did.

    Raises MissingExtraError without npm, OidoError for what npm says or another hash, OutputError
    for a folder that cannot be written.
    """
    if is_vendored(folder):
        return False
    npm = shutil.which("npm")
    if npm is None:
        raise MissingExtraError(
            tr(
                "the page's runtime comes from npm, which is not here: install "
                "Node.js, and try again"
            )
        )
    core, utils = (_files(_tarball(npm, package)) for package in PACKAGES)
    notices = {"LICENSE": _apache(), _NOTICE: _notice().encode()}
    chosen = _chosen(core, utils)
    write_folder(folder, {**chosen, **_compressed(chosen), **notices})
    return True


def _compressed(files: dict[str, bytes]) -> dict[str, bytes]:
    """The builds of the runtime as they travel: ``.gz``, and ``.br`` where Node.js can make it."""
    builds = {name: files[name] for name in files if name.endswith(".wasm")}
    made = {f"{name}.gz": gzip.compress(content, 9, mtime=0) for name, content in builds.items()}
    node = shutil.which("node")
    if node is None:
        return made
    with tempfile.TemporaryDirectory() as scratch:
        for name, content in builds.items():
            (Path(scratch) / name).write_bytes(content)
        command = [node, "-e", _BROTLI, *builds]
        if subprocess.run(command, cwd=scratch, check=False, capture_output=True).returncode == 0:
            made |= {f"{name}.br": (Path(scratch) / f"{name}.br").read_bytes() for name in builds}
    return made


def _chosen(core: dict[str, bytes], utils: dict[str, bytes]) -> dict[str, bytes]:
    """The files that the page loads.

    They are changed in two ways, which the notice tells: a module is imported by its path, since
    browsers know no package names; and the builds of the runtime are modules, since a module
    worker can load no scripts.
    """
    library = core["dist/index.js"].replace(b'"@litertjs/wasm-utils"', b'"./wasm_utils.js"')
    chosen = {
        "litert.js": _without_map(library),
        "wasm_utils.js": _without_map(utils["dist/index.js"]),
        "litert.package.json": core["package.json"],
        "wasm_utils.package.json": utils["package.json"],
    }
    for name in _GLUE:
        chosen[f"{name}.js"] = core[f"wasm/{name}.js"] + _EXPORT
        chosen[f"{name}.wasm"] = core[f"wasm/{name}.wasm"]
    return chosen


def _without_map(script: bytes) -> bytes:
    return script.replace(b"//# sourceMappingURL=index.js.map", b"")


def _tarball(npm: str, package: Package) -> bytes:
    """The package as npm serves it, its hash checked."""
    wanted = f"{package.name}@{package.version}"
    with tempfile.TemporaryDirectory() as scratch:
        command = [npm, "pack", wanted, "--json", "--ignore-scripts", "--pack-destination", scratch]
        done = subprocess.run(command, capture_output=True, text=True, cwd=scratch, check=False)
        if done.returncode:
            errors = (line for line in done.stderr.splitlines() if "error" in line.lower())
            raise OidoError(
                tr(
                    "npm could not get {wanted}: {next}",
                    wanted=wanted,
                    next=next(errors, tr("it failed")).strip(),
                )
            )
        # By its place: some versions of npm name a scoped package's file otherwise than they say.
        [file] = Path(scratch).glob("*.tgz")
        content: bytes = file.read_bytes()
    digest = base64.b64encode(hashlib.sha512(content).digest()).decode()
    if package.integrity != f"sha512-{digest}":
        raise OidoError(
            tr("npm gave another {wanted} than the one that is known here (sha512)", wanted=wanted)
        )
    return content


def _files(tarball: bytes) -> dict[str, bytes]:
    """The regular files of a package, by their path in it."""
    found = {}
    with tarfile.open(fileobj=io.BytesIO(tarball), mode="r:gz") as archive:
        for member in archive:
            stream = archive.extractfile(member) if member.isfile() else None
            if stream is not None:
                found[member.name.removeprefix("package/")] = stream.read()
    return found


_NOTICE_TEXT = """\
Programs of others, which oido's page runs; `make web` fetched them from npm.

{packages}
Apache-2.0 is http://www.apache.org/licenses/LICENSE-2.0, and the file LICENSE here.

Changed: litert.js imports ./wasm_utils.js instead of the package's name; comments that
name source maps are left out; the builds of the runtime end in `export default`.
"""


def _notice() -> str:
    packages = "\n".join(
        f"{package.name} {package.version}, Copyright Google LLC, Apache-2.0\n"
        f"  https://github.com/google-ai-edge/LiteRT\n  {package.integrity}\n"
        for package in PACKAGES
    )
    return _NOTICE_TEXT.format(packages=packages)


def _apache() -> bytes:
    """The text of the licence, which is oido's own, too; the packages have none in them."""
    candidates = [Path(__file__).parents[3] / "LICENSE"]
    with suppress(PackageNotFoundError):
        candidates += [Path(str(f.locate())) for f in files("oido") or () if f.name == "LICENSE"]
    for path in candidates:
        with suppress(OSError):
            content: bytes = path.read_bytes()
            return content
    raise OidoError(tr("oido's own LICENSE is not where it should be; install oido again"))


def _main() -> int:
    try:
        fetched = vendor()
    except OidoError as error:
        print(shown(tr("oido: {error}", error=error)), file=sys.stderr)
        return 1
    size = sum(file.stat().st_size for file in VENDOR_FOLDER.iterdir()) / 1e6
    print(
        shown(
            tr(
                "{vendor_folder}: {more}, {size:.1f} MB",
                vendor_folder=VENDOR_FOLDER,
                more=tr("fetched") if fetched else tr("already here"),
                size=size,
            )
        )
    )
    return 0


if __name__ == "__main__":
    sys.exit(_main())
