# SPDX-License-Identifier: Apache-2.0
"""Fetching LiteRT.js: nothing but what is known, whole or not at all. No network."""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest

from oido.errors import MissingExtraError, OidoError
from oido.server import vendor as vendoring


def test_vendoring_takes_nothing_but_what_is_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stand-in for npm that gives another tarball."""
    npm = tmp_path / "npm"
    npm.write_text(
        "#!/bin/sh\n"
        'while [ "$1" != --pack-destination ]; do shift; done\n'
        'echo other > "$2/it.tgz"; echo \'[{"filename": "it.tgz"}]\'\n'
    )
    npm.chmod(0o755)
    monkeypatch.setattr(vendoring.shutil, "which", lambda _: str(npm))
    with pytest.raises(OidoError, match=r"another @litertjs/core@.* than the one that is known"):
        vendoring.vendor(tmp_path / "vendor")
    npm.write_text("#!/bin/sh\necho 'npm error 404 Not Found' >&2; exit 1\n")
    with pytest.raises(OidoError, match=r"npm could not get @litertjs/core.*404 Not Found"):
        vendoring.vendor(tmp_path / "vendor")
    monkeypatch.setattr(vendoring.shutil, "which", lambda _: None)
    with pytest.raises(MissingExtraError, match=r"install Node\.js"):
        vendoring.vendor(tmp_path / "vendor")
    assert not (tmp_path / "vendor").exists()


def tarball(files: dict[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(f"package/{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return stream.getvalue()


CORE = {
    "dist/index.js": b'import {x} from "@litertjs/wasm-utils";\n'
    b"//# sourceMappingURL=index.js.map\n",
    "package.json": b"{}",
    "wasm/litert_wasm_internal.js": b"var ModuleFactory;",
    "wasm/litert_wasm_internal.wasm": b"wasm 1",
    "wasm/litert_wasm_compat_internal.js": b"var ModuleFactory;",
    "wasm/litert_wasm_compat_internal.wasm": b"wasm 2",
    "wasm/other.wasm": b"not wanted",
}
UTILS = {"dist/index.js": b"export const x = 1;\n", "package.json": b"{}"}


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """npm as a program that has two small packages, whose hashes are then the known ones."""
    packages = []
    for package, files in zip(vendoring.PACKAGES, (CORE, UTILS)):
        content = tarball(files)
        digest = base64.b64encode(hashlib.sha512(content).digest()).decode()
        packages.append(package._replace(integrity=f"sha512-{digest}"))
        (tmp_path / package.name.rpartition("/")[2]).write_bytes(content)
    monkeypatch.setattr(vendoring, "PACKAGES", tuple(packages))
    npm = tmp_path / "npm"
    npm.write_text(
        "#!/bin/sh\n"
        'name="${2#@litertjs/}"; name="${name%@*}"\n'
        'while [ "$1" != --pack-destination ]; do shift; done\n'
        f'cp "{tmp_path}/$name" "$2/$name.tgz"\n'
        'echo "[{\\"filename\\": \\"$name.tgz\\"}]"\n'
    )
    npm.chmod(0o755)
    found = {"npm": str(npm), "node": shutil.which("node")}
    monkeypatch.setattr(vendoring.shutil, "which", found.get)
    return tmp_path / "web" / "vendor"


def test_what_is_known_is_fetched_once_and_named_in_the_notice(made: Path) -> None:
    assert not vendoring.is_vendored(made)
    assert vendoring.vendor(made)
    assert vendoring.is_vendored(made)
    assert not vendoring.vendor(made)
    names = {path.name for path in made.iterdir()}
    assert {"litert.js", "wasm_utils.js", "LICENSE", "NOTICE.txt"} < names
    assert "other.wasm" not in names
    library = (made / "litert.js").read_text()
    assert '"./wasm_utils.js"' in library
    assert "sourceMappingURL" not in library
    assert (
        (made / "litert_wasm_internal.js").read_text().endswith("export default ModuleFactory;\n")
    )
    assert (made / "litert_wasm_compat_internal.wasm").read_bytes() == b"wasm 2"
    assert gzip.decompress((made / "litert_wasm_compat_internal.wasm.gz").read_bytes()) == b"wasm 2"
    notice = (made / "NOTICE.txt").read_text()
    assert all(package.integrity in notice for package in vendoring.PACKAGES)
    assert [path.name for path in made.parent.iterdir()] == ["vendor"]


def test_the_runtime_is_compressed_where_node_js_is(made: Path) -> None:
    node = vendoring.shutil.which("node")
    if node is None:
        pytest.skip("needs Node.js, which comes with npm")
    vendoring.vendor(made)
    undo = (
        "const { brotliDecompressSync } = require('zlib');"
        "process.stdout.write(brotliDecompressSync(require('fs').readFileSync(0)));"
    )
    packed = (made / "litert_wasm_internal.wasm.br").read_bytes()
    done = subprocess.run([node, "-e", undo], input=packed, capture_output=True, check=True)
    assert done.stdout == b"wasm 1"


def test_another_version_is_fetched_anew_and_nothing_old_stays(
    made: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    vendoring.vendor(made)
    (made / "old.js").write_text("of the version before")
    (made / "NOTICE.txt").write_text("another version")
    assert vendoring.vendor(made)
    assert not (made / "old.js").exists()


@pytest.mark.parametrize("integrity", ["sha512-", "sha512-not base64!", "sha512-AAAA"])
def test_a_hash_that_is_none_is_never_right(
    made: Path, monkeypatch: pytest.MonkeyPatch, integrity: str
) -> None:
    wrong = tuple(package._replace(integrity=integrity) for package in vendoring.PACKAGES)
    monkeypatch.setattr(vendoring, "PACKAGES", wrong)
    with pytest.raises(OidoError, match="than the one that is known"):
        vendoring.vendor(made)
    assert not made.exists()
