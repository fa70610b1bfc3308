// SPDX-License-Identifier: Apache-2.0
// The spectrogram of a clip, where the place is in it, and the scores of its label over it.

import { clock, nameOf, scoreText } from "../ui/language.js";
import { Spectrogram, contextOf } from "../ui/spectrogram.js";
import { colour } from "../ui/theme.js";
import { t } from "./texts.js";

/** @import { Clip } from "./clip.js" */
/** @import { Item } from "./server.js" */

const AXIS_PIXELS = 22;
const LEAST_TICK_PIXELS = 70;
const TICKS_SECONDS = [0.5, 1, 2, 5, 10, 20];

export class Picture {
  #canvas;
  #still = document.createElement("canvas");
  /** @type {{item: Item, clip: Clip, spectrogram: Spectrogram} | null} */
  #shown = null;

  /** @param {HTMLCanvasElement} canvas */
  constructor(canvas) {
    this.#canvas = canvas;
    new ResizeObserver(() => this.repaint()).observe(canvas);
  }

  /**
   * @param {Item} item
   * @param {Clip} clip
   */
  show(item, clip) {
    this.#shown = { item, clip, spectrogram: new Spectrogram(clip.audio.sampleRateHz) };
    this.#paint();
  }

  /** Nothing is shown. */
  clear() {
    this.#shown = null;
    contextOf(this.#canvas).clearRect(0, 0, this.#canvas.width, this.#canvas.height);
  }

  /** The size, the colours or the language changed. */
  repaint() {
    this.#shown?.spectrogram.repaint();
    this.#paint();
  }

  /**
   * Where it plays, in seconds of the clip.
   * @param {number} seconds
   */
  playAt(seconds) {
    if (this.#shown === null || this.#canvas.width === 0) return;
    const { clip } = this.#shown;
    const context = contextOf(this.#canvas);
    context.drawImage(this.#still, 0, 0);
    const ratio = devicePixelRatio || 1;
    const x = (seconds / (clip.end - clip.start)) * this.#canvas.width;
    context.fillStyle = colour("--ink");
    context.fillRect(x, 0, 1.5 * ratio, this.#canvas.height - AXIS_PIXELS * ratio);
  }

  async #paint() {
    const shown = this.#shown;
    const { clientWidth: width, clientHeight: height } = this.#canvas;
    if (shown === null || width === 0 || height === 0) return;
    const { item, clip, spectrogram } = shown;
    const seconds = clip.end - clip.start;
    const view = { width, start: 0, seconds, audio: clip.audio };
    await spectrogram.prepare(view);
    if (shown !== this.#shown) return;
    const ratio = devicePixelRatio || 1;
    for (const canvas of [this.#canvas, this.#still]) {
      canvas.width = Math.round(width * ratio);
      canvas.height = Math.round(height * ratio);
    }
    const context = contextOf(this.#still);
    context.scale(ratio, ratio);
    context.fillStyle = colour("--card");
    context.fillRect(0, 0, width, height);
    const low = height - AXIS_PIXELS;
    spectrogram.draw(context, { ...view, x: 0, y: 0, height: low });
    const place = (/** @type {number} */ time) => ((time - clip.start) / seconds) * width;
    drawPlace(context, place(item.start), place(item.end), low);
    drawScores(context, item.scores, place, low);
    drawTimes(context, clip, { width, height });
    contextOf(this.#canvas).drawImage(this.#still, 0, 0);
    this.#canvas.setAttribute("aria-label", describe(item, clip));
  }
}

/**
 * What is asked about: between two lines.
 * @param {CanvasRenderingContext2D} context
 * @param {number} from
 * @param {number} to
 * @param {number} height
 */
function drawPlace(context, from, to, height) {
  context.fillStyle = colour("--accent");
  context.fillRect(from - 1, 0, 2, height);
  context.fillRect(to - 1, 0, 2, height);
  context.fillRect(from, 0, to - from, 4);
  context.fillRect(from, height - 2, to - from, 2);
}

/**
 * A line through the middle of each window: 0 is below, 1 above.
 * @param {CanvasRenderingContext2D} context
 * @param {Item["scores"]} scores
 * @param {(time: number) => number} place
 * @param {number} height
 */
function drawScores(context, scores, place, height) {
  const y = (/** @type {number} */ value) => height - 4 - Math.max(0, Math.min(1, value)) * (height - 12);
  const points = scores.flatMap(([start, end, value]) =>
    scores.length === 1 ? [[place(start), y(value)], [place(end), y(value)]] : [[place((start + end) / 2), y(value)]],
  );
  for (const [line, width] of /** @type {const} */ ([["--card", 5], ["--accent", 2.5]])) {
    context.strokeStyle = colour(line);
    context.lineWidth = width;
    context.lineJoin = "round";
    context.beginPath();
    for (const [x, at] of points) context.lineTo(x, at);
    context.stroke();
  }
  context.fillStyle = colour("--accent");
  for (const [x, at] of points) {
    context.beginPath();
    context.arc(x, at, 3, 0, 2 * Math.PI);
    context.fill();
  }
}

/**
 * @param {CanvasRenderingContext2D} context
 * @param {Clip} clip
 * @param {{width: number, height: number}} size
 */
function drawTimes(context, clip, { width, height }) {
  const perSecond = width / (clip.end - clip.start);
  const step = TICKS_SECONDS.find((seconds) => seconds * perSecond >= LEAST_TICK_PIXELS) ?? 30;
  context.fillStyle = colour("--soft");
  context.font = "12px system-ui, sans-serif";
  context.textBaseline = "middle";
  for (let tick = Math.ceil(clip.start / step) * step; tick < clip.end; tick += step) {
    const x = (tick - clip.start) * perSecond;
    context.fillRect(x, height - AXIS_PIXELS, 1, 4);
    if (x < width - 40) context.fillText(clock(tick, step < 1 ? 1 : 0), x + 3, height - AXIS_PIXELS / 2 + 2);
  }
}

/**
 * The picture in words.
 * @param {Item} item
 * @param {Clip} clip
 */
function describe(item, clip) {
  const inside = item.scores.filter(([start, end]) => start < item.end && end > item.start).map(([, , value]) => value);
  return t("picture", {
    start: clock(clip.start),
    end: clock(clip.end),
    label: nameOf(item.label),
    from: clock(item.start),
    to: clock(item.end),
    value: scoreText(Math.max(item.score, ...inside)),
  });
}
