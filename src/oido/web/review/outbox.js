// SPDX-License-Identifier: Apache-2.0
// Answers on their way to the server, in order; what cannot be stored waits, and is not lost.

/** @import { Entry } from "./queue.js" */
/** @import { ReviewServer, State, Verdict } from "./server.js" */

/** @typedef {{entry: Entry, verdict: Verdict, label: string | null}} Sent */

export class Outbox {
  /** @type {Sent[]} */
  #waiting = [];
  #server;
  #onState;
  #onProblem;
  /** @type {Promise<boolean> | null} */
  #sending = null;

  /**
   * onProblem: called with what went wrong, and with null when all is stored.
   * @param {ReviewServer} server
   * @param {{onState: (state: State) => void, onProblem: (error: unknown) => void}} handlers
   */
  constructor(server, { onState, onProblem }) {
    this.#server = server;
    this.#onState = onState;
    this.#onProblem = onProblem;
  }

  /** How many answers are not stored yet. */
  get size() {
    return this.#waiting.length;
  }

  /** @param {Sent} sent */
  add(sent) {
    this.#waiting.push(sent);
    void this.send();
  }

  /** Takes the last answer out again if it has not been stored: which it was, or null. */
  takeBack() {
    return this.#sending === null ? (this.#waiting.pop() ?? null) : null;
  }

  /** Sends what waits; whether all of it is stored. */
  send() {
    this.#sending ??= this.#sendAll().finally(() => (this.#sending = null));
    return this.#sending;
  }

  async #sendAll() {
    while (this.#waiting.length > 0) {
      const { entry, verdict, label } = this.#waiting[0];
      try {
        const state = await this.#server.answer(entry.item.id, verdict, label);
        entry.isStored = true;
        this.#waiting.shift();
        this.#onState(state);
      } catch (error) {
        this.#onProblem(error);
        return false;
      }
    }
    this.#onProblem(null);
    return true;
  }
}
