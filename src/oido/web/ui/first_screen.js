// SPDX-License-Identifier: Apache-2.0

/*
 * The first screen in its words and colours. It needs few files, and the others are asked for when it is seen; what is
 * pressed until they are here is done then.
 */

import { byId } from "./elements.js";
import { translatePage } from "./language.js";
import { startTheme } from "./theme.js";

const MOST_MS = 2000; // a page that nobody looks at is never painted

/** What was pressed before the page could answer. @type {HTMLElement | null} */
let pressed = null;

/** @param {Event} event */
const remember = ({ target }) => (pressed = target instanceof Element ? target.closest("button") : null);

/** The page answers from now on: first what was pressed last. */
export function answerPresses() {
  document.removeEventListener("click", remember);
  pressed?.click();
}

/** A promise of the time when something of the page is on the screen. */
function painted() {
  return new Promise((resolve) => {
    const observer = new PerformanceObserver((list) => {
      if (list.getEntriesByName("first-contentful-paint").length) resolve(null);
    });
    observer.observe({ type: "paint", buffered: true });
    setTimeout(resolve, MOST_MS);
  });
}

startTheme();
translatePage();
document.body.dataset.waits = "models";
document.addEventListener("click", remember);
await painted();
document.head.append(byId("rest", HTMLTemplateElement).content);
