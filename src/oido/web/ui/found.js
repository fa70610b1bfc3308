// SPDX-License-Identifier: Apache-2.0

/* The events, the threshold that makes them, and their tables to save. */

import { DEFAULT_THRESHOLD } from "../core/thresholds.js";
import { byId } from "./elements.js";
import { EventList } from "./eventlist.js";
import { FORMATS, save, saveFile } from "./exports.js";
import { Filter } from "./filter.js";
import { clock, nameOf, scoreText, t } from "./language.js";
import { recall, remember } from "./memory.js";
import { notice, say, tell } from "./notices.js";
import { Review } from "./review.js";
import { sessionZip } from "./session_zip.js";
import { Summary } from "./summary.js";

/** @import { Limits, SoundEvent } from "../types.js" */
/** @import { EventRow } from "./exports.js" */
/** @import { Session } from "./session.js" */

const QUICK_WINDOWS = 2000; // as many are made events of at once; more wait until the slider rests
const REST_MS = 150;

const slider = byId("threshold", HTMLInputElement);
const own = byId("own", HTMLInputElement);
/** @type {NodeListOf<HTMLButtonElement>} */
const formatButtons = document.querySelectorAll("[data-format]");

export class Found {
  #list;
  #summary;
  #filter;
  #review;
  #onChange;
  /** @type {Session | null} */
  #session = null;
  #announced = new Set();
  #timer = 0;

  /**
   * onPlay(event); onChange(): the events are others now.
   * @param {{onPlay: (event: SoundEvent) => void, onChange: () => void}} handlers
   */
  constructor({ onPlay, onChange }) {
    this.#list = new EventList({ onPlay, onSelect: (event) => this.#review.select(event) });
    this.#summary = new Summary(onPlay);
    this.#filter = new Filter(() => this.refresh());
    this.#review = new Review({ onPlay, onMark: () => this.refresh() });
    this.#onChange = onChange;
    slider.value = recall("threshold") ?? String(DEFAULT_THRESHOLD);
    slider.addEventListener("input", () => {
      own.checked = false;
      remember("threshold", slider.value);
      this.#change();
    });
    own.addEventListener("change", () => this.#change());
    byId("found").addEventListener("more", () => this.refresh());
    byId("save-zip").addEventListener("click", () => this.#saveZip());
    for (const button of formatButtons) {
      button.addEventListener("click", () => this.#save(FORMATS[button.dataset.format ?? "csv"]));
    }
  }

  get threshold() {
    return Number(slider.value);
  }

  /**
   * Makes the events of a session that is not on the screen, by the threshold of those that are.
   * @param {Session} session
   */
  makeEvents(session) {
    if (session === this.#session) return;
    const thresholds = session.info.thresholds;
    session.setLimits({ threshold: Math.max(this.threshold, session.lowestThreshold), thresholds });
  }

  get countText() {
    const n = this.#session?.events.length ?? 0;
    return n === 1 ? t("eventsOne") : t("eventsCount", { n });
  }

  /**
   * Shows a session's events, or none.
   * @param {Session | null} session
   */
  show(session) {
    const isOther = session !== this.#session;
    this.#session = session;
    if (isOther) {
      this.#list.reset();
      this.#filter.reset();
      this.#announced.clear();
    }
    if (session === null) return;
    byId("own-row").hidden = session.info.thresholds === null;
    if (isOther) own.checked = session.info.thresholds !== null;
    slider.min = session.lowestThreshold.toFixed(2);
    session.setLimits(this.#limits(session));
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
    const { events, audio } = session;
    const first = audio ? audio.first / audio.sampleRateHz : Infinity;
    const canPlay = (/** @type {SoundEvent} */ event) => event.startTime >= first;
    const shown = this.#filter.apply(events);
    byId("found-count").textContent = this.countText;
    byId("found-lost").textContent = lostText(session);
    byId("found-lost").hidden = !byId("found-lost").textContent;
    byId("found-none").hidden = shown.length > 0;
    byId("found-none").textContent = t(events.length ? "eventsFiltered" : "eventsNone");
    byId("table-scroll").hidden = shown.length === 0;
    for (const button of [...formatButtons, byId("save-zip", HTMLButtonElement)]) button.disabled = events.length === 0;
    this.#summary.show(shown, canPlay);
    this.#review.show(session, shown);
    const verdictOf = (/** @type {SoundEvent} */ event) => this.#review.verdictOf(event);
    this.#list.show(shown, { isLive: session.isLive && !session.isOver, canPlay, verdictOf });
  }

  /**
   * Marks what is heard at a time.
   * @param {number | null} seconds
   */
  mark(seconds) {
    this.#list.mark(seconds);
  }

  /**
   * Says the name of an event that began, once.
   * @param {SoundEvent} event
   */
  announce(event) {
    const key = `${event.labelIndex}:${event.startTime}`;
    if (this.#announced.has(key)) return;
    if (this.#announced.size > 1000) this.#announced.clear();
    this.#announced.add(key);
    say(nameOf(event.label));
  }

  /**
   * @param {Session} session
   * @returns {Limits}
   */
  #limits(session) {
    const thresholds = own.checked ? session.info.thresholds : null;
    return { threshold: this.threshold, thresholds };
  }

  #change() {
    clearTimeout(this.#timer);
    byId("threshold-value").textContent = scoreText(this.threshold);
    const session = this.#session;
    if (session === null) return;
    const isQuick = session.history.end - session.history.first < QUICK_WINDOWS;
    const run = () => {
      if (session !== this.#session) return; // `show` set the limits of the next one
      session.setLimits(this.#limits(session));
      this.refresh();
      this.#onChange();
    };
    if (isQuick) run();
    else this.#timer = setTimeout(run, REST_MS);
  }

  /** @param {typeof FORMATS[string]} format */
  #save({ suffix, type, text }) {
    const session = this.#session;
    if (session === null) return;
    session.isSaved = true;
    const stem = session.name.replace(/\.[^.]+$/, "");
    save(stem + suffix, type, text(rowsOf(session, savedEvents(session)), session.info.calibrated));
  }

  /** The table, and the sound of each event. */
  async #saveZip() {
    const session = this.#session;
    if (session === null) return;
    const events = savedEvents(session);
    try {
      const { file, nClips } = await sessionZip(session, events, rowsOf(session, events));
      session.isSaved = true;
      saveFile(file);
      if (nClips < events.length) notice("zipSome", { n: nClips, all: events.length });
    } catch (error) {
      tell(error, session.name);
    }
  }
}

/**
 * As `oido classify` writes them, who is not asked for what is unknown.
 * @param {Session} session
 */
function savedEvents({ events }) {
  return events.filter(({ labelIndex }) => labelIndex >= 0);
}

/**
 * @param {Session} session
 * @param {SoundEvent[]} events
 * @returns {EventRow[]}
 */
function rowsOf({ name }, events) {
  return events.map((event) => ({ ...event, file: name, label: nameOf(event.label), also: event.also.map(nameOf) }));
}

/**
 * What is not listed any more, or "".
 * @param {Session} session
 */
function lostText({ maker }) {
  if (maker.nLost) return t("eventsLost", { n: maker.nLost });
  return maker.since > 0 ? t("eventsSince", { time: clock(maker.since, 0) }) : "";
}
