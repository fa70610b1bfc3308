// SPDX-License-Identifier: Apache-2.0
// Light or dark: as the system is, until somebody chooses.

import { byId } from "./elements.js";
import { recall, remember } from "./memory.js";

/** The style sheet of the colours by night. */
const dark = byId("dark", HTMLLinkElement);
const system = matchMedia("(prefers-color-scheme: dark)");
/** @type {Set<() => void>} */
const listeners = new Set();

export function isDark() {
  const chosen = document.documentElement.dataset.theme;
  return chosen ? chosen === "dark" : system.matches;
}

export function startTheme() {
  const kept = recall("theme");
  if (kept === "dark" || kept === "light") choose(kept);
  system.addEventListener("change", tell);
}

export function switchTheme() {
  const next = isDark() ? "light" : "dark";
  choose(next);
  remember("theme", next);
  tell();
}

/** @param {"dark" | "light"} theme */
function choose(theme) {
  document.documentElement.dataset.theme = theme;
  dark.media = theme === "dark" ? "all" : "not all";
}

/** @param {() => void} listener */
export function onTheme(listener) {
  listeners.add(listener);
}

function tell() {
  for (const listener of listeners) listener();
}

/**
 * A colour of the style sheet, for canvases.
 * @param {string} name
 */
export function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}
