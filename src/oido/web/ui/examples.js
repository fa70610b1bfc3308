// SPDX-License-Identifier: Apache-2.0

/* The first screen: recordings that come with the page, each a press away, and what the page promises. */

import { byId } from "./elements.js";
import { t } from "./language.js";

const box = byId("examples");
const promise = byId("promise");

/** @type {HTMLButtonElement[]} */
const buttons = [...box.querySelectorAll("button")];

export class Examples {
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
    for (const button of buttons) button.addEventListener("click", () => this.#open(urlOf(button), true));
  }

  /**
   * Those of this page, by their addresses.
   * @param {string[]} urls
   */
  offer(urls) {
    box.hidden = urls.length === 0;
    if (box.hidden) return; // as wide and high as it will be, until that is known
    for (const button of buttons) button.hidden = !urls.includes(urlOf(button));
  }

  /**
   * Opens the one of this file name; gives whether there is one.
   * @param {string} name
   */
  openNamed(name) {
    const button = buttons.find((each) => urlOf(each).endsWith(`/${name}`));
    if (box.hidden || !button || button.hidden) return false;
    this.#open(urlOf(button), false);
    return true;
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
}

/** @param {HTMLButtonElement} button */
function urlOf({ dataset }) {
  return dataset.example ?? "";
}
