// SPDX-License-Identifier: Apache-2.0

/* One event from near: the picture of its sound, and below it what the model said of each of its frames. */

import { byId } from "./elements.js";
import { familyOf } from "./families.js";
import { clock, nameOf, onLanguage, scoreText, t } from "./language.js";
import { Spectrogram, contextOf } from "./spectrogram.js";
import { colour, onTheme } from "./theme.js";

/** @import { SoundEvent } from "../types.js" */
/** @import { Session } from "./session.js" */

const AROUND_SECONDS = 0.5;
const MOST_SECONDS = 60; // of a long event, its beginning
const PICTURE = 130; // pixels
const SCORES = 72;
const GAP = 6;

/** A frame's score of one label. @typedef {{start: number, end: number, score: number}} FrameScore seconds */

/**
 * What the model said of a label from one time to another, frame after frame; frames that are not kept are left out.
 * @param {Session} session
 * @param {number} labelIndex
 * @param {number} from seconds
 * @param {number} to
 * @returns {FrameScore[]}
 */
export function frameScores({ frames, info }, labelIndex, from, to) {
  const rate = info.sampleRateHz;
  const { grid } = frames;
  const near = (/** @type {number} */ seconds) => Math.floor((seconds * rate) / grid.frameSamples);
  const first = Math.max(frames.first, near(from) - 1);
  const end = Math.min(frames.end, near(to) + 2);
  return frames
    .slice(first, Math.max(first, end))
    .map((scores, number) => {
      const [start, stop] = grid.span(first + number);
      return { start: start / rate, end: stop / rate, score: scores[labelIndex] };
    })
    .filter((frame) => frame.end > from && frame.start < to);
}

export class Closeup {
  #canvas = byId("closeup", HTMLCanvasElement);
  /** @type {{session: Session, event: SoundEvent} | null} */
  #shown = null;

  constructor() {
    new ResizeObserver(() => this.#draw()).observe(this.#canvas);
    onTheme(() => this.#draw());
    onLanguage(() => this.#draw());
  }

  /**
   * Shows an event, or nothing.
   * @param {Session | null} session
   * @param {SoundEvent | null} event
   */
  show(session, event) {
    this.#shown = session && event && { session, event };
    this.#canvas.hidden = this.#shown === null;
    this.#draw();
  }

  async #draw() {
    const width = this.#canvas.clientWidth;
    const shown = this.#shown;
    if (shown === null || width === 0) return;
    const { session, event } = shown;
    const from = Math.max(0, event.startTime - AROUND_SECONDS);
    const to = Math.min(session.duration, event.endTime + AROUND_SECONDS, from + MOST_SECONDS);
    const { audio } = session;
    const view = audio && { x: 0, y: 0, width, height: PICTURE, start: from, seconds: to - from, audio };
    const spectrogram = new Spectrogram(session.info.sampleRateHz);
    if (view) await spectrogram.prepare(view).catch(() => {}); // the timeline says it
    if (shown !== this.#shown) return;
    const scores = event.labelIndex < 0 ? [] : frameScores(session, event.labelIndex, from, to);
    const context = this.#cleared(width);
    const x = (/** @type {number} */ seconds) => ((seconds - from) / (to - from)) * width;
    if (view) spectrogram.draw(context, view);
    drawScores(context, scores, x, colour(`--family-${familyOf(event.label)}`));
    drawBounds(context, [event.startTime, event.endTime].map(x));
    const highest = Math.max(0, ...scores.map(({ score }) => score));
    const values = { label: nameOf(event.label), time: clock(event.startTime), n: scores.length };
    this.#canvas.setAttribute("aria-label", t("closeup", { ...values, highest: scoreText(highest) }));
  }

  /** @param {number} width */
  #cleared(width) {
    const ratio = devicePixelRatio || 1;
    const height = PICTURE + GAP + SCORES;
    const canvas = this.#canvas;
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
    const context = contextOf(canvas);
    context.scale(ratio, ratio);
    return context;
  }
}

/**
 * A bar for each frame, and lines at 0, 0.5 and 1.
 * @param {CanvasRenderingContext2D} context
 * @param {FrameScore[]} scores
 * @param {(seconds: number) => number} x
 * @param {string} hue
 */
function drawScores(context, scores, x, hue) {
  const [top, width] = [PICTURE + GAP, context.canvas.width];
  context.font = `11px ${colour("--sans")}`;
  context.textBaseline = "middle";
  context.fillStyle = hue;
  for (const { start, end, score } of scores) {
    const height = Math.max(1, score * (SCORES - 12));
    context.fillRect(x(start) + 0.5, top + SCORES - 6 - height, Math.max(1, x(end) - x(start) - 1), height);
  }
  for (const value of [0, 0.5, 1]) {
    const y = Math.round(top + 6 + (1 - value) * (SCORES - 12)) + 0.5;
    context.fillStyle = colour("--line");
    context.fillRect(0, y - 0.5, width, 1);
    context.lineWidth = 3;
    context.strokeStyle = colour("--card");
    context.strokeText(scoreText(value), 4, y);
    context.fillStyle = colour("--soft");
    context.fillText(scoreText(value), 4, y);
  }
}

/**
 * @param {CanvasRenderingContext2D} context
 * @param {number[]} places
 */
function drawBounds(context, places) {
  for (const place of places) {
    context.fillStyle = colour("--card");
    context.fillRect(Math.round(place) - 1.5, 0, 3, PICTURE + GAP + SCORES);
    context.fillStyle = colour("--ink");
    context.fillRect(Math.round(place) - 0.5, 0, 1, PICTURE + GAP + SCORES);
  }
}
