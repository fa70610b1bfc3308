// SPDX-License-Identifier: Apache-2.0

import { clock, nameOf, scoreText, t } from "./language.js";
import { valueOf } from "./history.js";

const FIRST_SHOWN = matchMedia("(max-width: 47.99rem)").matches ? 12 : 100;

/** The table of events; rows are kept while their event is there, so that nobody loses the focus. */
export class EventList {
  #body = document.getElementById("rows");
  #more = document.getElementById("show-all");
  #rows = new Map();
  #most = FIRST_SHOWN;
  #onPlay;

  /** onPlay(event): somebody wants to hear it. */
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

  /** Shows events; newest first where they come live. canPlay: whether their sound is here. */
  show(events, { isLive, canPlay }) {
    const shown = isLive ? events.toReversed().slice(0, this.#most) : events.slice(0, this.#most);
    const wanted = new Set(shown.map(keyOf));
    for (const [key, row] of this.#rows) {
      if (wanted.has(key)) continue;
      row.remove();
      this.#rows.delete(key);
    }
    shown.forEach((event, place) => {
      const row = this.#rows.get(keyOf(event)) ?? this.#newRow(event);
      this.#write(row, event, canPlay);
      const there = this.#body.children[place];
      if (there !== row) this.#body.insertBefore(row, there ?? null);
    });
    this.#more.hidden = events.length <= shown.length;
    this.#more.textContent = t("showAll", { n: events.length });
  }

  /** Marks the events that are heard at a time; null: none. */
  mark(seconds) {
    for (const row of this.#rows.values()) {
      const { startTime, endTime } = row.heard;
      row.classList.toggle("playing", seconds !== null && startTime <= seconds && seconds < endTime);
    }
  }

  #newRow(event) {
    const row = document.createElement("tr");
    const [time, what, value] = [1, 2, 3].map(() => row.insertCell());
    const button = document.createElement("button");
    button.type = "button";
    button.addEventListener("click", () => this.#onPlay(row.heard));
    time.append(button);
    value.className = "number";
    what.className = "what";
    this.#rows.set(keyOf(event), row);
    this.#body.append(row);
    return row;
  }

  #write(row, event, canPlay) {
    row.heard = event;
    const [time, what, value] = row.cells;
    const [button] = time.children;
    const end = event.isOngoing ? "…" : clock(event.endTime);
    const name = nameOf(event.label);
    setText(button, `${clock(event.startTime)} – ${end}`);
    setText(what, name);
    setText(value, scoreText(valueOf(event)));
    button.disabled = !canPlay;
    button.setAttribute("aria-label", t("playEvent", { label: name, time: button.textContent }));
  }
}

function keyOf(event) {
  return `${event.labelIndex}:${event.startTime}`;
}

function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}
