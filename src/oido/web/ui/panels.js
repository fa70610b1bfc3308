// SPDX-License-Identifier: Apache-2.0

/* What stands behind one line, and opens by a press: it is so at the next visit as it was left. */

import { byId } from "./elements.js";
import { recall, remember } from "./memory.js";

/** @type {NodeListOf<HTMLDetailsElement>} */
const panels = document.querySelectorAll("details.panel");

/** Opens those that were open. */
export function startPanels() {
  for (const panel of panels) {
    if (panel.open) remember(`open-${panel.id}`, "true"); // before the page could listen
    else if (recall(`open-${panel.id}`) === "true") panel.open = true;
    panel.addEventListener("toggle", () => remember(`open-${panel.id}`, String(panel.open)));
  }
}

/** @param {string} id */
export function openPanel(id) {
  byId(id, HTMLDetailsElement).open = true;
}
