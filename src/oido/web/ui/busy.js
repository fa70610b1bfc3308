// SPDX-License-Identifier: Apache-2.0

/* What stands in the page while a model is loaded or a recording is heard. */

import { onLanguage, t } from "./language.js";

const byId = (id) => document.getElementById(id);

let said = null;

/** Says what is done now; its end is not known yet. */
export function busyWith(key, values = {}) {
  said = [key, values];
  byId("busy-text").textContent = t(key, values);
  byId("busy-progress").removeAttribute("value");
}

/** The share that is done, 0..1. */
export function progress(share) {
  if (share > 0) byId("busy-progress").value = share;
}

onLanguage(() => {
  if (said) byId("busy-text").textContent = t(...said);
});
