# SPDX-License-Identifier: Apache-2.0
"""Tests that share a page share nothing else."""

from __future__ import annotations

from typing import Any

from tests.web.browsing import DESKTOP, PHONE, Pages, Served
from tests.web.warm import WarmPages

_LEAVE = """async () => {
  localStorage.setItem("left", "left");
  sessionStorage.setItem("left", "left");
  await (await caches.open("left")).put("/left", new Response("left"));
  const folder = await navigator.storage.getDirectory();
  await folder.getFileHandle("left", {create: true});
  await new Promise((resolve) => {
    const request = indexedDB.open("left", 1);
    request.onupgradeneeded = () => request.result.createObjectStore("left");
    request.onsuccess = () => resolve(request.result.close());
  });
  window.left = true;
}"""

_FOUND = """async () => {
  const files = [];
  for await (const name of (await navigator.storage.getDirectory()).keys()) files.push(name);
  return [
    Object.keys(localStorage), Object.keys(sessionStorage), await caches.keys(), files,
    (await indexedDB.databases()).map(({name}) => name),
    "left" in window, matchMedia("(prefers-color-scheme: dark)").matches, innerWidth,
  ];
}"""


def test_a_page_begins_empty(browser: Any, served: Served) -> None:
    warm = WarmPages(browser, served.address)
    before = Pages(browser, served.address, warm)
    page = before.open(None, before="window.before = true;", size=PHONE)
    page.wait_for_selector("#badge:not([hidden])")  # it asks for nothing more
    assert page.evaluate("() => window.before")
    page.evaluate(_LEAVE)
    page.emulate_media(color_scheme="dark")
    page.route("**/page.json", lambda route: route.abort())
    page.context.new_page().goto(served.address)
    *stored, has_global, is_dark, width = page.evaluate(_FOUND)
    assert all("left" in names for names in stored)
    assert (has_global, is_dark, width) == (True, True, PHONE["width"])
    before.close()

    after = Pages(browser, served.address, warm)
    again = after.open("server")
    assert again is page
    assert again.evaluate("() => 'before' in window") is False
    assert again.context.pages == [page]
    *stored, has_global, is_dark, width = again.evaluate(_FOUND)
    assert not any("left" in names for names in stored)
    assert (has_global, is_dark, width) == (False, False, DESKTOP["width"])
    after.close()
    warm.close()
    assert (after.errors, before.errors) == ([], [])
