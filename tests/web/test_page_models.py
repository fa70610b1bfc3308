# SPDX-License-Identifier: Apache-2.0
"""Models that somebody brings to the page, and another model while it listens."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import flatbuffers
import pytest
from ai_edge_litert import schema_py_generated as schema

from oido.models.loading import load_model
from oido.server.page_files import export_page
from tests.web.browsing import STREET, Host, Pages, hear_street, notice_of, open_panels, rows_of

_BAD = {
    "text": b"this is no model at all " * 50,
    "empty": b"",
    "no metadata": b"\x1c\x00\x00\x00TFL3" + b"\x00" * 400,
}


def _options(page: Any) -> list[str]:
    names: list[str] = page.eval_on_selector_all("#model option", "all => all.map(o => o.value)")
    return names


@pytest.mark.parametrize("language", ["en-US", "es-ES"])
def test_a_bad_one_is_refused_when_it_comes(pages: Pages, on_device: None, language: str) -> None:
    page = pages.open("server", language=language)
    before, chosen = _options(page), page.input_value("#model")
    said = {"en-US": "birds.tflite cannot be loaded:", "es-ES": "No se puede cargar birds.tflite:"}
    for kind, content in _BAD.items():
        page.set_input_files(
            "#own-model-file", {"name": "birds.tflite", "mimeType": "", "buffer": content}
        )

        text = notice_of(page)
        assert text.startswith(said[language]), kind
        if language == "es-ES":
            assert not any(word in text for word in (" the ", " it ", " has ", " not ")), kind
        assert _options(page) == before, kind
        assert page.input_value("#model") == chosen, kind
        assert page.is_checked("input[value=server]"), kind  # as before
        page.reload()
        page.wait_for_selector("#badge:not([hidden])")
        assert _options(page) == before, kind


def test_a_bad_one_stops_nothing(pages: Pages, on_device: None) -> None:
    page = pages.open("device")
    hear_street(page)
    before = rows_of(page)
    page.click("#listen")
    page.wait_for_selector("body[data-listening]")

    page.set_input_files(
        "#own-model-file", {"name": "birds.tflite", "mimeType": "", "buffer": b"no" * 99}
    )

    assert notice_of(page).startswith("birds.tflite cannot be loaded:")
    assert page.get_attribute("body", "data-state") == "live"
    page.click("#tab-list .tab >> nth=0")
    assert rows_of(page) == before


def test_a_good_one_is_kept_until_it_is_taken_away(
    pages: Pages, on_device: None, taught: Path
) -> None:
    page = pages.open("device")
    page.set_input_files("#own-model-file", taught)
    page.wait_for_selector("#model-about:has-text('calibration')")
    _kept(page, taught.name)

    page.reload()
    page.wait_for_selector("#badge:not([hidden])")
    assert page.input_value("#model") == taught.name
    page.wait_for_selector("#model-about:has-text('Probabilities come from')")
    hear_street(page)
    assert f"by {taught.name}, on this device" in page.inner_text("#status-by")
    heard = rows_of(page)
    assert len(heard) > 2
    assert "not probabilities" not in page.inner_text("#model-about")

    page.click("#own-remove")
    assert notice_of(page) == f"{taught.name} was removed from this device."
    assert taught.name not in _options(page)
    page.reload()
    page.wait_for_selector("#badge:not([hidden])")
    assert taught.name not in _options(page)
    assert page.is_hidden("#own-remove")


def test_a_browser_that_keeps_no_files_says_so(pages: Pages, on_device: None, taught: Path) -> None:
    page = pages.open("device", before="delete StorageManager.prototype.getDirectory;")
    page.set_input_files("#own-model-file", taught)
    assert notice_of(page).startswith(f"{taught.name} is here until this page is closed")
    hear_street(page)
    assert len(rows_of(page)) > 2


@pytest.fixture
def two_models(tmp_path: Path, model: Any, taught: Path) -> Any:
    export_page(tmp_path / "site", [model, load_model(taught)])
    host = Host(tmp_path / "site")
    yield host
    host.stop()


def test_another_model_goes_on_listening_and_says_so(
    pages: Pages, on_device: None, two_models: Host, taught: Path
) -> None:
    page = pages.open(None, address=two_models.address)
    page.wait_for_selector("#badge:not([hidden])")
    page.click("#listen")
    page.wait_for_selector("body[data-listening]")
    page.wait_for_function("() => document.querySelectorAll('#rows tr').length > 0", timeout=40_000)

    page.select_option("#model", taught.stem)
    page.wait_for_selector(f"#status-by:has-text('{taught.stem}')")

    assert notice_of(page).startswith(f"Listening goes on by {taught.stem}")
    assert page.get_attribute("body", "data-state") == "live"
    page.wait_for_function("() => document.querySelectorAll('#bars li').length > 0", timeout=40_000)
    assert page.text_content("#value-title") == "probability"
    page.click("#listen")
    page.wait_for_selector("body[data-state=done]")
    page.click("#tab-list .tab >> nth=0")
    page.wait_for_selector("#status-by:has-text('yamnet/classification')")
    assert page.text_content("#value-title") == "score"
    assert len(rows_of(page)) > 0


def test_another_model_hears_a_recording_beside_what_was_heard(
    pages: Pages, on_device: None, two_models: Host, taught: Path
) -> None:
    page = pages.open(None, address=two_models.address)
    page.wait_for_selector("#badge:not([hidden])")
    hear_street(page)
    before = rows_of(page)

    page.select_option("#model", taught.stem)
    page.wait_for_selector(f"#status-by:has-text('{taught.stem}')")
    page.wait_for_selector("body[data-state=done]")

    texts = page.eval_on_selector_all("#tab-list .tab", "tabs => tabs.map(tab => tab.innerText)")
    assert texts == ["street.flac · yamnet/classification", f"street.flac · {taught.stem}"]
    page.click("#tab-list .tab >> nth=0")
    assert rows_of(page) == before
    assert STREET.name in page.inner_text("#status")


def _with_int8_input(content: bytes) -> bytes:
    """The model, as if it wanted what a student does."""
    model = schema.ModelT.InitFromPackedBuf(content, 0)
    (graph,) = model.subgraphs
    graph.tensors[graph.inputs[0]].type = schema.TensorType.INT8
    builder = flatbuffers.Builder(len(content))
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


_IS_KEPT = """async name => {
  const root = await navigator.storage.getDirectory();
  const folder = await root.getDirectoryHandle("models", {create: true});
  try { return (await (await folder.getFileHandle(name)).getFile()).size > 0; }
  catch { return false; }
}"""


def _kept(page: Any, name: str) -> None:
    """Wait until the browser has kept it."""
    for _ in range(200):
        if page.evaluate(_IS_KEPT, name):
            return
        page.wait_for_timeout(50)
    raise AssertionError(f"{name} was not kept")


def _reload(page: Any) -> None:
    page.reload()
    page.wait_for_selector("#badge:not([hidden])")
    open_panels(page)


def test_one_that_was_taken_away_comes_back(pages: Pages, on_device: None, taught: Path) -> None:
    page = pages.open("device")
    page.set_input_files("#own-model-file", taught)
    _kept(page, taught.name)
    _reload(page)  # from here on the browser's own copy is the only one
    page.wait_for_selector("#own-remove:not([hidden])")

    page.click("#own-remove")
    page.wait_for_selector("#notice-text:has-text('was removed')")
    page.click("#notice-action")

    page.wait_for_function(f"() => document.querySelector('#model').value === '{taught.name}'")
    hear_street(page)
    assert f"by {taught.name}, on this device" in page.inner_text("#status-by")
    _reload(page)
    assert page.input_value("#model") == taught.name


def test_one_that_another_tab_took_away_is_named_as_gone(
    pages: Pages, on_device: None, taught: Path
) -> None:
    page = pages.open("device")
    page.set_input_files("#own-model-file", taught)
    _kept(page, taught.name)
    _reload(page)
    page.evaluate(
        """async name => {
          const root = await navigator.storage.getDirectory();
          await (await root.getDirectoryHandle("models")).removeEntry(name);
        }""",
        taught.name,
    )

    page.set_input_files("#file", STREET)

    page.wait_for_selector("#notice:not([hidden])")
    assert "it is not there any more; choose another one" in notice_of(page)
    page.click("#own-remove")
    page.wait_for_selector("#notice-text:has-text('was removed')")
    assert page.is_hidden("#notice-action")  # nothing brings it back
    assert taught.name not in _options(page)
    hear_street(page)


def test_one_that_was_written_anew_is_heard_as_it_came(
    pages: Pages, on_device: None, taught: Path, tmp_path: Path
) -> None:
    model = tmp_path / "mine.tflite"
    model.write_bytes(taught.read_bytes())
    page = pages.open("device")
    page.set_input_files("#own-model-file", model)
    _kept(page, model.name)
    page.select_option("#model", "yamnet/classification")
    hear_street(page)
    model.write_bytes(b"not yet whole")

    page.select_option("#model", model.name)

    page.wait_for_selector(f"#status-by:has-text('by {model.name}')")
    assert page.is_hidden("#notice")


def test_what_was_said_of_a_bad_one_goes_with_a_good_one(
    pages: Pages, on_device: None, taught: Path
) -> None:
    page = pages.open("device")
    hear_street(page)
    page.set_input_files(
        "#own-model-file", {"name": "birds.tflite", "mimeType": "", "buffer": b"no" * 99}
    )
    assert notice_of(page).startswith("birds.tflite cannot be loaded:")

    page.set_input_files("#own-model-file", taught)

    page.wait_for_selector(f"#status-by:has-text('by {taught.name}')")
    page.wait_for_selector("#notice", state="hidden")


def test_of_several_those_that_are_bad_are_named(
    pages: Pages, on_device: None, taught: Path
) -> None:
    """Also where a good one, or a recording, comes after them."""
    page = pages.open("device")
    good = {"name": "good.tflite", "mimeType": "", "buffer": taught.read_bytes()}
    bad = [{"name": f"{n}.tflite", "mimeType": "", "buffer": b"no" * 99} for n in "ab"]
    street = {"name": STREET.name, "mimeType": "", "buffer": STREET.read_bytes()}

    page.set_input_files("#file", [bad[0], good])

    page.wait_for_function("() => document.querySelector('#model').value === 'good.tflite'")
    page.wait_for_selector("#notice-text:has-text('a.tflite cannot be loaded:')")

    page = pages.open("device")
    page.set_input_files("#file", [*bad, street])

    page.wait_for_selector("#notice-text:has-text('a.tflite and 1 more cannot be loaded:')")
    page.wait_for_selector("body[data-state=done]")
    assert page.inner_text("#notice-text").startswith("a.tflite and 1 more cannot be loaded:")


@pytest.mark.parametrize(("language", "part"), [("en-US", "waveform"), ("es-ES", "forma de onda")])
def test_one_for_microcontrollers_is_called_so(
    pages: Pages, on_device: None, taught: Path, language: str, part: str
) -> None:
    page = pages.open("device", language=language)
    content = _with_int8_input(taught.read_bytes())

    page.set_input_files(
        "#own-model-file", {"name": "small.tflite", "mimeType": "", "buffer": content}
    )

    text = notice_of(page)
    assert part in text
    assert "--student" in text
