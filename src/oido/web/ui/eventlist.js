// SPDX-License-Identifier: Apache-2.0

import { byId } from "./elements.js";
import { familyOf } from "./families.js";
import { clock, nameOf, scoreText, t } from "./language.js";
import { valueOf } from "./history.js";

/** @import { SoundEvent } from "../types.js" */

const FIRST_SHOWN = matchMedia("(max-width: 47.99rem)").matches ? 12 : 100;

const MOST_ROWS = 300; // beyond it, only those are made that are in view, each as high as the others
const ROW_PIXELS = 48; // then, as style.css says
const BEYOND = 10; // rows above and below of what is in view

/** play: its time; select: its name. @typedef {{row: HTMLTableRowElement, play: HTMLButtonElement, select: HTMLButtonElement, event: SoundEvent}} Row */

/** The table of events; rows are kept while their event is there, so that nobody loses the focus. */
export class EventList {
  #body = byId("rows", HTMLTableSectionElement);
  #scroller = byId("table-scroll");
  #more = byId("show-all", HTMLButtonElement);
  #above = spacer();
  #below = spacer();
  /** @type {Map<string, Row>} */
  #rows = new Map();
  /** @type {SoundEvent[]} */
  #events = [];
  /** @type {(event: SoundEvent) => boolean} */
  #canPlay = () => false;
  /** @type {(event: SoundEvent) => string} */
  #verdictOf = () => "";
  #most = FIRST_SHOWN;
  #marked = /** @type {number | null} */ (null);
  #onPlay;
  #onSelect;
  #isDue = false;

