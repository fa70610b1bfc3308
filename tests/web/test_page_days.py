# SPDX-License-Identifier: Apache-2.0
"""What was heard over days: by the hour, as a file of its own, and safe while it is listened to."""

from __future__ import annotations

import csv
import io
import zipfile
from typing import Any

import pytest
import soundfile

from tests.web.browsing import PHONE, Pages, hear_street, rows_of


def test_a_session_is_saved_with_the_sound_of_its_events(pages: Pages, on_device: None) -> None:
    page = pages.open("device", language="es-ES")
    hear_street(page)
    rows = rows_of(page)
    with page.expect_download() as downloading:
        page.click("#save-zip")
    assert downloading.value.suggested_filename == "street.zip"
    with zipfile.ZipFile(downloading.value.path()) as packed:
        assert packed.testzip() is None
        table, *clips = packed.namelist()
        assert table == "events.csv"
        saved = list(csv.DictReader(io.StringIO(packed.read(table).decode("utf-8"))))
        assert [row["label"] for row in saved] == [what for _, what in rows]
        assert len(clips) == len(rows)
        for name, (time, label) in zip(clips, rows):
            assert name.startswith("clips/")
            assert label.split(" ")[0].strip(",") in name
            samples, rate_hz = soundfile.read(io.BytesIO(packed.read(name)))
            start, end = (float(part.split(":")[1].replace(",", ".")) for part in time.split(" – "))
            longest = end - start + 1.2
            assert end - start < len(samples) / rate_hz < longest
    assert page.is_hidden("#notice")


def test_clips_that_are_not_kept_are_said_to_be_left_out(pages: Pages, on_device: None) -> None:
    page = pages.open("device", size=PHONE)
    hear_street(page)
    n = len(rows_of(page))
    page.evaluate(
        """async () => {
          const {WholeAudio} = await import("./ui/recent.js");
          const read = WholeAudio.prototype.read;
          WholeAudio.prototype.read = async function (start, n) {
            return start > 10 * this.sampleRateHz ? read.call(this, start, n) : null;
          };
        }"""
    )
    with page.expect_download() as downloading:
        page.click("#save-zip")
    page.wait_for_selector("#notice", state="visible")
    with zipfile.ZipFile(downloading.value.path()) as packed:
        kept = len(packed.namelist()) - 1
    assert 0 < kept < n
    assert f"the sound of {kept} of {n} events" in page.inner_text("#notice-text")


_ZIP = """async (entries) => {
  const {zipFiles} = await import("./core/zip.js");
  const {packedFiles} = await import("./core/archive.js");
  const blob = await zipFiles(entries, new Date(2026, 4, 12, 13, 14, 16));
  const bytes = new Uint8Array(await blob.arrayBuffer());
  const again = [...await packedFiles(bytes)].map(([name, content]) =>
    [name, new TextDecoder().decode(content)]);
  return [[...bytes], again, blob.type];
}"""


@pytest.mark.parametrize(
    "entries",
    [
        [],
        [("a.txt", "hello")],
        [("sábana/ñ 1.txt", "¿qué?"), ("empty", ""), ("b" * 200, "x" * 70_000)],
    ],
)
def test_zips_are_as_python_reads_them(pages: Pages, entries: list[tuple[str, str]]) -> None:
    page = pages.open("server")
    content, again, kind = page.evaluate(
        _ZIP, [{"name": name, "content": text} for name, text in entries]
    )
    assert kind == "application/zip"
    with zipfile.ZipFile(io.BytesIO(bytes(content))) as packed:
        assert packed.testzip() is None
        read = [(info.filename, packed.read(info).decode("utf-8")) for info in packed.infolist()]
        assert {info.date_time for info in packed.infolist()} <= {(2026, 5, 12, 13, 14, 16)}
    assert read == entries
    assert [tuple(each) for each in again] == entries


