// SPDX-License-Identifier: Apache-2.0

/* What was heard, in a line: each sound once, how often, and where it is best heard. */

import { byId } from "./elements.js";
import { familyOf } from "./families.js";
import { valueOf } from "./history.js";
import { clock, nameOf, t } from "./language.js";

/** @import { SoundEvent } from "../types.js" */

const MOST = 24; // sounds; the table has all

const list = byId("summary");

/**
 * Sounds by how sure their best event is. count: events of it.
 * @param {SoundEvent[]} events
 * @returns {{best: SoundEvent, count: number}[]}
 */
export function summaryOf(events) {
  /** @type {Map<string, {best: SoundEvent, count: number}>} */
  const sounds = new Map();
  for (const event of events) {
    const known = sounds.get(event.label);
    if (known === undefined) {
      sounds.set(event.label, { best: event, count: 1 });
      continue;
    }
    known.count += 1;
    if (valueOf(event) > valueOf(known.best)) known.best = event;
  }
  return [...sounds.values()].sort((a, b) => valueOf(b.best) - valueOf(a.best));
}

export class Summary {
  #onPlay;
  #text = "";

  /** @param {(event: SoundEvent) => void} onPlay */
  constructor(onPlay) {
    this.#onPlay = onPlay;
  }

  /**
   * canPlay: whether the sound of an event is here.
   * @param {SoundEvent[]} events
   * @param {(event: SoundEvent) => boolean} canPlay
   */
  show(events, canPlay) {
    const sounds = summaryOf(events);
    const shown = sounds.slice(0, MOST);
    const texts = shown.map(({ best, count }) =>
      t("summarySound", { label: nameOf(best.label), n: count, time: clock(best.startTime, 0) }),
    );
    const text = texts.map((each, place) => `${each}${canPlay(shown[place].best)}`).join("\n");
    list.hidden = shown.length === 0;
    byId("summary-more").hidden = sounds.length <= MOST;
    byId("summary-more").textContent = t("summaryMore", { n: sounds.length - MOST });
    if (text === this.#text) return; // nobody loses the focus
    this.#text = text;
    list.replaceChildren(
      ...shown.map(({ best }, place) => {
        const item = document.createElement("li");
        const button = document.createElement("button");
        button.type = "button";
        button.dataset.family = familyOf(best.label);
        button.textContent = texts[place];
        button.disabled = !canPlay(best);
        button.addEventListener("click", () => this.#onPlay(best));
        item.append(button);
        return item;
      }),
    );
  }
}
