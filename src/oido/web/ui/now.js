// SPDX-License-Identifier: Apache-2.0

import { LEAST } from "./bars.js";
import { valueOf } from "./history.js";
import { clock, scoreText, t } from "./language.js";

const MOST = 12;
const isSomething = (category) => valueOf(category) >= LEAST;
const title = document.getElementById("now-title");
const what = document.getElementById("now-what");
const quiet = document.getElementById("now-quiet");

/** The bars and what stands above them: now, at a time of a recording, or the whole of it. */
export class Now {
  #bars;
  #last = null;
  #window = null; // the last that `at` showed

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

  /** The next window of a stream. */
  follow(session, index) {
    this.#title("nowLive", {}, session);
    this.#bars.follow(session.history.strongest(index, MOST), session.info.labels);
    this.#quiet();
    this.#last = (again) => this.follow(again, index);
  }

  /** A time of a recording. */
  at(session, seconds) {
    this.#title("nowAt", { time: clock(seconds) }, session);
    const index = session.windowAt(seconds);
    const categories = session.history.strongest(index, MOST);
    // While it plays, bars move as they do live; a jump shows just what is there.
    if (index === this.#window + 1) this.#bars.follow(categories, session.info.labels);
    else if (index !== this.#window) this.#bars.show(categories.filter(isSomething), session.info.labels);
    this.#window = index;
    this.#quiet();
    this.#last = (again) => this.at(again, seconds);
  }

  /** The strongest windows of all. */
  whole(session) {
    this.#title("nowWhole", {}, session);
    this.#window = null;
    this.#bars.show(session.history.peaks(MOST).filter(isSomething), session.info.labels);
    this.#quiet();
    this.#last = (again) => this.whole(again);
  }

  /** The same in another language. */
  again(session) {
    this.#window = null;
    if (this.#last) this.#last(session);
    else this.start();
  }

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
