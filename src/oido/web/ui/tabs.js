// SPDX-License-Identifier: Apache-2.0

/* What was heard, as a row of buttons: one shows it, the one behind it takes it away. */

import { byId } from "./elements.js";
import { currentLanguage, t } from "./language.js";

/** @import { Entry } from "./shelf.js" */

const box = byId("tabs");
const list = byId("tab-list");

/**
 * What an entry is called.
 * @param {Entry} entry
 */
export function entryName({ session, file, began }) {
  if (file !== null) return session.name;
  const time = new Date(began).toLocaleTimeString(currentLanguage(), { hour: "2-digit", minute: "2-digit" });
  return t("microphoneAt", { time });
}

export class Tabs {
  #onShow;
  #onRemove;
  #signature = "";

  /** @param {{onShow: (entry: Entry) => void, onRemove: (entry: Entry) => void}} handlers */
  constructor({ onShow, onRemove }) {
    this.#onShow = onShow;
    this.#onRemove = onRemove;
  }

  /**
   * live: the one that is still listened to; it cannot be taken away.
   * @param {Entry[]} entries
   * @param {{shown: Entry | null, live: Entry | null}} state
   */
  render(entries, { shown, live }) {
    box.hidden = entries.length === 0;
    const signature = [currentLanguage(), ...entries.map((each) => `${entryName(each)}:${each.model.name}`)].join("\n");
    if (signature !== this.#signature || list.children.length !== entries.length) {
      list.replaceChildren(...entries.map((entry) => this.#item(entry, entries)));
      this.#signature = signature;
    }
    entries.forEach((entry, place) => {
      const [button, remove] = list.children[place].querySelectorAll("button");
      button.setAttribute("aria-pressed", String(entry === shown));
      button.classList.toggle("on-air", entry === live);
      button.onclick = () => this.#onShow(entry);
      remove.hidden = entry === live || !entry.session.isOver;
      remove.onclick = () => {
        this.#onRemove(entry);
        // What was removed is said above, with its Undo: that stays in view.
        (box.hidden ? byId("listen") : (list.querySelector("button") ?? byId("listen"))).focus({ preventScroll: true });
      };
    });
  }

  /**
   * @param {Entry} entry
   * @param {Entry[]} entries
   */
  #item(entry, entries) {
    const item = document.createElement("li");
    const [show, remove] = [0, 1].map(() => Object.assign(document.createElement("button"), { type: "button" }));
    const name = entryName(entry);
    const isTwice = entries.some((other) => other !== entry && entryName(other) === name);
    show.className = "tab";
    show.textContent = isTwice ? `${name} · ${entry.model.name}` : name;
    show.title = `${name} · ${entry.model.name}`;
    remove.className = "quiet round";
    remove.textContent = "×";
    remove.setAttribute("aria-label", t("removeEntry", { name: show.textContent }));
    item.append(show, remove);
    return item;
  }
}
