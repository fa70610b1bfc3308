// SPDX-License-Identifier: Apache-2.0

/* What stands on the timeline's canvas besides the spectrogram. */

import { SIGNS, familyOf } from "./families.js";
import { clock, nameOf, t } from "./language.js";
import { valueOf } from "./history.js";
import { colour } from "./theme.js";

/** @import { SoundEvent } from "../types.js" */

/** @typedef {{start: number, seconds: number, width: number, duration: number}} View pixels, else seconds */

const STEPS = [0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400];
const MARK_WIDTH = 76;

/**
 * Events in view by label: the labels that fill it most, first heard first, and how many others there are.
 * @param {SoundEvent[]} events
 * @param {number} start
 * @param {number} seconds
 * @param {number} most
 */
export function lanesOf(events, start, seconds, most) {
  const end = start + seconds;
  /** @type {Map<number, {events: SoundEvent[], weight: number}>} */
  const lanes = new Map();
  for (const event of events) {
    if (event.endTime <= start || event.startTime >= end) continue;
    const lane = lanes.get(event.labelIndex) ?? { events: [], weight: 0 };
    const length = Math.min(event.endTime, end) - Math.max(event.startTime, start);
    lane.weight += length * valueOf(event);
    lane.events.push(event);
    lanes.set(event.labelIndex, lane);
  }
  const shown = [...lanes.values()]
    .sort((a, b) => b.weight - a.weight)
    .slice(0, most)
    .map((lane) => lane.events)
    .sort((a, b) => a[0].startTime - b[0].startTime || a[0].labelIndex - b[0].labelIndex);
  return { lanes: shown, nOthers: lanes.size - shown.length };
}

/** @type {(view: View, time: number) => number} */
const xOf = ({ start, seconds, width }, time) => ((time - start) / seconds) * width;

/**
 * @param {CanvasRenderingContext2D} context
 * @param {View} view
 * @param {number} y
 * @param {number} axisHeight
 * @param {number} height
 */
export function drawAxis(context, view, y, axisHeight, height) {
  const step = STEPS.find((each) => (each / view.seconds) * view.width >= MARK_WIDTH) ?? STEPS[STEPS.length - 1];
  context.font = `12px ${colour("--sans")}`;
  context.textBaseline = "middle";
  context.textAlign = "left";
  for (let n = Math.max(0, Math.ceil(view.start / step)); n * step <= Math.min(view.start + view.seconds, view.duration); n++) {
    const x = Math.round(xOf(view, n * step)) + 0.5;
    context.fillStyle = colour("--line");
    context.fillRect(x - 0.5, y, 1, height - y);
    context.fillStyle = colour("--soft");
    const text = clock(n * step, step < 1 ? 1 : 0);
    // One that would be cut off at the edge is left out.
    if (x + 5 + context.measureText(text).width < view.width) context.fillText(text, x + 5, y + axisHeight / 2 + 1);
  }
}

/**
 * @param {CanvasRenderingContext2D} context
 * @param {View} view
 * @param {SoundEvent[][]} lanes
 * @param {number} y
 * @param {number} laneHeight
 */
export function drawLanes(context, view, lanes, y, laneHeight) {
  const [ink, card] = [colour("--ink"), colour("--card")];
  context.font = `13px ${colour("--sans")}`;
  context.textBaseline = "alphabetic";
  lanes.forEach((events, n) => {
    const top = y + n * laneHeight;
    const family = familyOf(events[0].label);
    const hue = colour(`--family-${family}`);
    for (const event of events) {
      const left = Math.max(-8, xOf(view, event.startTime));
      const right = Math.min(view.width + 8, xOf(view, event.endTime));
      context.globalAlpha = 0.35 + 0.65 * valueOf(event);
      context.fillStyle = hue;
      context.beginPath();
      context.roundRect(left, top + 20, Math.max(3, right - left - 1), 8, 4);
      context.fill();
    }
    context.globalAlpha = 1;
    const name = `${SIGNS[family]} ${nameOf(events[0].label)}`;
    const x = Math.max(10, Math.min(xOf(view, events[0].startTime) + 2, view.width - context.measureText(name).width - 10));
    context.lineWidth = 4;
    context.lineJoin = "round";
    context.strokeStyle = card;
    context.strokeText(name, x, top + 14);
    context.fillStyle = ink;
    context.fillText(name, x, top + 14);
  });
}

/**
 * @param {CanvasRenderingContext2D} context
 * @param {View} view
 * @param {number} time
 * @param {number} height
 */
export function drawPlayhead(context, view, time, height) {
  const x = Math.round(xOf(view, time));
  if (x < -4 || x > view.width + 4) return;
  context.fillStyle = colour("--ink");
  context.fillRect(x - 1, 0, 2, height);
  context.beginPath();
  context.moveTo(x - 6, 0);
  context.lineTo(x + 6, 0);
  context.lineTo(x, 8);
  context.fill();
}

/**
 * How many labels have no lane: the table has their events.
 * @param {CanvasRenderingContext2D} context
 * @param {View} view
 * @param {number} nOthers
 * @param {number} y
 */
export function drawOthers(context, view, nOthers, y) {
  if (nOthers === 0) return;
  context.font = `12px ${colour("--sans")}`;
  context.textBaseline = "middle";
  context.textAlign = "right";
  context.fillStyle = colour("--soft");
  context.fillText(t("moreLanes", { n: nOthers }), view.width - 10, y);
  context.textAlign = "left";
}
