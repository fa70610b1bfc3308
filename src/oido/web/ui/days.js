// SPDX-License-Identifier: Apache-2.0

/*
 * Days of listening: which sound was heard at which hour, over all that was kept of the microphone. (Of a recording only
 * the place in it is known, and not the hour.)
 */

import { byId } from "./elements.js";
import { SIGNS, familyOf } from "./families.js";
import { nameOf, onLanguage, t } from "./language.js";

/** @import { SoundEvent } from "../types.js" */
/** @import { Session } from "./session.js" */
/** @import { Entry } from "./shelf.js" */

const MOST_LABELS = 16;
const HOURS = 24;
const HOUR_MARKS = 6; // each so many hours one is written

const panel = byId("days-panel", HTMLDetailsElement);
const table = byId("days-table", HTMLTableElement);

/** Events of a label by the hour in which they begin. @typedef {{label: string, hours: number[], total: number}} Row */

/**
 * Counts events by label and hour of the day, in the time of this device; most frequent labels first.
 * @param {{began: number, events: SoundEvent[]}[]} sessions began: milliseconds
 * @returns {Row[]}
 */
export function countByHour(sessions) {
  /** @type {Map<string, Row>} */
  const rows = new Map();
  for (const { began, events } of sessions) {
    for (const { label, startTime } of events) {
      const row = rows.get(label) ?? { label, hours: new Array(HOURS).fill(0), total: 0 };
      row.hours[new Date(began + 1000 * startTime).getHours()] += 1;
      row.total += 1;
      rows.set(label, row);
    }
  }
  return [...rows.values()].sort((a, b) => b.total - a.total || (a.label < b.label ? -1 : 1));
}

export class Days {
  #entries;
  #makeEvents;
  /** Those whose events were made. @type {WeakSet<Session>} */
  #made = new WeakSet();
  #turn = 0;

  /**
   * makeEvents(session): of one that is not on the screen.
   * @param {{entries: () => Entry[], makeEvents: (session: Session) => void}} options
   */
  constructor({ entries, makeEvents }) {
    this.#entries = entries;
    this.#makeEvents = makeEvents;
    panel.addEventListener("toggle", () => this.refresh());
    onLanguage(() => this.refresh());
  }

  /** Sessions came or went, or have other events. */
  refresh() {
    const heard = this.#heard();
    byId("days").hidden = heard.length === 0;
    byId("days-line").textContent = heard.length === 1 ? t("daysOne") : t("daysCount", { n: heard.length });
    if (panel.open && heard.length) this.#draw();
  }

  /** Events are made by another threshold now. */
  again() {
    this.#made = new WeakSet();
    this.refresh();
  }

  #heard() {
    return this.#entries().filter(({ session }) => session.isLive && session.isOver);
  }

  /** Events of hours take a while to be made: one session after the other, and the page goes on meanwhile. */
  async #draw() {
    const turn = ++this.#turn;
    for (const { session } of this.#heard()) {
      if (this.#made.has(session)) continue;
      this.#made.add(session);
      this.#makeEvents(session);
      await new Promise((resolve) => setTimeout(resolve));
      if (turn !== this.#turn) return;
    }
    const rows = countByHour(this.#heard().map(({ session }) => session)).slice(0, MOST_LABELS);
    byId("days-none").hidden = rows.length > 0;
    byId("days-scroll").hidden = rows.length === 0;
    const most = Math.max(...rows.flatMap(({ hours }) => hours));
    table.replaceChildren(head(), ...rows.map((row) => bodyRow(row, most)));
  }
}

function head() {
  const row = document.createElement("tr");
  const corner = document.createElement("th");
  corner.scope = "col";
  corner.textContent = t("what");
  row.append(corner);
  for (let hour = 0; hour < HOURS; hour++) {
    const cell = document.createElement("th");
    cell.scope = "col";
    const name = document.createElement("span");
    name.textContent = String(hour);
    if (hour % HOUR_MARKS) name.className = "unseen";
    cell.append(name);
    row.append(cell);
  }
  return row;
}

/**
 * @param {Row} counted
 * @param {number} most of all cells
 */
function bodyRow({ label, hours }, most) {
  const row = document.createElement("tr");
  const name = document.createElement("th");
  name.scope = "row";
  name.dataset.family = familyOf(label);
  name.textContent = nameOf(label);
  name.title = `${SIGNS[familyOf(label)]} ${nameOf(label)}`;
  row.append(name);
  hours.forEach((count, hour) => {
    const cell = row.insertCell();
    const text = document.createElement("span");
    text.className = "unseen";
    text.textContent = String(count);
    cell.append(text);
    if (count === 0) return;
    cell.title = t("daysCell", { label: nameOf(label), n: count, hour });
    cell.dataset.family = familyOf(label);
    cell.style.setProperty("--share", (count / most).toFixed(3));
  });
  return row;
}
