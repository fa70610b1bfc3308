// SPDX-License-Identifier: Apache-2.0

/*
 * What was heard is kept in this browser, so that neither a reload nor a tab that is ended loses it: the last sessions,
 * up to some number and size. Whoever wants none of that unticks it, and what was kept goes at once.
 */

import { byId } from "./elements.js";
import { recall, remember } from "./memory.js";
import { deleteRecord, deleteRecords, storeRecord, storedRecords } from "./session_store.js";

/** @import { Model } from "../types.js" */
/** @import { Entry } from "./shelf.js" */

const MOST_SESSIONS = 20;
const MOST_BYTES = 300_000_000;
const LIVE_MS = 5000; // between two of what is still listened to
const LIVE_SHARE = 20; // as many times as long as one takes: it is written whole, and hours are large

const box = byId("keep", HTMLInputElement);

export class Keeping {
  #nextLive = 0;
  /** Steps one after the other: a later one must not be overtaken. @type {Promise<unknown>} */
  #queue = Promise.resolve();
  #isBroken = !("indexedDB" in window);
  /** What is kept, by number: its bytes. The records themselves are large. @type {Map<number, number>} */
  #kept = new Map();

  /**
   * entries: all that is on the shelf, when it is ticked again.
   * @param {() => Entry[]} entries
   */
  constructor(entries) {
    box.checked = recall("keep") !== "false";
    box.addEventListener("change", () => {
      remember("keep", String(box.checked));
      if (!box.checked) this.#run(() => this.#forgetAll());
      else for (const entry of entries()) this.keep(entry);
    });
  }

  /**
   * What was kept, oldest first.
   * @param {(name: string) => Model | null} modelNamed
   * @returns {Promise<Entry[]>}
   */
  async restored(modelNamed) {
    if (!box.checked || this.#isBroken) return [];
    /** @type {Entry[]} */
    const entries = [];
    try {
      const records = await storedRecords();
      if (records.length === 0) return [];
      const { entryOf } = await import("./session_record.js");
      for (const record of records) {
        this.#kept.set(record.id, record.bytes);
        entries.push(entryOf(record, modelNamed));
      }
    } catch {
      this.#isBroken = true; // a private window, or records of another version
    }
    return entries;
  }

  /**
   * Keeps an entry as it is now.
   * @param {Entry} entry
   */
  keep(entry) {
    if (!box.checked) return;
    this.#run(async () => {
      const { recordOf } = await import("./session_record.js");
      const record = await recordOf(entry);
      await storeRecord(record);
      this.#kept.set(record.id, record.bytes);
      await this.#bound();
    });
  }

  /**
   * Keeps what is still listened to, every now and then.
   * @param {Entry} entry
   */
  keepLive(entry) {
    const started = performance.now();
    if (!box.checked || started < this.#nextLive) return;
    this.#nextLive = Infinity;
    this.keep(entry);
    this.#run(async () => {
      const now = performance.now();
      this.#nextLive = now + Math.max(LIVE_MS, LIVE_SHARE * (now - started));
    });
  }

  /** @param {Entry} entry */
  forget(entry) {
    this.#run(async () => {
      this.#kept.delete(entry.began);
      await deleteRecord(entry.began);
    });
  }

  /** Whether an entry outlives the page. */
  get isOn() {
    return box.checked && !this.#isBroken;
  }

  /** @param {() => Promise<unknown>} step */
  #run(step) {
    this.#queue = this.#queue.then(step).catch(() => {
      this.#isBroken = true; // a private window, or a full disk: then the page asks before it is closed
    });
  }

  async #forgetAll() {
    this.#kept.clear();
    await deleteRecords();
  }

  /** The oldest go, beyond what is kept at most. */
  async #bound() {
    const newest = [...this.#kept].sort(([one], [other]) => other - one);
    let all = 0;
    for (const [n, [id, bytes]] of newest.entries()) {
      all += bytes;
      if (n < MOST_SESSIONS && all <= MOST_BYTES) continue;
      this.#kept.delete(id);
      await deleteRecord(id);
    }
  }
}
