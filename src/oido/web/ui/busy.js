// SPDX-License-Identifier: Apache-2.0

/* What stands in the page while a model is loaded or a recording is heard. */

import { byId } from "./elements.js";
import { onLanguage, t } from "./language.js";

/** @import { Key, Values } from "./language.js" */

/** @type {[Key, Values] | null} */
let message = null;

/**
 * Says what is done now; its end is not known yet.
 * @param {Key} key
 * @param {Values} [values]
 */
export function busyWith(key, values = {}) {
  message = [key, values];
  byId("busy-text").textContent = t(key, values);
  byId("busy-progress").removeAttribute("value");
}

/**
 * The share that is done, 0..1.
 * @param {number} share
 */
export function progress(share) {
  if (share > 0) byId("busy-progress", HTMLProgressElement).value = share;
}

onLanguage(() => {
  if (message) byId("busy-text").textContent = t(...message);
});