def test_more_files_than_a_zip_holds_are_refused(pages: Pages) -> None:
    page = pages.open("server")
    said = page.evaluate(
        """async () => {
          const {zipFiles} = await import("./core/zip.js");
          const many = Array.from({length: 65_536}, (_, n) => ({name: `${n}`, content: ""}));
          return zipFiles(many).catch(error => [error.name, error.message]);
        }"""
    )
    assert said == ["RangeError", "a ZIP holds no 65536 files"]


def test_hours_are_counted_by_the_clock_of_the_device(pages: Pages) -> None:
    page = pages.open("server", timezone_id="America/Lima")
    rows = page.evaluate(
        """async () => {
          const {countByHour} = await import("./ui/days.js");
          const began = Date.UTC(2026, 4, 12, 4, 30);  // 23:30 there
          const event = ([label, startTime]) => ({label, startTime});
          return countByHour([
            {began, events: [["Dog", 0], ["Dog", 1799], ["Dog", 1801], ["Owl", 5]].map(event)},
            {began: began + 86_400_000, events: [event(["Dog", 10])]},
          ]).map(({label, hours, total}) =>
            [label, total, hours.flatMap((n, hour) => n ? [[hour, n]] : [])]);
        }"""
    )
    assert rows == [["Dog", 4, [[0, 1], [23, 3]]], ["Owl", 1, [[23, 1]]]]


def test_what_the_microphone_heard_is_shown_by_the_hour(pages: Pages, on_device: None) -> None:
    page = pages.open("device", size={"width": 320, "height": 700})
    hear_street(page)
    assert page.is_hidden("#days")  # of a recording, nobody knows the hour
    page.click("#listen")
    page.wait_for_selector("body[data-listening]")
    page.wait_for_function("() => document.querySelectorAll('#rows tr').length > 2", timeout=40_000)
    page.click("#listen")
    page.wait_for_selector("#status:has-text('Microphone')")
    page.wait_for_selector("#days-table td[data-family]")
    assert page.inner_text("#days-line") == "1 session"
    hour = page.evaluate("() => new Date().getHours()")
    cells = page.eval_on_selector_all(
        "#days-table tr",
        "rows => rows.slice(1).map(r => [r.cells[0].textContent, "
        "[...r.cells].slice(1).map(c => Number(c.textContent))])",
    )
    assert {what for _, what in rows_of(page)} == {name for name, _ in cells}
    for name, counts in cells:
        assert len(counts) == 24
        assert sum(counts) == sum(what == name for _, what in rows_of(page))
        assert counts[hour] + counts[hour - 1] == sum(counts)
    assert page.evaluate("() => document.documentElement.scrollWidth") == 320

    page.click("#tab-list li:last-child button[aria-label^='Remove']")
    assert page.is_hidden("#days")


def test_what_is_listened_to_is_kept_every_few_seconds(pages: Pages, on_device: None) -> None:
    page: Any = pages.open("device")
    page.click("#listen")
    page.wait_for_selector("body[data-state=live]")
    seen = """async () => {
      const {storedRecords} = await import("./ui/session_store.js");
      const records = await storedRecords();
      return records.length ? records[0].nSamples : 0;
    }"""
    page.wait_for_function(f"async () => (await ({seen})()) > 0", timeout=30_000)
    first = page.evaluate(seen)
    page.wait_for_function(f"async () => (await ({seen})()) > {first}", timeout=30_000)
    assert page.evaluate(seen) - first < 15 * 16_000


def test_the_screen_stays_on_while_it_listens(pages: Pages, on_device: None) -> None:
    before = """
    window.awake = 0;
    Object.defineProperty(navigator, "wakeLock", {configurable: true, value: {
      request: async () => {
        window.awake += 1;
        return {release: async () => { window.awake -= 1; }};
      },
    }});
    """
    page: Any = pages.open("device", before=before)
    assert page.evaluate("() => window.awake") == 0
    page.click("#listen")
    page.wait_for_function("() => window.awake === 1")
    page.click("#listen")
    page.wait_for_function("() => window.awake === 0")
