// SPDX-License-Identifier: Apache-2.0

/* The line above the picture: what it is of, how much of it was heard, and by which model. */

import { byId } from "./elements.js";
import { clock, secondsText, t } from "./language.js";

/** @import { Values } from "./language.js" */
/** @import { Entry } from "./shelf.js" */

/**
 * @param {Entry} entry
 * @returns {Values}
 */
export function heardValues({ session, seconds }) {
  return { file: session.name, duration: clock(session.duration), seconds: secondsText(Math.max(0.1, seconds)) };
}

/**
 * isPaused: it is listened to, but something of it plays.
 * @param {Entry} entry
 * @param {boolean} isPaused
 */
export function showStatus(entry, isPaused) {
  const { session, model, where } = entry;
  const duration = clock(session.duration, session.isOver ? 1 : 0);
  let text = t(session.isCut ? "heardPart" : session.isOver ? "heard" : "heardSoFar", heardValues(entry));
  if (session.isLive) text = t(session.isOver ? "listened" : "listening", { duration });
  if (isPaused) text = t("paused");
  const by = t(where === "server" ? "byServer" : "byDevice", { model: model.name });
  if (byId("status").textContent !== text) byId("status").textContent = text;
  if (byId("status-by").textContent !== by) byId("status-by").textContent = by;
}
