// SPDX-License-Identifier: Apache-2.0

/* Everything that was heard since the page was opened. Nothing goes from here unless somebody takes it away. */

/** @import { Choice } from "../types.js" */
/** @import { Session } from "./session.js" */

/**
 * One thing that was heard, by which model, and where. file: null for the microphone. began: when, milliseconds.
 * seconds: that it took.
 * @typedef {Choice & {file: File | null, session: Session, began: number, seconds: number}} Entry
 */

export class Shelf {
  /** @type {Entry[]} */
  #entries = [];
  /** @type {Entry | null} */
  #shown = null;
  #onChange;

  /**
   * onChange(): other entries, or another one is shown.
   * @param {() => void} onChange
   */
  constructor(onChange) {
    this.#onChange = onChange;
  }

  /** In their order. */
  get entries() {
    return [...this.#entries];
  }

  /** The one on the screen. */
  get shown() {
    return this.#shown;
  }

  /**
   * Puts one beside the others. The same recording heard again by the same model in the same place takes the place of
   * what it was before.
   * @param {Entry} entry
   * @param {{isShown: boolean}} options
   */
  add(entry, { isShown }) {
    const before = this.#entries.findIndex((each) => isAgain(entry, each));
    const wasShown = before >= 0 && this.#entries[before] === this.#shown;
    if (before >= 0) this.#entries.splice(before, 1, entry);
    else this.#entries.push(entry);
    if (isShown || wasShown || this.#shown === null) this.#shown = entry;
    this.#onChange();
  }

  /** @param {Entry} entry */
  show(entry) {
    if (entry === this.#shown || !this.#entries.includes(entry)) return;
    this.#shown = entry;
    this.#onChange();
  }

  /**
   * Takes one away; its neighbour is shown then. Gives what brings it back.
   * @param {Entry} entry
   * @returns {() => void}
   */
  remove(entry) {
    const place = this.#entries.indexOf(entry);
    if (place < 0) return () => {};
    this.#entries.splice(place, 1);
    const wasShown = this.#shown === entry;
    if (wasShown) this.#shown = this.#entries[place] ?? this.#entries[place - 1] ?? null;
    this.#onChange();
    return () => {
      this.#entries.splice(Math.min(place, this.#entries.length), 0, entry);
      if (wasShown) this.#shown = entry;
      this.#onChange();
    };
  }
}

/**
 * @param {Entry} one
 * @param {Entry} other
 */
function isAgain(one, other) {
  const isSame = one.where === other.where && one.model.name === other.model.name && one.model.file === other.model.file;
  return isSame && one.file !== null && one.file === other.file;
}
