// SPDX-License-Identifier: Apache-2.0

/* The button that copies a link to the moment on the screen, and what happens when such a link is opened. */

import { byId } from "./elements.js";
import { clock } from "./language.js";
import { notice } from "./notices.js";
import { entryAt, linkTo, momentIn } from "./permalink.js";

/** @import { Moment } from "./permalink.js" */
/** @import { Entry } from "./shelf.js" */

/**
 * shown: what is on the screen, and where. show: a moment of an entry. open: an example of that name; gives whether
 * there is one.
 * @typedef {{shown: () => {entry: Entry | null, seconds: number}, show: (entry: Entry, seconds: number) => void,
 *   open: (name: string) => boolean}} Handlers
 */

export class Linking {
  /** The one that somebody came for, until it is on the screen. @type {Moment | null} */
  #wanted = momentIn();
  #on;

  /** @param {Handlers} on */
  constructor(on) {
    this.#on = on;
    byId("link").addEventListener("click", () => this.#copy());
  }

  /**
   * What was kept is here now: goes to the moment, or says how to come there. Later changes of the address count, too.
   * @param {() => Entry[]} entries
   */
  start(entries) {
    this.#arrive(entries());
    addEventListener("hashchange", () => {
      this.#wanted = momentIn();
      this.#arrive(entries());
    });
  }

  /**
   * It was heard: perhaps what the link is of.
   * @param {Entry} entry
   */
  heard(entry) {
    if (this.#wanted && entryAt(this.#wanted, [entry])) this.#go(entry);
  }

  /** @param {Entry[]} entries */
  #arrive(entries) {
    if (this.#wanted === null) return;
    const { recording, seconds } = this.#wanted;
    const entry = entryAt(this.#wanted, entries);
    if (entry) this.#go(entry);
    else if (!this.#on.open(recording)) notice("linkWaits", { file: recording, time: clock(seconds) });
  }

  /** @param {Entry} entry */
  #go(entry) {
    const seconds = this.#wanted?.seconds ?? 0;
    this.#wanted = null;
    this.#on.show(entry, seconds);
  }

  async #copy() {
    const { entry, seconds } = this.#on.shown();
    if (entry === null) return;
    const link = linkTo(entry, seconds);
    try {
      await navigator.clipboard.writeText(link);
      notice("linkCopied", { time: clock(seconds) });
    } catch {
      history.replaceState(null, "", link); // without https, for example
      notice("linkInAddress", { time: clock(seconds) });
    }
  }
}
