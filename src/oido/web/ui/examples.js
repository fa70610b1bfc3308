// SPDX-License-Identifier: Apache-2.0

/* The first screen: recordings that come with the page, each a press away, and what the page promises. */

import { byId } from "./elements.js";
import { onLanguage, t } from "./language.js";

/** @import { Key } from "./language.js" */

const box = byId("examples");
const promise = byId("promise");

/** What each is called. @type {Record<string, Key>} */
const NAMES = { street: "exampleStreet", alarm: "exampleAlarm", beep: "exampleBeep" };

export class Examples {
  /** @type {HTMLButtonElement[]} */
  #buttons = [];
  #urls = "";
  #onOpen;
  #onTrouble;

  /**
   * onOpen(file, isPressed): it is to be heard, because somebody pressed it, or came by a link; onTrouble(error, name):
   * it could not be fetched.
   * @param {{onOpen: (file: File, isPressed: boolean) => void, onTrouble: (error: unknown, name: string) => void}} handlers
   */
  constructor({ onOpen, onTrouble }) {
    this.#onOpen = onOpen;
    this.#onTrouble = onTrouble;
    onLanguage(() => this.#render());
  }

  /**
   * Those of this page, by their addresses.
   * @param {string[]} urls
   */
  offer(urls) {
    const known = urls.filter((url) => stemOf(url) in NAMES);
    if (known.join() === this.#urls) return;
    this.#urls = known.join();
    for (const button of this.#buttons) button.remove();
    this.#buttons = known.map((url) => this.#button(url));
    box.append(...this.#buttons);
    box.hidden = known.length === 0;
    this.#render();
  }

  /**
   * Opens the one of this file name; gives whether there is one.
   * @param {string} name
   */
  openNamed(name) {
    const button = this.#buttons.find(({ dataset }) => dataset.example?.endsWith(`/${name}`));
    if (button) this.#open(button.dataset.example ?? "", false);
    return button !== undefined;
  }

  /**
   * What is true of the choice that is made: how many sounds it knows, whether it needs a network, where audio goes.
   * @param {{nSounds: number, isOffline: boolean, isHere: boolean}} facts
   */
  say({ nSounds, isOffline, isHere }) {
    const parts = nSounds ? [t("promiseSounds", { n: nSounds })] : [];
    if (isOffline) parts.push(t("promiseOffline"));
    if (isHere) parts.push(t("promiseStays"));
    promise.textContent = parts.join(" · ");
  }

  /** @param {string} url */
  #button(url) {
    const button = document.createElement("button");
    button.type = "button";
    button.dataset.example = url;
    button.addEventListener("click", () => this.#open(url, true));
    return button;
  }

  /**
   * Fetches one, and gives it on.
   * @param {string} url
   * @param {boolean} isPressed
   */
  async #open(url, isPressed) {
    const name = url.slice(url.lastIndexOf("/") + 1);
    try {
      const response = await fetch(new URL(url, document.baseURI));
      if (!response.ok) throw new TypeError(`${url}: ${response.status}`);
      this.#onOpen(new File([await response.blob()], name, { type: "audio/flac" }), isPressed);
    } catch (error) {
      this.#onTrouble(error, name);
    }
  }

  #render() {
    for (const button of this.#buttons) {
      button.textContent = t(NAMES[stemOf(button.dataset.example ?? "")]);
    }
  }
}

/** @param {string} url */
function stemOf(url) {
  return url.replace(/^.*\//, "").replace(/\.\w+$/, "");
}
