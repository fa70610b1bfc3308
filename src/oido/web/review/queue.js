// SPDX-License-Identifier: Apache-2.0
// The places that are on the page: those before, the one that is asked about, and the next ones with their sound.

import { fetchClip } from "./clip.js";

/** @import { Clip } from "./clip.js" */
/** @import { Item, ReviewServer, State, Verdict } from "./server.js" */

/**
 * verdict: what was said of it, or null. label: what it is instead. isStored: the server has it.
 * @typedef {{item: Item, verdict: Verdict | null, label: string | null, isStored: boolean,
 *   more: {before: number, after: number}, clip: Promise<Clip> | null}} Entry
 */

const AHEAD = 16;
const AHEAD_LEARNING = 4; // what is asked next depends on the answers
const CLIPS_AHEAD = 12;
const CLIPS_BEHIND = 3;

export class Queue {
  /** @type {Entry[]} */
  entries = [];
  at = 0;
  #server;
  #ahead;
  #onState;
  /** @type {Promise<void> | null} */
  #filling = null;
  #isExhausted = false;

  /**
   * onState: of what every answer of the server says.
   * @param {ReviewServer} server
   * @param {{learns: boolean, onState: (state: State) => void}} options
   */
  constructor(server, { learns, onState }) {
    this.#server = server;
    this.#ahead = learns ? AHEAD_LEARNING : AHEAD;
    this.#onState = onState;
  }

  /** What is asked about; null: there is nothing at the moment. */
  get current() {
    return this.entries[this.at] ?? null;
  }

  /**
   * Asks for further places where there are few, and for the sound of the next ones.
   * @returns {Promise<void>}
   */
  fill() {
    this.#load();
    const left = this.entries.slice(this.at).filter(({ verdict }) => verdict === null).length;
    if (this.#isExhausted || left > this.#ahead / 2) return Promise.resolve();
    this.#filling ??= this.#fetchMore(this.#ahead - left).finally(() => (this.#filling = null));
    return this.#filling;
  }

  /** There may be more by now: others review, too. */
  async askAgain() {
    this.#isExhausted = false;
    await this.fill();
  }

  /** Whether the server may have places that are not here. */
  get mayHaveMore() {
    return !this.#isExhausted;
  }

  /** Goes on to the next place, answered or not; at the end to one that was passed over. */
  forward() {
    if (this.at + 1 < this.entries.length) this.at += 1;
    else this.at = this.#openFrom(0) ?? this.entries.length;
    this.#load();
  }

  /** Goes on to the next place that nothing was said of, or else to one that was passed over. */
  toNextOpen() {
    this.at = this.#openFrom(this.at) ?? this.#openFrom(0) ?? this.entries.length;
    this.#load();
  }

  back() {
    if (this.at > 0) this.at -= 1;
    this.#load();
  }

  /**
   * Goes to a place, which is put before the current one if it is not on the page.
   * @param {Item} item
   */
  returnTo(item) {
    let place = this.entries.findIndex((entry) => entry.item.id === item.id);
    if (place < 0) {
      place = this.at;
      this.entries.splice(place, 0, entryOf(item));
    }
    this.at = place;
    this.#load();
  }

  /**
   * The sound of an entry, fetched if it is not on its way.
   * @param {Entry} entry
   */
  clipOf(entry) {
    if (entry.clip === null) {
      entry.clip = fetchClip(this.#server, entry.item, entry.more);
      entry.clip.catch(() => {}); // who shows it says so
    }
    return entry.clip;
  }

  /**
   * The first place from here on that nothing was said of; null: there is none.
   * @param {number} from
   */
  #openFrom(from) {
    const place = this.entries.findIndex(({ verdict }, number) => number >= from && verdict === null);
    return place < 0 ? null : place;
  }

  /** @param {number} count */
  async #fetchMore(count) {
    const held = this.entries.filter(({ isStored }) => !isStored).map(({ item }) => item.id);
    const state = await this.#server.next(count, held);
    const items = state.items ?? [];
    this.#isExhausted = items.length < count;
    const known = new Set(this.entries.map(({ item }) => item.id));
    this.entries.push(...items.filter(({ id }) => !known.has(id)).map(entryOf));
    this.#load();
    this.#onState(state);
  }

  /** The sound of the next ones is on its way before it is wanted; what is far away is let go. */
  #load() {
    this.entries.forEach((entry, place) => {
      if (place < this.at - CLIPS_BEHIND || place > this.at + CLIPS_AHEAD) entry.clip = null;
    });
    for (const entry of this.entries.slice(this.at, this.at + CLIPS_AHEAD)) {
      if (entry.verdict === null || entry === this.current) this.clipOf(entry);
    }
  }
}

/**
 * @param {Item} item
 * @returns {Entry}
 */
function entryOf(item) {
  return { item, verdict: null, label: null, isStored: false, more: { before: 0, after: 0 }, clip: null };
}
