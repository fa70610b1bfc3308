// SPDX-License-Identifier: Apache-2.0

/* The strongest sounds of now, as a few bars that move smoothly. */

import { nameOf, scoreText } from "./language.js";
import { valueOf } from "./history.js";

/** @import { Category } from "../types.js" */

const FADING = 0.7; // of what a sound had, per window: it leaves slowly, so that it can be read
const LEAD = 0.06; // by which a sound must be stronger to take the place of one that is shown

/** Weaker sounds are not shown. */
export const LEAST = 0.08;

export class Bars {
  #list;
  #most;
  /** @type {Map<number, HTMLElement>} */
  #rows = new Map();
  /** @type {Map<number, number>} */
  #levels = new Map();

  /**
   * @param {HTMLElement} list
   * @param {number} most
   */
  constructor(list, most) {
    this.#list = list;
    this.#most = most;
  }

  /**
   * Show the categories of a moment (strongest first), at once and no others.
   * @param {Category[]} categories
   * @param {string[]} labels
   */
  show(categories, labels) {
    this.#levels.clear();
    this.#arrange(categories.slice(0, this.#most), labels);
  }

  /**
   * Show the categories of the next window of a stream.
   * @param {Category[]} categories
   * @param {string[]} labels
   */
  follow(categories, labels) {
    const now = new Map(categories.map((one) => [one.labelIndex, one]));
    for (const [index, level] of this.#levels) this.#levels.set(index, level * FADING);
    for (const [index, one] of now) {
      this.#levels.set(index, Math.max(this.#levels.get(index) ?? 0, valueOf(one)));
    }
    for (const [index, level] of this.#levels) if (level < LEAST) this.#levels.delete(index);
    // What is over stands below what is heard, until it is gone.
    const order = (/** @type {number} */ index) => {
      const one = now.get(index);
      const value = one ? valueOf(one) : 0;
      return value < LEAST ? (this.#levels.get(index) ?? 0) * LEAST : value + (this.#rows.has(index) ? LEAD : 0);
    };
    const shown = [...this.#levels.keys()].sort((a, b) => order(b) - order(a)).slice(0, this.#most);
    /** @type {(labelIndex: number) => Category} */
    const silent = (labelIndex) => ({ labelIndex, score: 0, probability: null });
    this.#arrange(shown.map((index) => now.get(index) ?? silent(index)), labels);
  }

  clear() {
    this.#levels.clear();
    this.#arrange([], []);
  }

  get isEmpty() {
    return this.#rows.size === 0;
  }

  /**
   * @param {Category[]} categories
   * @param {string[]} labels
   */
  #arrange(categories, labels) {
    const wanted = new Set(categories.map((one) => one.labelIndex));
    for (const [index, row] of this.#rows) {
      if (wanted.has(index)) continue;
      row.remove();
      this.#rows.delete(index);
    }
    categories.forEach((one, place) => {
      const row = this.#rows.get(one.labelIndex) ?? this.#newRow(one.labelIndex);
      const value = valueOf(one);
      row.style.setProperty("--place", String(place));
      row.classList.toggle("fading", value < LEAST);
      row.style.setProperty("--value", value.toFixed(4));
      const [name, score] = row.children;
      name.textContent = nameOf(labels[one.labelIndex]);
      score.textContent = scoreText(value);
    });
  }

  /** @param {number} index */
  #newRow(index) {
    const row = document.createElement("li");
    row.className = "bar";
    const spans = ["name", "score", "track"].map((part) => {
      const span = document.createElement("span");
      span.className = `bar-${part}`;
      return span;
    });
    spans[2].append(document.createElement("span"));
    row.append(...spans);
    this.#rows.set(index, row);
    this.#list.append(row);
    return row;
  }
}