  /**
   * onPlay(event): somebody wants to hear it; onSelect(event): or to look at it.
   * @param {{onPlay: (event: SoundEvent) => void, onSelect: (event: SoundEvent) => void}} handlers
   */
  constructor({ onPlay, onSelect }) {
    this.#onPlay = onPlay;
    this.#onSelect = onSelect;
    this.#more.addEventListener("click", () => {
      this.#most = Infinity;
      this.#more.dispatchEvent(new Event("more", { bubbles: true }));
    });
    this.#scroller.addEventListener("scroll", () => this.#scrolled());
  }

  /** Another session: begin with the first rows again. */
  reset() {
    this.#most = FIRST_SHOWN;
    this.#scroller.scrollTop = 0;
    this.#rows.clear();
    this.#body.replaceChildren();
  }

  /**
   * Shows events; newest first where they come live. canPlay: whether an event's sound is here. verdictOf: what
   * somebody said of it, or "".
   * @param {SoundEvent[]} events
   * @param {{isLive: boolean, canPlay: (event: SoundEvent) => boolean,
   *   verdictOf?: (event: SoundEvent) => string}} options
   */
  show(events, { isLive, canPlay, verdictOf = () => "" }) {
    const n = Math.min(this.#most, events.length);
    this.#events = isLive ? events.slice(events.length - n).reverse() : events.slice(0, n);
    this.#canPlay = canPlay;
    this.#verdictOf = verdictOf;
    this.#more.hidden = events.length <= n;
    this.#more.textContent = t("showAll", { n: events.length });
    this.#scroller.classList.toggle("virtual", n > MOST_ROWS);
    this.#arrange();
  }

  /**
   * Marks the events that are heard at a time; null: none.
   * @param {number | null} seconds
   */
  mark(seconds) {
    this.#marked = seconds;
    for (const { row, event } of this.#rows.values()) {
      const { startTime, endTime } = event;
      row.classList.toggle("playing", seconds !== null && startTime <= seconds && seconds < endTime);
    }
  }

  #scrolled() {
    if (this.#isDue || this.#events.length <= MOST_ROWS) return;
    this.#isDue = true;
    requestAnimationFrame(() => {
      this.#isDue = false;
      this.#arrange();
      this.mark(this.#marked);
    });
  }

  /** Makes the rows that are in view. */
  #arrange() {
    const all = this.#events;
    const isVirtual = all.length > MOST_ROWS;
    const first = isVirtual ? Math.max(0, Math.floor(this.#scroller.scrollTop / ROW_PIXELS) - BEYOND) : 0;
    const rowsInView = Math.ceil((this.#scroller.clientHeight || 400) / ROW_PIXELS);
    const end = isVirtual ? Math.min(all.length, first + rowsInView + 2 * BEYOND) : all.length;
    const shown = all.slice(first, end);
    this.#space(this.#above, first);
    this.#space(this.#below, all.length - end);
    if (first > 0) this.#body.prepend(this.#above);
    else this.#above.remove();
    const wanted = new Set(shown.map(keyOf));
    for (const [key, { row }] of this.#rows) {
      if (wanted.has(key)) continue;
      if (row.contains(document.activeElement)) this.#scroller.focus({ preventScroll: true });
      row.remove();
      this.#rows.delete(key);
    }
    shown.forEach((event, place) => {
      const shownRow = this.#rows.get(keyOf(event)) ?? this.#newRow(event);
      shownRow.event = event;
      this.#write(shownRow);
      const { row } = shownRow;
      if (isVirtual) row.setAttribute("aria-rowindex", String(first + place + 2));
      else row.removeAttribute("aria-rowindex");
      const there = this.#body.children[place + (first > 0 ? 1 : 0)];
      if (there !== row) this.#body.insertBefore(row, there ?? null);
    });
    if (end < all.length) this.#body.append(this.#below);
    else this.#below.remove();
    const table = byId("table");
    if (isVirtual) table.setAttribute("aria-rowcount", String(all.length + 1));
    else table.removeAttribute("aria-rowcount");
  }

  /**
   * @param {HTMLTableRowElement} row
   * @param {number} n rows that it stands for
   */
  #space(row, n) {
    row.cells[0].style.height = `${n * ROW_PIXELS}px`;
  }

  /**
   * @param {SoundEvent} event
   * @returns {Row}
   */
  #newRow(event) {
    const row = document.createElement("tr");
    const [time, what, value] = [1, 2, 3].map(() => row.insertCell());
    const [play, select] = [0, 1].map(() => Object.assign(document.createElement("button"), { type: "button" }));
    const made = { row, play, select, event };
    play.addEventListener("click", () => this.#onPlay(made.event));
    select.addEventListener("click", () => this.#onSelect(made.event));
    time.append(play);
    what.append(select);
    value.className = "number";
    what.className = "what";
    this.#rows.set(keyOf(event), made);
    return made;
  }

  /** @param {Row} shownRow */
  #write({ row, play, select, event }) {
    const [, what, value] = row.cells;
    const end = event.isOngoing ? "…" : clock(event.endTime);
    const name = nameOf(event.label);
    setText(play, `${clock(event.startTime)} – ${end}`);
    setText(select, name);
    setAttribute(what, "data-family", familyOf(event.label));
    setAttribute(what, "data-verdict", this.#verdictOf(event));
    setAttribute(what, "title", event.also.length ? t("also", { labels: event.also.map(nameOf).join(", ") }) : "");
    setText(value, scoreText(valueOf(event)));
    select.disabled = event.isOngoing === true;
    setAttribute(select, "aria-label", t("selectEvent", { label: name, time: play.textContent }));
    play.disabled = !this.#canPlay(event);
    setAttribute(play, "title", play.disabled ? t("soundGone") : "");
    setAttribute(play, "aria-label", t("playEvent", { label: name, time: play.textContent }));
  }
}

/** A row that stands for those that are not made. */
function spacer() {
  const row = document.createElement("tr");
  row.className = "spacer";
  row.setAttribute("aria-hidden", "true");
  row.insertCell().colSpan = 3;
  return row;
}

/** @param {SoundEvent} event */
function keyOf(event) {
  return `${event.labelIndex}:${event.startTime}`;
}

/*
 * Rows are written whenever events came: one that is as it was is left alone, because a browser lays out again, and
 * collects, what was written.
 */

/**
 * @param {Element} element
 * @param {string} name
 * @param {string} value
 */
function setAttribute(element, name, value) {
  if (element.getAttribute(name) !== value) element.setAttribute(name, value);
}

/**
 * @param {Element} element
 * @param {string} text
 */
function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}
