// SPDX-License-Identifier: Apache-2.0
// What a review that learns says of itself: a curve, advice, and the model that is written at its end.

import { byId } from "../ui/elements.js";
import { scoreText } from "../ui/language.js";
import { t } from "./texts.js";

/** @import { Learning } from "./server.js" */

const [WIDTH, HEIGHT, MARGIN] = [300, 80, 6];

/** @param {Learning | null} learning */
export function showLearning(learning) {
  byId("learning").hidden = learning === null;
  if (learning === null) return;
  const { answers, positives, finished, advice } = learning;
  byId("learning-text").textContent = t("learningFrom", { answers, positives });
  byId("advice").textContent = advice;
  byId("advice").dataset.finished = String(finished);
  const points = learning.curve.flatMap(([at, value]) => (at == null || value == null ? [] : [[at, value]]));
  const svg = document.getElementById("curve");
  if (svg === null) return;
  svg.toggleAttribute("hidden", points.length < 2);
  if (points.length < 2) return;
  const [first, last] = [points[0][0], points[points.length - 1][0]];
  const x = (/** @type {number} */ value) => MARGIN + ((value - first) / Math.max(1e-9, last - first)) * (WIDTH - 2 * MARGIN);
  const y = (/** @type {number} */ value) => HEIGHT - MARGIN - Math.max(0, Math.min(1, value)) * (HEIGHT - 2 * MARGIN);
  svg.firstElementChild?.setAttribute("points", points.map(([at, value]) => `${x(at)},${y(value)}`).join(" "));
  svg.setAttribute(
    "aria-label",
    t("curve", { first: scoreText(points[0][1]), last: scoreText(points[points.length - 1][1]) }),
  );
}
