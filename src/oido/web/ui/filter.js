// SPDX-License-Identifier: Apache-2.0

/* Which of the events are listed: those whose names have what was typed, of the families that were pressed. */

import { byId } from "./elements.js";
import { SIGNS, familyOf, isFamily } from "./families.js";
import { nameOf, onLanguage, plain, t } from "./language.js";

/** @import { SoundEvent } from "../types.js" */
/** @import { Family } from "./families.js" */
/** @import { Key } from "./language.js" */

const text = byId("filter", HTMLInputElement);
const buttons = byId("families");

/** @type {Record<Family, Key>} */
const NAMES = {
  people: "familyPeople",
  animals: "familyAnimals",
  music: "familyMusic",
  vehicles: "familyVehicles",
  alarms: "familyAlarms",
  home: "familyHome",
  nature: "familyNature",
  other: "familyOther",
};

export class Filter {
  /** @type {Set<Family>} */
  #families = new Set();
  #onChange;

  /** @param {() => void} onChange */
  constructor(onChange) {
    this.#onChange = onChange;
    text.addEventListener("input", onChange);
    for (const family of Object.keys(SIGNS)) if (isFamily(family)) buttons.append(this.#button(family));
    this.#render();
    onLanguage(() => this.#render());
  }

  /** Another session: all are listed. */
  reset() {
    text.value = "";
    this.#families.clear();
    this.#render();
  }

  /**
   * @param {SoundEvent[]} events
   * @returns {SoundEvent[]}
   */
  apply(events) {
    this.#offer(events);
    const words = plain(text.value.trim());
    if (!words && this.#families.size === 0) return events;
    return events.filter(({ label, also }) => {
      if (this.#families.size && !this.#families.has(familyOf(label))) return false;
      return !words || [label, ...also].some((each) => plain(nameOf(each)).includes(words));
    });
  }

  /**
   * Only families that were heard can be pressed; one that is, stays.
   * @param {SoundEvent[]} events
   */
  #offer(events) {
    const heard = new Set(events.map(({ label }) => familyOf(label)));
    let nShown = 0;
    for (const button of buttons.querySelectorAll("button")) {
      const family = /** @type {Family} */ (button.dataset.family);
      button.hidden = !heard.has(family) && !this.#families.has(family);
      nShown += button.hidden ? 0 : 1;
    }
    byId("filters").hidden = events.length < 2 && !text.value;
    buttons.hidden = nShown < 2;
  }

  /** @param {Family} family */
  #button(family) {
    const button = document.createElement("button");
    button.type = "button";
    button.dataset.family = family;
    button.addEventListener("click", () => {
      if (!this.#families.delete(family)) this.#families.add(family);
      this.#render();
      this.#onChange();
    });
    return button;
  }

  #render() {
    for (const button of buttons.querySelectorAll("button")) {
      const family = /** @type {Family} */ (button.dataset.family);
      button.textContent = t(NAMES[family]);
      button.setAttribute("aria-pressed", String(this.#families.has(family)));
    }
  }
}
