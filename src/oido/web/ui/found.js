// SPDX-License-Identifier: Apache-2.0

/* The events, the threshold that makes them, and their tables to save. */

import { EventList } from "./eventlist.js";
import { FORMATS, save } from "./exports.js";
import { nameOf, scoreText, t } from "./language.js";
import { recall, remember } from "./memory.js";
import { say } from "./notices.js";

const DEFAULT_THRESHOLD = 0.3;
const QUICK_WINDOWS = 8000; // as many are made events of at once; more wait until the slider rests
const REST_MS = 150;

const byId = (id) => document.getElementById(id);
const slider = byId("threshold");
const own = byId("own");

export class Found {
  #list;
  #onChange;
  #session = null;
  #announced = new Set();
  #timer = 0;

  /** onPlay(event); onChange(): the events are others now. */
  constructor({ onPlay, onChange }) {
    this.#list = new EventList(onPlay);
    this.#onChange = onChange;
    slider.value = recall("threshold") ?? DEFAULT_THRESHOLD;
    slider.addEventListener("input", () => {
      own.checked = false;
      remember("threshold", slider.value);
      this.#change();
    });
    own.addEventListener("change", () => this.#change());
    byId("found").addEventListener("more", () => this.refresh());
    for (const button of document.querySelectorAll("[data-format]")) {
      button.addEventListener("click", () => this.#save(button.dataset.format));
    }
  }

  get threshold() {
    return Number(slider.value);
  }

  get countText() {
    const n = this.#session?.events.length ?? 0;
    return n === 1 ? t("eventsOne") : t("eventsCount", { n });
  }

  /** Shows a session's events, or none. */
  show(session) {
    const isOther = session !== this.#session;
    this.#session = session;
    if (isOther) {
      this.#list.reset();
      this.#announced.clear();
    }
    if (session === null) return;
    byId("own-row").hidden = session.info.thresholds === null;
    if (isOther) own.checked = session.info.thresholds !== null;
    slider.min = session.lowestThreshold.toFixed(2);
    session.setLimits(this.#limits());
    this.refresh();
  }

  /** The table again: events came, or the language changed. */
  refresh() {
    const session = this.#session;
    if (session === null) return;
    const { calibrated } = session.info;
    const kind = t(calibrated ? "probability" : "score");
    byId("value-title").textContent = kind;
    byId("threshold-value").textContent = scoreText(this.threshold);
    byId("threshold-value").classList.toggle("soft", own.checked);
    byId("threshold-hint").textContent = t("thresholdHint", { kind });
    slider.setAttribute("aria-valuetext", scoreText(this.threshold));
    const { events } = session;
    byId("found-count").textContent = this.countText;
    byId("found-none").hidden = events.length > 0;
    byId("table-scroll").hidden = events.length === 0;
    for (const button of document.querySelectorAll("[data-format]")) button.disabled = events.length === 0;
    this.#list.show(events, { isLive: session.isLive && !session.isOver, canPlay: session.audio !== null });
  }

  /** Marks what is heard at a time. */
  mark(seconds) {
    this.#list.mark(seconds);
  }

  /** Says the name of an event that began, once. */
  announce(event) {
    const key = `${event.labelIndex}:${event.startTime}`;
    if (this.#announced.has(key)) return;
    if (this.#announced.size > 1000) this.#announced.clear();
    this.#announced.add(key);
    say(nameOf(event.label));
  }

  #limits() {
    const thresholds = own.checked ? this.#session.info.thresholds : null;
    return { threshold: this.threshold, thresholds };
  }

  #change() {
    clearTimeout(this.#timer);
    byId("threshold-value").textContent = scoreText(this.threshold);
    if (this.#session === null) return;
    const isQuick = this.#session.history.end - this.#session.history.first < QUICK_WINDOWS;
    const run = () => {
      this.#session.setLimits(this.#limits());
      this.refresh();
      this.#onChange();
    };
    if (isQuick) run();
    else this.#timer = setTimeout(run, REST_MS);
  }

  #save(name) {
    const { suffix, type, text } = FORMATS[name];
    const session = this.#session;
    const rows = session.events.map((event) => ({ ...event, file: session.name, label: nameOf(event.label) }));
    const stem = session.name.replace(/\.[^.]+$/, "");
    save(stem + suffix, type, text(rows, session.info.calibrated));
  }
}
