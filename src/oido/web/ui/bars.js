// SPDX-License-Identifier: Apache-2.0

/* The strongest sounds of now, as a few bars that move smoothly. */

import { nameOf, scoreText } from "./language.js";
import { valueOf } from "./history.js";

const FADING = 0.7; // of what a sound had, per window: it leaves slowly, so that it can be read
const LEAD = 0.06; // by which a sound must be stronger to take the place of one that is shown

/** Weaker sounds are not shown. */
export const LEAST = 0.08;

export class Bars {
  #list;
  #most;
  #rows = new Map();
  #levels = new Map();

  constructor(list, most) {
    this.#list = list;
    this.#most = most;
  }

  /** Show the categories of a moment (strongest first), at once and no others. */
  show(categories, labels) {
    this.#levels.clear();
    this.#arrange(categories.slice(0, this.#most), labels);
  }

  /** Show the categories of the next window of a stream. */
  follow(categories, labels) {
    const now = new Map(categories.map((one) => [one.labelIndex, one]));
    for (const [index, level] of this.#levels) this.#levels.set(index, level * FADING);
    for (const [index, one] of now) {
      this.#levels.set(index, Math.max(this.#levels.get(index) ?? 0, valueOf(one)));
    }
    for (const [index, level] of this.#levels) if (level < LEAST) this.#levels.delete(index);
    // What is over stands below what is heard, until it is gone.
    const order = (index) => {
      const value = now.has(index) ? valueOf(now.get(index)) : 0;
      return value < LEAST ? this.#levels.get(index) * LEAST : value + (this.#rows.has(index) ? LEAD : 0);
    };
    const shown = [...this.#levels.keys()].sort((a, b) => order(b) - order(a)).slice(0, this.#most);
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
      row.style.setProperty("--place", place);
      row.classList.toggle("fading", value < LEAST);
      row.style.setProperty("--value", value.toFixed(4));
      row.querySelector(".bar-name").textContent = nameOf(labels[one.labelIndex]);
      row.querySelector(".bar-score").textContent = scoreText(value);
    });
  }

  #newRow(index) {
    const row = document.createElement("li");
    row.className = "bar";
    for (const part of ["name", "score", "track"]) {
      const span = document.createElement("span");
      span.className = `bar-${part}`;
      row.append(span);
    }
    row.querySelector(".bar-track").append(document.createElement("span"));
    this.#rows.set(index, row);
    this.#list.append(row);
    return row;
  }
}
