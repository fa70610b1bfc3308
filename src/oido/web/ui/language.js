// SPDX-License-Identifier: Apache-2.0
// Which language the page speaks, and what it is remembered by.

import { WORDS } from "./words.js";
import { recall, remember } from "./memory.js";

let language = chosen();
let translations = {};
const listeners = new Set();

function chosen() {
  const kept = recall("language");
  if (kept in WORDS) return kept;
  const wanted = (navigator.languages ?? [navigator.language]).map((tag) => tag.slice(0, 2));
  return wanted.find((tag) => tag in WORDS) ?? "en";
}

export function currentLanguage() {
  return language;
}

// Speaks another language from now on, and tells everyone who said onLanguage.
export function setLanguage(next) {
  language = next;
  remember("language", next);
  for (const listener of listeners) listener(next);
}

export function onLanguage(listener) {
  listeners.add(listener);
}

// A text by its key, its values filled in.
export function t(key, values = {}) {
  return WORDS[language][key].replace(/\{(\w+)\}/g, (_, name) => values[name]);
}

// names: {language: {label: name}}, of those languages whose names are not the labels.
export function setTranslations(names) {
  translations = names ?? {};
}

// What to show for a label of a model.
export function nameOf(label) {
  return translations[language]?.[label] ?? label;
}

// Writes the texts of every element that has data-t (its text) or data-t-label (aria-label, title).
export function translatePage(root = document) {
  document.documentElement.lang = language;
  document.title = t("title");
  for (const element of root.querySelectorAll("[data-t]")) {
    element.textContent = t(element.dataset.t);
  }
  for (const element of root.querySelectorAll("[data-t-label]")) {
    const text = t(element.dataset.tLabel);
    element.setAttribute("aria-label", text);
    if (element.matches("button")) element.title = text;
  }
}

const digits = (value, places) =>
  value.toLocaleString(language, { minimumFractionDigits: places, maximumFractionDigits: places });

// A score with two decimals, as the language writes them.
export const scoreText = (score) => digits(score, 2);
export const secondsText = (seconds) => digits(seconds, 1);

// Seconds as a clock shows them: 1:02.5, 1:00:00.
export function clock(seconds, places = 1) {
  const scale = 10 ** places;
  const rounded = Math.round(seconds * scale) / scale;
  const hours = Math.floor(rounded / 3600);
  const minutes = Math.floor(rounded / 60) % 60;
  const rest = rounded - hours * 3600 - minutes * 60;
  const shown = digits(rest, places).padStart(places ? 3 + places : 2, "0");
  return hours ? `${hours}:${String(minutes).padStart(2, "0")}:${shown}` : `${minutes}:${shown}`;
}
