// SPDX-License-Identifier: Apache-2.0
// What the review's server is asked, and what it answers (oido.review.app).

import { currentLanguage } from "../ui/language.js";
import { recallToken } from "../ui/memory.js";

/**
 * A place that is asked about. scores: start, end and value of its label's windows in and around it.
 * channel: of a recording whose channels were classified each by itself.
 * @typedef {{id: string, recording: string, channel: number | null, start: number, end: number, label: string,
 *   score: number, duration: number, startAt: string | null, scores: [number, number, number][]}} Item
 * @typedef {{yours: number, people: number, done: number | null, total: number | null, severalAnswered: number,
 *   alike: number}} Progress
 * @typedef {{answers: number, positives: number, curve: (number | null)[][],
 *   finished: boolean, advice: string}} Learning
 * @typedef {{progress: Progress, learning: Learning | null, items?: Item[], file?: string}} State
 * @typedef {{oido: string, token: boolean, by: string | null, label: string | null, others: string[], learns: boolean,
 *   names: Record<string, string>}} About
 * @typedef {"yes" | "no" | "unsure"} Verdict
 */

/** What a server said instead of doing it. status 0: nothing came from it. */
export class ServerProblem extends Error {
  /**
   * @param {number} status
   * @param {string} message
   */
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

export class ReviewServer {
  who = "";

  /** @returns {Promise<About>} */
  async about() {
    return (await this.#fetch("review.json")).json();
  }

  /**
   * @param {string} url
   * @returns {Promise<Record<string, string>>}
   */
  async names(url) {
    return (await this.#fetch(url)).json();
  }

  /**
   * @param {number} count
   * @param {string[]} held ids that are on the page
   */
  next(count, held) {
    return this.#post("next", { count, held });
  }

  /**
   * @param {string} id
   * @param {Verdict} verdict
   * @param {string | null} label with "no": what it is instead
   */
  answer(id, verdict, label) {
    return this.#post("answer", { id, verdict, label });
  }

  /** How far it is, with the advice in the page's language. @returns {Promise<State>} */
  async progress() {
    return (await this.#fetch(`v1/review/progress?${new URLSearchParams({ who: this.who })}`)).json();
  }

  undo() {
    return this.#post("undo", {});
  }

  export() {
    return this.#post("export", {});
  }

  /**
   * WAV of a span around a place.
   * @param {string} id
   * @param {number} start
   * @param {number} end
   */
  async sound(id, start, end) {
    const query = new URLSearchParams({ id, start: start.toFixed(3), end: end.toFixed(3) });
    return (await this.#fetch(`v1/review/sound?${query}`)).arrayBuffer();
  }

  /**
   * @param {string} what
   * @param {object} body
   * @returns {Promise<State>}
   */
  async #post(what, body) {
    const content = JSON.stringify({ ...body, who: this.who });
    return (await this.#fetch(`v1/review/${what}`, { method: "POST", body: content })).json();
  }

  /**
   * @param {string} url
   * @param {RequestInit} [options]
   */
  async #fetch(url, options = {}) {
    const headers = new Headers({ "Accept-Language": currentLanguage() });
    const token = recallToken();
    if (token) headers.set("Authorization", `Bearer ${token}`);
    /** @type {Response} */
    let response;
    try {
      response = await fetch(url, { ...options, headers });
    } catch {
      throw new ServerProblem(0, "");
    }
    if (response.ok) return response;
    const { message } = await response.json().catch(() => ({ message: response.statusText }));
    throw new ServerProblem(response.status, String(message));
  }
}
