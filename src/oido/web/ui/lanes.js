// SPDX-License-Identifier: Apache-2.0

/* What stands on the timeline's canvas besides the spectrogram. */

import { SIGNS, familyOf } from "./families.js";
import { clock, nameOf, shortNumber, t } from "./language.js";
import { valueOf } from "./history.js";
import { colour } from "./theme.js";

/** @import { SoundEvent } from "../types.js" */
/** @import { Spectrogram } from "./spectrogram.js" */

/** @typedef {{start: number, seconds: number, width: number, duration: number}} View pixels, else seconds */

const STEPS = [0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400];
const MARK_WIDTH = 76;
const MARKS_KHZ = [0.125, 0.25, 0.5, 1, 2, 4, 8, 16];
const MARK_HEIGHT = 18;

/** Pixels from one lane of events to the next. */
export const LANE = 28;
const BAR = 22;
const NARROW = 6; // a bar that has no place for its frame
const FONT = 13;

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
 * Times, below the picture.
 * @param {CanvasRenderingContext2D} context
 * @param {View} view
 * @param {number} y
 * @param {number} axisHeight
 */
export function drawAxis(context, view, y, axisHeight) {
  const step = STEPS.find((each) => (each / view.seconds) * view.width >= MARK_WIDTH) ?? STEPS[STEPS.length - 1];
  context.font = `12px ${colour("--sans")}`;
  context.textBaseline = "middle";
  context.textAlign = "left";
  for (let n = Math.max(0, Math.ceil(view.start / step)); n * step <= Math.min(view.start + view.seconds, view.duration); n++) {
    const x = Math.round(xOf(view, n * step)) + 0.5;
    context.fillStyle = colour("--edge");
    context.fillRect(x - 0.5, y, 1, 7);
    context.fillStyle = colour("--soft");
    const text = clock(n * step, step < 1 ? 1 : 0);
    // One that would be cut off at the edge is left out.
    if (x + 5 + context.measureText(text).width < view.width) context.fillText(text, x + 5, y + axisHeight / 2 + 1);
  }
}

/**
 * Frequencies, left of the picture: as many as have a place.
 * @param {CanvasRenderingContext2D} context
 * @param {Spectrogram} spectrogram
 * @param {number} highestHz
 * @param {number} right
 * @param {number} height
 */
export function drawFrequencies(context, spectrogram, highestHz, right, height) {
  context.font = `12px ${colour("--sans")}`;
  context.textBaseline = "middle";
  context.textAlign = "right";
  context.fillStyle = colour("--soft");
  context.fillText("kHz", right - 8, height + 12);
  let above = -Infinity;
  for (const kHz of MARKS_KHZ.toReversed()) {
    const y = Math.round((1 - spectrogram.heightOf(kHz * 1000)) * height);
    if (kHz * 1000 > highestHz || Math.max(8, y) - above < MARK_HEIGHT || y > height - 8) continue;
    above = Math.max(8, y);
    context.fillStyle = colour("--edge");
    context.fillRect(right - 5, y, 5, 1);
    context.fillStyle = colour("--soft");
    context.fillText(shortNumber(kHz), right - 8, above);
  }
  context.textAlign = "left";
}

/**
 * Events over the picture, those of a label in a line: each has the colour and the sign of its family, and the first
 * its name, as have others that it fits in.
 * @param {CanvasRenderingContext2D} context
 * @param {View} view
 * @param {SoundEvent[][]} lanes
 * @param {number} y
 */
export function drawLanes(context, view, lanes, y) {
  const [ink, card] = [colour("--ink"), colour("--card")];
  context.font = `600 ${FONT}px ${colour("--sans")}`;
  context.textBaseline = "middle";
  lanes.forEach((events, n) => {
    const top = y + n * LANE;
    const family = familyOf(events[0].label);
    const hue = colour(`--family-${family}`);
    const name = `${SIGNS[family]} ${nameOf(events[0].label)}`;
    const length = context.measureText(name).width;
    drawBars(context, view, events, { top, hue, card });
    let end = -Infinity; // of the last name: they do not stand over each other
    for (const event of events) {
      const left = Math.max(0, xOf(view, event.startTime));
      const isFirst = event === events[0];
      const isRoomy = xOf(view, event.endTime) - left > length + 16;
      if (!isFirst && (!isRoomy || left < end)) continue;
      const x = Math.max(8, Math.min(left + 8, view.width - length - 8));
      context.lineWidth = 4;
      context.lineJoin = "round";
      context.strokeStyle = card;
      context.strokeText(name, x, top + BAR / 2);
      context.fillStyle = ink;
      context.fillText(name, x, top + BAR / 2);
      end = x + length + 8;
    }
  });
}

/**
 * Surer events are drawn stronger. Of thousands in view, most are narrow, and lie where another one is drawn already.
 * @param {CanvasRenderingContext2D} context
 * @param {View} view
 * @param {SoundEvent[]} events of one lane, by their starts
 * @param {{top: number, hue: string, card: string}} look
 */
function drawBars(context, view, events, { top, hue, card }) {
  let drawnTo = -Infinity;
  context.strokeStyle = hue;
  for (const event of events) {
    const left = Math.max(-8, xOf(view, event.startTime));
    const right = Math.min(view.width + 8, xOf(view, event.endTime));
    const width = Math.max(3, right - left - 1);
    if (left + width <= drawnTo + 1) continue;
    drawnTo = left + width;
    if (width < NARROW) {
      context.fillStyle = hue;
      context.fillRect(left, top, width, BAR);
      continue;
    }
    context.beginPath();
    context.roundRect(left + 0.5, top + 0.5, width, BAR, 6);
    context.globalAlpha = 0.55;
    context.fillStyle = card;
    context.fill();
    context.globalAlpha = 0.12 + 0.25 * valueOf(event);
    context.fillStyle = hue;
    context.fill();
    context.globalAlpha = 1;
    context.lineWidth = 1 + valueOf(event);
    context.stroke();
  }
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
  context.fillStyle = colour("--card"); // so that it is seen on loud sound, too
  context.fillRect(x - 2, 0, 4, height);
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
  const text = t("moreLanes", { n: nOthers });
  context.lineWidth = 4;
  context.lineJoin = "round";
  context.strokeStyle = colour("--card");
  context.strokeText(text, view.width - 10, y);
  context.fillStyle = colour("--ink");
  context.fillText(text, view.width - 10, y);
  context.textAlign = "left";
}
