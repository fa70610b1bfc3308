// SPDX-License-Identifier: Apache-2.0

/* A picture of sound: time to the right, frequency upwards (mel), darker is louder. */

import { FFT_SAMPLES, powerSpectrum } from "./fft.js";
import { colour } from "./theme.js";

/** @import { Sound } from "../types.js" */

const BANDS = 96;
const LOWEST_HZ = 60;
const [QUIET_DB, LOUD_DB] = [-84, -18];
const LOOKS = 4; // places of a wide column that are looked at
const MOST_COLUMNS = 6000;
const COLUMNS_AT_ONCE = 16; // whose sound is read side by side

/**
 * What is seen of a sound: `seconds` from `start` on, over `width`. columnWidth: in the same units.
 * @typedef {{start: number, seconds: number, width: number, audio: Sound, columnWidth?: number}} View
 */

/** @type {(hz: number) => number} */
const mel = (hz) => 1127 * Math.log(1 + hz / 700);
/** @type {(mels: number) => number} */
const hertz = (mels) => 700 * (Math.exp(mels / 1127) - 1);

export class Spectrogram {
  #rate;
  #edges;
  /** upTo: samples that there were; if more come, it may look otherwise. @type {Map<number, {levels: Uint8Array, upTo: number}>} */
  #columns = new Map();
  #step = 0;
  #powers = new Float32Array(FFT_SAMPLES / 2 + 1);
  /** @type {Uint32Array | null} */
  #colours = null;
  #canvas = document.createElement("canvas");

  /** @param {number} sampleRateHz of the sound: up to half of it there is something to see */
  constructor(sampleRateHz) {
    this.#rate = sampleRateHz;
    const [low, high] = [mel(LOWEST_HZ), mel(sampleRateHz / 2)];
    const bin = (/** @type {number} */ band) => (hertz(low + ((high - low) * band) / BANDS) * FFT_SAMPLES) / sampleRateHz;
    this.#edges = Array.from({ length: BANDS + 1 }, (_, band) => bin(band));
  }

  /** The colours changed. */
  repaint() {
    this.#colours = null;
  }

