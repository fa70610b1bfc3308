// SPDX-License-Identifier: Apache-2.0
// Which language the page speaks, and what it is remembered by.

import { WORDS } from "./words.js";
import { recall, remember } from "./memory.js";

/**
 * @typedef {keyof typeof WORDS} Language
 * @typedef {keyof typeof WORDS.en} Key of a text
 * @typedef {Record<string, string | number>} Values that stand in a text
 */

/** Of an event that is none of the model's labels (core/detector.js). */
const UNKNOWN_LABEL = "unknown";

let language = initialLanguage();
/** @type {Record<string, Record<string, string>>} */
let translations = {};
/** @type {Set<(language: Language) => void>} */
const listeners = new Set();

/**
 * @param {string | null} tag
 * @returns {tag is Language}
 */
function isLanguage(tag) {
  return tag !== null && tag in WORDS;
}

/** What was chosen here, or else by whoever exported the page, or else what the browser wants. */
function initialLanguage() {
  for (const chosen of [recall("language"), document.documentElement.dataset.locale ?? null]) {
    if (isLanguage(chosen)) return chosen;
  }
  const wanted = (navigator.languages ?? [navigator.language]).map((tag) => tag.slice(0, 2));
  return wanted.find(isLanguage) ?? "en";
}

export function currentLanguage() {
  return language;
}

/**
 * Speaks another language from now on, and calls everyone who asked for `onLanguage`. One that is not here changes
 * nothing.
 * @param {string} next
 */
export function setLanguage(next) {
  if (!isLanguage(next)) return;
  language = next;
  remember("language", next);
  for (const listener of listeners) listener(next);
}

/** @param {(language: Language) => void} listener */
export function onLanguage(listener) {
  listeners.add(listener);
}

/**
 * A text by its key, its values filled in.
 * @param {Key} key
 * @param {Values} [values]
 */
export function t(key, values = {}) {
  return WORDS[language][key].replace(/\{(\w+)\}/g, (_, name) => String(values[name]));
}

/**
 * Names of labels by language and label, of those languages whose names are not the labels.
 * @param {Record<string, Record<string, string>>} names
 */
export function setTranslations(names) {
  translations = names;
}

/**
 * What to show for a label of a model.
 * @param {string} label
 */
export function nameOf(label) {
  if (label === UNKNOWN_LABEL) return t("unknownSound");
  return translations[language]?.[label] ?? label;
}

/**
 * Words as they are searched for: without case and accents.
 * @param {string} words
 */
export function plain(words) {
  return words.toLocaleLowerCase(language).normalize("NFD").replace(/\p{M}/gu, "");
}

/**
 * The label of a name as it was typed, in this language or that of the labels; best the one that is written just so.
 * @param {string[]} labels
 * @param {string} name
 */
export function labelNamed(labels, name) {
  const words = plain(name);
  return (
    labels.find((label) => [label, nameOf(label)].includes(name)) ??
    labels.find((label) => [label, nameOf(label)].some((each) => plain(each) === words))
  );
}

/** Writes the texts of every element that has data-t (its text) or data-t-label (aria-label, title). */
export function translatePage() {
  document.documentElement.lang = language;
  document.title = t("title");
  for (const element of translated("[data-t]")) {
    element.textContent = t(keyIn(element.dataset.t));
  }
  for (const element of translated("[data-t-label]")) {
    const text = t(keyIn(element.dataset.tLabel));
    element.setAttribute("aria-label", text);
    if (element instanceof HTMLButtonElement) element.title = text;
  }
  translatePlaceholders();
}

/** Writes the texts of every input that has data-t-placeholder. */
function translatePlaceholders() {
  for (const input of document.querySelectorAll("input[data-t-placeholder]")) {
    if (input instanceof HTMLInputElement) input.placeholder = t(keyIn(input.dataset.tPlaceholder));
  }
}

/** @type {(selector: string) => NodeListOf<HTMLElement>} */
const translated = (selector) => document.querySelectorAll(selector);

/**
 * A key that index.html names. Throws for one that is not in words.js.
 * @param {string | undefined} name
 */
function keyIn(name) {
  if (name === undefined || !(name in WORDS.en)) throw new TypeError(`words.js has no such text: ${name}`);
  return /** @type {Key} */ (name);
}

/** @type {(value: number, places: number) => string} */
const digits = (value, places) =>
  value.toLocaleString(language, { minimumFractionDigits: places, maximumFractionDigits: places });

/** A score with two decimals, as the language writes them. */
export const scoreText = (/** @type {number} */ score) => digits(score, 2);
export const secondsText = (/** @type {number} */ seconds) => digits(seconds, 1);
/** A number with as many decimals as it has, up to three. */
export const shortNumber = (/** @type {number} */ value) => value.toLocaleString(language, { maximumFractionDigits: 3 });

/**
 * Seconds as a clock shows them: 1:02.5, 1:00:00.
 * @param {number} seconds
 * @param {number} [places] decimals
 */
export function clock(seconds, places = 1) {
  const scale = 10 ** places;
  const rounded = Math.round(seconds * scale) / scale;
  const hours = Math.floor(rounded / 3600);
  const minutes = Math.floor(rounded / 60) % 60;
  const rest = rounded - hours * 3600 - minutes * 60;
  const shown = digits(rest, places).padStart(places ? 3 + places : 2, "0");
  return hours ? `${hours}:${String(minutes).padStart(2, "0")}:${shown}` : `${minutes}:${shown}`;
}
