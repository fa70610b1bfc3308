# SPDX-License-Identifier: Apache-2.0
"""An exported page: works in a subfolder of a plain web server, then without it, and is updated."""

from __future__ import annotations

import base64
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import oido
from oido.models.loading import load_model
from oido.models.model import AudioModel
from oido.server.page_files import WEB_FOLDER, export_page
from oido.writers.written import WRITTEN_NAME
from tests.web.browsing import STREET, Counting, Host, open_panels, serving
from tests.web.core.site import floats


@pytest.fixture
def web(tmp_path: Path, litert_js: Path) -> Path:
    """A copy of web/ that a test may change."""
    shutil.copytree(WEB_FOLDER, tmp_path / "web")
    return tmp_path / "web"


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    (tmp_path / "public" / "some").mkdir(parents=True)
    started = Host(tmp_path / "public")
    yield started
    started.stop()


@pytest.fixture
def visitor(browser: Any) -> Iterator[Any]:
    context = browser.new_context()
    yield context
    context.close()


_READY = """async () => {
  const { registerOffline } = await import("./core/register.js");
  if (!(await registerOffline())) return false;
  await navigator.serviceWorker.ready;
  if (!navigator.serviceWorker.controller) {
    const once = { once: true };
    await new Promise((resolve) => {
      navigator.serviceWorker.addEventListener("controllerchange", resolve, once);
    });
  }
  return true;
}"""

_HEAR = """async ({ samples, modelUrl }) => {
  const { openDevice } = await import("./core/device_engine.js");
  const bytes = Uint8Array.from(atob(samples), (letter) => letter.charCodeAt(0));
  const engine = await openDevice({ modelUrl });
  const windows = await engine.hear(new Float32Array(bytes.buffer));
  engine.close();
  const blob = new Blob(windows.map((window) => window.scores));
  const scores = new Uint8Array(await blob.arrayBuffer());
  let text = "";
  for (const byte of scores) text += String.fromCharCode(byte);
  return btoa(text);
}"""

_CACHED = """async () => {
  const names = await caches.keys();
  const all = await Promise.all(names.map(async (name) => {
    const requests = await (await caches.open(name)).keys();
    return [name, requests.map((request) => request.url)];
  }));
  return Object.fromEntries(all);
}"""


def given(clip: NDArray[np.float32], url: str) -> dict[str, str]:
    return {"samples": base64.b64encode(clip.tobytes()).decode(), "modelUrl": url}


def test_it_hears_without_a_network(
    tmp_path: Path,
    host: Host,
    visitor: Any,
    web: Path,
    model: AudioModel,
    classifier: oido.AudioClassifier,
    taught: Path,
    street: NDArray[np.float32],
) -> None:
    folder = tmp_path / "public" / "some" / "where"
    export_page(folder, [model, load_model(taught)], web=web)
    models = json.loads((folder / "page.json").read_text(encoding="utf-8"))["models"]
    url, second = (entry["url"] for entry in models)
    complaints: list[str] = []
    page = visitor.new_page()
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(f"{host.address}some/where/")
    assert page.evaluate(_READY)
    clip = street[:80_000]
    expected = classifier.classify(clip, sample_rate=16_000).scores
    assert np.array_equal(floats(page.evaluate(_HEAR, given(clip, url)), 521), expected)
    online = page.evaluate(_HEAR, given(clip, second))
    keep = "async (url) => (await import('./core/register.js')).keepModel(url)"
    assert page.evaluate(keep, second) is True
    assert page.evaluate(keep, "models/none.tflite") is False

    host.stop()
    visitor.set_offline(True)
    asked = len(host.asked)
    title = page.title()
    page.reload()
    assert page.title() == title
    assert np.array_equal(floats(page.evaluate(_HEAR, given(clip, url)), 521), expected)
    assert page.evaluate(_HEAR, given(clip, second)) == online
    fresh = visitor.new_page()
    fresh.goto(f"{host.address}some/where/index.html")
    assert fresh.title() == title
    assert fresh.evaluate("fetch('page.json').then((r) => r.json())")["mode"] == "device"
    assert fresh.evaluate("fetch('names/es.json').then((r) => r.json())")["Dog"] == "Perro"
    assert len(host.asked) == asked
    assert complaints == []

    # Only what belongs to the page is kept: each file once, one build of the runtime, the model.
    cached = page.evaluate(_CACHED)
    assert sorted(name.split("-")[1] for name in cached) == ["models", "page"]
    kept = {u.removeprefix(f"{host.address}some/where/") for urls in cached.values() for u in urls}
    files = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    others = {file for file in files if file.startswith("vendor/") and "compat" in file}
    texts = {f for f in files if f.startswith("vendor/") and not f.endswith((".js", ".wasm"))}
    texts |= {"fonts/LICENSE", "icons/card.png"}  # nothing of the page asks for them
    examples = {file for file in files if file.startswith("examples/")}
    assert len(examples) == 3
    unserved = {"sw.js", "index.html", "precache.js", WRITTEN_NAME}
    packed = {file for file in files if file.endswith((".br", ".gz"))}  # the host's business
    wanted = files - others - texts - examples - unserved - packed | {""}
    assert {u.split("?")[0] for u in kept} == wanted


_KEPT = """async () => {
  await navigator.serviceWorker.ready;
  return (await caches.keys()).length;
}"""


