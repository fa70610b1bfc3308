// SPDX-License-Identifier: Apache-2.0

/* A picture to go with a sound that is shared: what it looks like, what it is called, and when it was. */

import { SIGNS, familyOf } from "./families.js";
import { Spectrogram, contextOf } from "./spectrogram.js";
import { colour } from "./theme.js";

/** @import { Sound } from "../types.js" */

const [WIDTH, HEIGHT] = [1200, 630]; // what other programs show whole
const PICTURE = 400;
const MARGIN = 56;

/**
 * What a card is of. label: of the model, for its family; name, when: as they are shown.
 * @typedef {{audio: Sound, from: number, to: number, label: string, name: string, when: string, file: string}} Moment
 */

/**
 * The card of a moment as a PNG, or null where this browser makes none.
 * @param {Moment} moment
 * @returns {Promise<File | null>}
 */
export async function cardOf(moment) {
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [WIDTH, HEIGHT];
  const { audio, from, to } = moment;
  const spectrogram = new Spectrogram(audio.sampleRateHz);
  const view = { width: WIDTH, start: from, seconds: to - from, audio, columnWidth: 3 };
  await spectrogram.prepare(view);
  const context = contextOf(canvas);
  draw(context, moment, () => spectrogram.draw(context, { ...view, x: 0, y: 0, height: PICTURE }));
  /** @type {Blob | null} */
  const blob = await new Promise((resolve) => canvas.toBlob(resolve, "image/png"));
  return blob && new File([blob], moment.file, { type: "image/png" });
}

/**
 * @param {CanvasRenderingContext2D} context
 * @param {Moment} moment
 * @param {() => void} drawSound
 */
function draw(context, { label, name, when }, drawSound) {
  const family = familyOf(label);
  context.fillStyle = colour("--paper");
  context.fillRect(0, 0, WIDTH, HEIGHT);
  context.fillStyle = colour("--card");
  context.fillRect(0, 0, WIDTH, PICTURE);
  drawSound();
  context.fillStyle = colour(`--family-${family}`);
  context.fillRect(0, PICTURE, WIDTH, 8);
  context.textBaseline = "alphabetic";
  const mark = drawMark(context);
  const sign = `${SIGNS[family]} `;
  let size = 76;
  do context.font = `700 ${(size -= 4)}px ${colour("--sans")}`;
  while (size > 36 && context.measureText(sign + name).width > WIDTH - 3 * MARGIN - mark);
  context.fillText(sign, MARGIN, PICTURE + 118);
  const left = MARGIN + context.measureText(sign).width;
  context.fillStyle = colour("--ink");
  context.fillText(fitting(context, name, WIDTH - left - 2 * MARGIN - mark), left, PICTURE + 118);
  context.font = `400 36px ${colour("--sans")}`;
  context.fillStyle = colour("--soft");
  context.fillText(fitting(context, when, WIDTH - 3 * MARGIN - mark), MARGIN, PICTURE + 178);
}

/**
 * The page's name and its sign, below on the right; gives how wide they are.
 * @param {CanvasRenderingContext2D} context
 */
function drawMark(context) {
  context.font = `700 52px ${colour("--sans")}`;
  const width = context.measureText("oido").width;
  const [x, y] = [WIDTH - MARGIN - width, PICTURE + 178];
  context.fillStyle = colour("--ink");
  context.fillText("oido", x, y);
  context.lineWidth = 9;
  context.lineCap = "round";
  context.strokeStyle = colour("--accent");
  for (const radius of [16, 34, 52]) {
    const open = radius === 16 ? Math.PI : 0.7;
    context.beginPath();
    context.arc(x - 78, y - 16, radius, -open, open);
    context.stroke();
  }
  return width + 110;
}

/**
 * As much of a text as has a place.
 * @param {CanvasRenderingContext2D} context
 * @param {string} text
 * @param {number} width
 */
function fitting(context, text, width) {
  if (context.measureText(text).width <= width) return text;
  let shown = text;
  while (shown && context.measureText(`${shown}…`).width > width) shown = shown.slice(0, -1);
  return `${shown}…`;
}
