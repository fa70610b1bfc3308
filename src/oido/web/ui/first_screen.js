// SPDX-License-Identifier: Apache-2.0

/*
 * The first screen in its words and colours. It needs few files, and the others are asked for when it is seen, some at a
 * time, so that the page answers meanwhile; what is pressed until it can is done then.
 */

import { byId } from "./elements.js";
import { translatePage } from "./language.js";
import { startTheme } from "./theme.js";

const MOST_MS = 2000; // a page that nobody looks at is never painted
const AT_ONCE = 4; // files

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

/** A promise of a task of its own: whatever waits for the page comes first. */
function nextTask() {
  return new Promise((resolve) => {
    const { port1, port2 } = new MessageChannel(); // timers would stand still in a hidden page
    port1.onmessage = resolve;
    port2.postMessage(null);
  });
}

startTheme();
translatePage();
document.body.dataset.waits = "models";
document.addEventListener("click", remember);
await painted();
const rest = [...byId("rest", HTMLTemplateElement).content.children];
while (rest.length) {
  document.head.append(...rest.splice(0, AT_ONCE));
  await nextTask();
}