  /**
   * Where a frequency stands in the picture: 0 below, 1 above.
   * @param {number} hz
   */
  heightOf(hz) {
    const [low, high] = [mel(LOWEST_HZ), mel(this.#rate / 2)];
    return (mel(hz) - low) / (high - low);
  }

  /**
   * Makes the columns of a view that are not known, of sound that is here or is read; for no more than some milliseconds.
   * Gives whether all are known then. Throws what reading throws.
   * @param {View} view
   * @param {number} [most] milliseconds
   */
  async prepare(view, most = Infinity) {
    const started = performance.now();
    const { audio } = view;
    const { n, step, first } = this.#grid(view);
    if (step !== this.#step) this.#columns.clear();
    this.#step = step;
    const wanted = Array.from({ length: n + 1 }, (_, column) => first + column);
    const missing = wanted.filter((index) => this.#isMissing(index, audio));
    for (let at = 0; at < missing.length; at += COLUMNS_AT_ONCE) {
      if (performance.now() - started > most) return false;
      await Promise.all(missing.slice(at, at + COLUMNS_AT_ONCE).map((index) => this.#make(index, step, audio)));
      if (step !== this.#step) return false; // another view is wanted meanwhile
    }
    return true;
  }

  /**
   * Draws what is known of a view into a rectangle of a 2D context.
   * @param {CanvasRenderingContext2D} context
   * @param {View & {x: number, y: number, height: number}} view
   */
  draw(context, view) {
    const { x, y, width, height, start } = view;
    const { n, step, first } = this.#grid(view);
    if (step !== this.#step) return;
    const image = new ImageData(n + 1, BANDS);
    const pixels = new Uint32Array(image.data.buffer);
    const colours = (this.#colours ??= ramp());
    for (let column = 0; column <= n; column++) {
      const levels = this.#columns.get(first + column)?.levels;
      if (levels === undefined) continue;
      for (let band = 0; band < BANDS; band++) {
        pixels[(BANDS - 1 - band) * (n + 1) + column] = colours[levels[band]];
      }
    }
    this.#canvas.width = n + 1;
    this.#canvas.height = BANDS;
    contextOf(this.#canvas).putImageData(image, 0, 0);
    const shift = (start * this.#rate) / step - first;
    context.save();
    context.beginPath();
    context.rect(x, y, width, height);
    context.clip();
    context.imageSmoothingEnabled = true;
    context.imageSmoothingQuality = "high";
    const wide = width / n;
    context.drawImage(this.#canvas, x - shift * wide, y, (n + 1) * wide, height);
    context.restore();
  }

  /**
   * How many columns a view has, how many samples each, and the first of them.
   * @param {View} view
   */
  #grid({ start, seconds, width, columnWidth = 2 }) {
    const n = Math.max(1, Math.round(width / columnWidth));
    const step = Math.max(1, Math.round((seconds / n) * this.#rate));
    return { n, step, first: Math.floor((start * this.#rate) / step) };
  }

  /**
   * Whether there is sound of a column, and it is not known or more of it came.
   * @param {number} index
   * @param {Sound} audio
   */
  #isMissing(index, { first, nSamples }) {
    const from = index * this.#step;
    if (from + this.#step < first || from >= nSamples) return false;
    const upTo = this.#columns.get(index)?.upTo ?? -1;
    return upTo !== nSamples && upTo <= from + this.#step + FFT_SAMPLES;
  }

  /**
   * Makes column `index`, of which there is sound: levels u8[96].
   * @param {number} index
   * @param {number} step
   * @param {Sound} audio
   */
  async #make(index, step, audio) {
    const from = index * step;
    const { first, nSamples } = audio;
    const looks = Math.max(1, Math.min(LOOKS, Math.floor(step / FFT_SAMPLES)));
    const places = Array.from({ length: looks }, (_, look) => {
      const centre = from + Math.round(((look + 0.5) * step) / looks);
      return Math.max(first, Math.min(centre - FFT_SAMPLES / 2, nSamples - FFT_SAMPLES));
    });
    const sounds = await Promise.all(places.map((at) => audio.read(at, FFT_SAMPLES)));
    const loudest = new Float32Array(BANDS);
    let isKnown = false;
    for (const samples of sounds) {
      if (samples === null) continue;
      isKnown = true;
      powerSpectrum(samples, this.#powers);
      for (let band = 0; band < BANDS; band++) loudest[band] = Math.max(loudest[band], this.#power(band));
    }
    if (isKnown && step === this.#step) this.#keep(index, { levels: Uint8Array.from(loudest, levelOf), upTo: nSamples });
  }

  /** @param {number} band */
  #power(band) {
    const [low, high] = [this.#edges[band], this.#edges[band + 1]];
    if (high - low < 1) {
      const middle = (low + high) / 2;
      const k = Math.floor(middle);
      const part = middle - k;
      return this.#powers[k] * (1 - part) + this.#powers[k + 1] * part;
    }
    let highest = 0;
    for (let k = Math.ceil(low); k < high; k++) highest = Math.max(highest, this.#powers[k]);
    return highest;
  }

  /**
   * @param {number} index
   * @param {{levels: Uint8Array, upTo: number}} column
   */
  #keep(index, column) {
    if (this.#columns.size >= MOST_COLUMNS) {
      for (const key of [...this.#columns.keys()].slice(0, MOST_COLUMNS / 4)) this.#columns.delete(key);
    }
    this.#columns.set(index, column);
  }
}

/** @param {number} power */
function levelOf(power) {
  const db = 10 * Math.log10(power + 1e-12);
  return Math.max(0, Math.min(255, Math.round((255 * (db - QUIET_DB)) / (LOUD_DB - QUIET_DB))));
}

/** 256 colours as canvases have them in memory, through those of the style sheet. */
function ramp() {
  const stops = [0, 1, 2, 3, 4].map((n) => rgb(colour(`--ramp-${n}`)));
  return Uint32Array.from({ length: 256 }, (_, level) => {
    const place = (level / 255) * (stops.length - 1);
    const n = Math.min(stops.length - 2, Math.floor(place));
    const [r, g, b] = stops[n].map((value, i) => value + (stops[n + 1][i] - value) * (place - n));
    return (255 << 24) | (Math.round(b) << 16) | (Math.round(g) << 8) | Math.round(r);
  });
}

/** @param {string} hex */
function rgb(hex) {
  return [1, 3, 5].map((at) => Number.parseInt(hex.slice(at, at + 2), 16));
}

/**
 * A canvas's 2D context, which every browser that runs the page has.
 * @param {HTMLCanvasElement} canvas
 */
export function contextOf(canvas) {
  const context = canvas.getContext("2d");
  if (context === null) throw new TypeError("this canvas has another context");
  return context;
}
