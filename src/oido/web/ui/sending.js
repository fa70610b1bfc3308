// SPDX-License-Identifier: Apache-2.0

/*
 * Where sound goes, said before it goes there: the badge, the labels of what is pressed, and the offer to
 * send what was heard on this device. A choice never sends anything; only these presses do.
 */

import { byId } from "./elements.js";
import { t } from "./language.js";

/** @import { Key, Values } from "./language.js" */

const badge = byId("badge");
const offerText = byId("offer-text");
const button = byId("offer-send");

/**
 * What stayed here, or went to another model, and can be sent by a press. key: of the text, action: of the button.
 * @typedef {{key: Key, values: Values, action: Key, run: () => void}} Offer
 *
 * What became of the sound on the screen.
 * @typedef {"stayed" | "went"} Shown
 */

export class Sending {
  /** @type {(() => void) | null} */
  #onSend = null;

  constructor() {
    button.addEventListener("click", () => {
      const send = this.#onSend;
      // The button goes away now; who came by keyboard goes on at what made it come.
      checkedPlace()?.focus({ preventScroll: true });
      send?.();
    });
  }

  /**
   * isReady: the place is known. isNext: what is begun now goes to the server. shown: "stayed" or "went", of
   * what is on the screen, or null. offer: {key, values, action, run}, or null: what stayed can be sent.
   * @param {{isReady: boolean, isNext: boolean, server: string, shown: Shown | null, offer: Offer | null}} state
   */
  show({ isReady, isNext, server, shown, offer }) {
    badge.hidden = !isReady;
    badge.dataset.where = isNext ? "server" : "device";
    if (shown === null) delete badge.dataset.shown;
    else badge.dataset.shown = shown;
    badge.textContent = t(badgeKey(isNext, shown), { server });
    byId("open").textContent = t(isNext ? "openSend" : "open");
    byId("hint").textContent = t(isNext ? "dropHereSend" : "dropHere", { server });
    byId("drop-text").textContent = t(isNext ? "dropNowSend" : "dropNow", { server });
    byId("offer").hidden = offer === null;
    this.#onSend = offer?.run ?? null;
    if (offer === null) return;
    offerText.textContent = t(offer.key, offer.values);
    button.textContent = t(offer.action);
  }

  /** What a screen reader is told when the place changes. */
  get words() {
    return byId("offer").hidden ? badge.textContent : `${badge.textContent}. ${offerText.textContent}`;
  }
}

/** @returns {HTMLInputElement | null} */
const checkedPlace = () => document.querySelector('input[name="where"]:checked');

/**
 * @param {boolean} isNext
 * @param {Shown | null} shown
 */
function badgeKey(isNext, shown) {
  if (isNext) return shown === "stayed" ? "stayedThenSent" : "sent";
  return shown === "went" ? "wentThenStays" : "stays";
}
