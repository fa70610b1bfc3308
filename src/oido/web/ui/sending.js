// SPDX-License-Identifier: Apache-2.0

/*
 * Where sound goes, said before it goes there: the badge, the labels of what is pressed, and the offer to
 * send what was heard on this device. A choice never sends anything; only these presses do.
 */

import { t } from "./language.js";

const byId = (id) => document.getElementById(id);
const badge = byId("badge");
const offerText = byId("offer-text");
const button = byId("offer-send");

export class Sending {
  #onSend = null;

  constructor() {
    button.addEventListener("click", () => {
      const send = this.#onSend;
      // The button goes away now; who came by keyboard goes on at what made it come.
      document.querySelector('input[name="where"]:checked')?.focus({ preventScroll: true });
      send?.();
    });
  }

  /**
   * isReady: the place is known. isNext: what is begun now goes to the server. shown: "stayed" or "went", of
   * what is on the screen, or null. offer: {key, values, action, run}, or null: what stayed can be sent.
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

function badgeKey(isNext, shown) {
  if (isNext) return shown === "stayed" ? "stayedThenSent" : "sent";
  return shown === "went" ? "wentThenStays" : "stays";
}
