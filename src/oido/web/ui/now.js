// SPDX-License-Identifier: Apache-2.0

import { LEAST } from "./bars.js";
import { byId } from "./elements.js";
import { valueOf } from "./history.js";
import { clock, scoreText, t } from "./language.js";

/** @import { Category } from "../types.js" */
/** @import { Bars } from "./bars.js" */
/** @import { Key, Values } from "./language.js" */
/** @import { Session } from "./session.js" */

const MOST = 12;
const isSomething = (/** @type {Category} */ category) => valueOf(category) >= LEAST;
const title = byId("now-title");
const what = byId("now-what");
const quiet = byId("now-quiet");

/** The bars and what stands above them: now, at a time of a recording, or the whole of it. */
export class Now {
  #bars;
  /** @type {((session: Session) => void) | null} */
  #last = null;
  /** The last that `at` showed. @type {number | null} */
  #window = null;

  /** @param {Bars} bars */
  constructor(bars) {
    this.#bars = bars;
  }

  clear() {
    this.#bars.clear();
    this.#last = null;
  }

  /** Nothing was heard yet. */
  start() {
    this.#bars.clear();
    this.#title("nowLive", {}, null);
    quiet.hidden = false;
    quiet.textContent = t("waiting");
  }

  /**
   * The next window of a stream.
   * @param {Session} session
   * @param {number} index
   */
  follow(session, index) {
    this.#title("nowLive", {}, session);
    this.#bars.follow(session.history.strongest(index, MOST), session.info.labels);
    this.#quiet();
    this.#last = (again) => this.follow(again, index);
  }

  /**
   * A time of a recording.
   * @param {Session} session
   * @param {number} seconds
   */
  at(session, seconds) {
    this.#title("nowAt", { time: clock(seconds) }, session);
    const index = session.windowAt(seconds);
    const categories = session.history.strongest(index, MOST);
    // While it plays, bars move as they do live; a jump shows just what is there.
    if (this.#window !== null && index === this.#window + 1) this.#bars.follow(categories, session.info.labels);
    else if (index !== this.#window) this.#bars.show(categories.filter(isSomething), session.info.labels);
    this.#window = index;
    this.#quiet();
    this.#last = (again) => this.at(again, seconds);
  }

  /**
   * The strongest windows of all.
   * @param {Session} session
   */
  whole(session) {
    this.#title("nowWhole", {}, session);
    this.#window = null;
    this.#bars.show(session.history.peaks(MOST).filter(isSomething), session.info.labels);
    this.#quiet();
    this.#last = (again) => this.whole(again);
  }

  /**
   * The same in another language.
   * @param {Session} session
   */
  again(session) {
    this.#window = null;
    if (this.#last) this.#last(session);
    else this.start();
  }

  /**
   * @param {Key} key
   * @param {Values} values
   * @param {Session | null} session
   */
  #title(key, values, session) {
    title.textContent = t(key, values);
    const kind = session ? t(session.info.calibrated ? "probability" : "score") : "";
    what.textContent = key === "nowWhole" ? t("highest", { kind }) : kind;
  }

  #quiet() {
    quiet.hidden = !this.#bars.isEmpty;
    quiet.textContent = t("quiet", { threshold: scoreText(LEAST) });
  }
}
