// SPDX-License-Identifier: Apache-2.0

/* The Listen button: it says what a press does, and waves go out from it as loud as the microphone is. */

import { byId } from "./elements.js";
import { t } from "./language.js";

const SILENT_DB = -60; // of full scale: nothing to see
const DRAW_MS = 60;

const button = byId("listen");

export class ListenButton {
  #lastDraw = 0;

  /** @param {() => void} onPress */
  constructor(onPress) {
    button.addEventListener("click", onPress);
  }

  /** @param {{isLive: boolean, isSending: boolean}} state */
  render({ isLive, isSending }) {
    byId("listen-text").textContent = t(isLive ? "stop" : isSending ? "listenSend" : "listen");
    if (!isLive) button.style.setProperty("--level", "0");
  }

  /**
   * The level of what is heard, as a share of full scale. Gives whether it was time to draw again: nobody sees more
   * pictures than some in a second.
   * @param {number} level
   */
  follow(level) {
    const time = performance.now();
    if (document.hidden || time - this.#lastDraw < DRAW_MS) return false;
    this.#lastDraw = time;
    const db = 20 * Math.log10(level + 1e-9);
    button.style.setProperty("--level", Math.max(0, Math.min(1, 1 - db / SILENT_DB)).toFixed(2));
    return true;
  }
}