def test_a_first_visit_fetches_nothing_twice_and_all_of_it_compressed(
    browser: Any, litert_js: Path, own_cache: Path
) -> None:
    """It hears at once, while the page is being kept for use without a network."""
    with serving() as served:
        counting = Counting(served.address)
        context = browser.new_context()
        try:
            page = context.new_page()
            page.goto(counting.address)
            page.wait_for_selector("#badge:not([hidden])")
            open_panels(page)
            page.check("input[name=where][value=device]")
            page.set_input_files("#file", STREET)
            page.wait_for_selector("body[data-state=done]", timeout=120_000)
            assert page.evaluate(_KEPT) == 2  # the page, and its model
        finally:
            context.close()
            counting.stop()
    whole = [path for path, status, _ in counting.answers if status == 200]
    large = {path for path, _, size in counting.answers if size > 20_000}
    assert any(path.endswith(".wasm") for path in large)
    assert any(path.startswith("/models/") for path in large)
    assert {path: whole.count(path) for path in large} == dict.fromkeys(large, 1)
    assert sum(size for _, _, size in counting.answers) <= 6_500_000


def test_a_new_version_arrives_when_the_user_wants_it(
    tmp_path: Path, host: Host, visitor: Any, web: Path, model: AudioModel
) -> None:
    folder = tmp_path / "public" / "page"
    export_page(folder, [model], web=web)
    page = visitor.new_page()
    page.goto(f"{host.address}page/")
    assert page.evaluate(_READY)
    before = page.evaluate(_CACHED)
    (web / "style.css").write_text("/* the second version */\n")
    export_page(folder, [model], web=web)
    sheet = "fetch('style.css').then((response) => response.text())"
    assert "second version" not in page.evaluate(sheet)
    page.evaluate("""async () => {
      const { registerOffline } = await import("./core/register.js");
      self.offered = new Promise((resolve) => registerOffline({ onUpdate: resolve }));
      await (await navigator.serviceWorker.ready).update();
      await self.offered;
    }""")
    assert "second version" not in page.evaluate(sheet), "not before it is wanted"
    with page.expect_navigation():
        page.evaluate("async () => void (await self.offered)()")
    assert "second version" in page.evaluate(sheet)
    page.evaluate(_READY)
    after = page.evaluate(_CACHED)
    assert len(after) == 2
    assert after["oido-models"] == before["oido-models"], "the same model is not fetched again"
    assert set(after) != set(before)


def test_a_version_that_is_not_whole_is_not_taken(
    tmp_path: Path, host: Host, visitor: Any, web: Path, model: AudioModel
) -> None:
    folder = tmp_path / "public" / "page"
    export_page(folder, [model], web=web)
    (folder / "core" / "wav.js").write_text("// cut off\n")
    page = visitor.new_page()
    page.goto(f"{host.address}page/manifest.webmanifest")
    page.set_content("<title>none</title>")
    state = page.evaluate("""async () => {
      const registration = await navigator.serviceWorker.register("sw.js");
      const worker = registration.installing;
      await new Promise((resolve) => (worker.onstatechange = resolve));
      return worker.state;
    }""")
    assert state == "redundant"


def test_a_browser_without_relaxed_simd_keeps_the_other_build(
    host: Host, visitor: Any, tmp_path: Path, web: Path, model: AudioModel
) -> None:
    folder = tmp_path / "public" / "page"
    script = (web / "sw.js").read_text(encoding="utf-8")
    test = "WebAssembly.validate(new Uint8Array(RELAXED_SIMD))"
    assert test in script
    (web / "sw.js").write_text(script.replace(test, "false"), encoding="utf-8")
    export_page(folder, [model], web=web)
    page = visitor.new_page()
    page.goto(f"{host.address}page/")
    assert page.evaluate(_READY)
    kept = [url for urls in page.evaluate(_CACHED).values() for url in urls]
    builds = sorted(url.rsplit("/", 1)[1] for url in kept if "litert_wasm" in url)
    assert builds == ["litert_wasm_compat_internal.js", "litert_wasm_compat_internal.wasm"]


def test_it_can_be_installed(
    tmp_path: Path, host: Host, visitor: Any, web: Path, model: AudioModel
) -> None:
    """What Chromium says of the manifest, and the sizes that the icons really have."""
    export_page(tmp_path / "public" / "page", [model], web=web)
    page = visitor.new_page()
    page.goto(f"{host.address}page/")
    assert page.evaluate(_READY)
    devtools = visitor.new_cdp_session(page)
    told = devtools.send("Page.getAppManifest")
    assert told["errors"] == []
    assert told["url"] == f"{host.address}page/manifest.webmanifest"
    errors = devtools.send("Page.getInstallabilityErrors")["installabilityErrors"]
    # A context of a test is "incognito": that is not the page's fault.
    assert [e["errorId"] for e in errors if e["errorId"] != "in-incognito"] == []
    sizes = page.evaluate("""async () => {
      const manifest = await (await fetch("manifest.webmanifest")).json();
      return await Promise.all(manifest.icons.map(async ({ src, sizes }) => {
        const picture = await createImageBitmap(await (await fetch(src)).blob());
        return [sizes, `${picture.width}x${picture.height}`];
      }));
    }""")
    assert len(sizes) == 3
    assert all(said == real for said, real in sizes)
