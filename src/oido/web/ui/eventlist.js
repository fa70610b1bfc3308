// SPDX-License-Identifier: Apache-2.0

import { byId } from "./elements.js";
import { clock, nameOf, scoreText, t } from "./language.js";
import { valueOf } from "./history.js";

/** @import { SoundEvent } from "../types.js" */

const FIRST_SHOWN = matchMedia("(max-width: 47.99rem)").matches ? 12 : 100;

/** @typedef {{row: HTMLTableRowElement, button: HTMLButtonElement, event: SoundEvent}} Row */

/** The table of events; rows are kept while their event is there, so that nobody loses the focus. */
export class EventList {
  #body = byId("rows", HTMLTableSectionElement);
  #more = byId("show-all", HTMLButtonElement);
  /** @type {Map<string, Row>} */
  #rows = new Map();
  #most = FIRST_SHOWN;
  #onPlay;

  /**
   * onPlay(event): somebody wants to hear it.
   * @param {(event: SoundEvent) => void} onPlay
   */
  constructor(onPlay) {
    this.#onPlay = onPlay;
    this.#more.addEventListener("click", () => {
      this.#most = Infinity;
      this.#more.dispatchEvent(new Event("more", { bubbles: true }));
    });
  }

  /** Another session: begin with the first rows again. */
  reset() {
    this.#most = FIRST_SHOWN;
    this.#rows.clear();
    this.#body.replaceChildren();
  }

  /**
   * Shows events; newest first where they come live. canPlay: whether their sound is here.
   * @param {SoundEvent[]} events
   * @param {{isLive: boolean, canPlay: boolean}} options
   */
  show(events, { isLive, canPlay }) {
    const shown = isLive ? events.toReversed().slice(0, this.#most) : events.slice(0, this.#most);
    const wanted = new Set(shown.map(keyOf));
    for (const [key, { row }] of this.#rows) {
      if (wanted.has(key)) continue;
      row.remove();
      this.#rows.delete(key);
    }
    shown.forEach((event, place) => {
      const shownRow = this.#rows.get(keyOf(event)) ?? this.#newRow(event);
      shownRow.event = event;
      this.#write(shownRow, canPlay);
      const { row } = shownRow;
      const there = this.#body.children[place];
      if (there !== row) this.#body.insertBefore(row, there ?? null);
    });
    this.#more.hidden = events.length <= shown.length;
    this.#more.textContent = t("showAll", { n: events.length });
  }

  /**
   * Marks the events that are heard at a time; null: none.
   * @param {number | null} seconds
   */
  mark(seconds) {
    for (const { row, event } of this.#rows.values()) {
      const { startTime, endTime } = event;
      row.classList.toggle("playing", seconds !== null && startTime <= seconds && seconds < endTime);
    }
  }

  /**
   * @param {SoundEvent} event
   * @returns {Row}
   */
  #newRow(event) {
    const row = document.createElement("tr");
    const [time, what, value] = [1, 2, 3].map(() => row.insertCell());
    const button = document.createElement("button");
    button.type = "button";
    const made = { row, button, event };
    button.addEventListener("click", () => this.#onPlay(made.event));
    time.append(button);
    value.className = "number";
    what.className = "what";
    this.#rows.set(keyOf(event), made);
    this.#body.append(row);
    return made;
  }

  /**
   * @param {Row} shownRow
   * @param {boolean} canPlay
   */
  #write({ row, button, event }, canPlay) {
    const [, what, value] = row.cells;
    const end = event.isOngoing ? "…" : clock(event.endTime);
    const name = nameOf(event.label);
    setText(button, `${clock(event.startTime)} – ${end}`);
    setText(what, name);
    const also = event.also.length ? t("also", { labels: event.also.map(nameOf).join(", ") }) : "";
    if (what.title !== also) what.title = also;
    setText(value, scoreText(valueOf(event)));
    button.disabled = !canPlay;
    button.setAttribute("aria-label", t("playEvent", { label: name, time: button.textContent }));
  }
}

/** @param {SoundEvent} event */
function keyOf(event) {
  return `${event.labelIndex}:${event.startTime}`;
}

/**
 * @param {Element} element
 * @param {string} text
 */
function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}
