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

/** @type {(hz: number) => number} */
const mel = (hz) => 1127 * Math.log(1 + hz / 700);
/** @type {(mels: number) => number} */
const hertz = (mels) => 700 * (Math.exp(mels / 1127) - 1);

export class Spectrogram {
  #rate;
  #edges;
  /** @type {Map<number, Uint8Array>} */
  #columns = new Map();
  #step = 0;
  #samples = new Float32Array(FFT_SAMPLES);
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
   * Draws what is heard from `start` for `seconds` into a rectangle of a 2D context.
   * audio: with read(start, out), of recent.js. columnWidth: in the context's units.
   * @param {CanvasRenderingContext2D} context
   * @param {{x: number, y: number, width: number, height: number, start: number, seconds: number, audio: Sound,
   *   columnWidth?: number}} place
   */
  draw(context, { x, y, width, height, start, seconds, audio, columnWidth = 2 }) {
    const n = Math.max(1, Math.round(width / columnWidth));
    const step = Math.max(1, Math.round((seconds / n) * this.#rate));
    if (step !== this.#step) this.#columns.clear();
    this.#step = step;
    const first = Math.floor((start * this.#rate) / step);
    const image = new ImageData(n + 1, BANDS);
    const pixels = new Uint32Array(image.data.buffer);
    const colours = (this.#colours ??= ramp());
    for (let column = 0; column <= n; column++) {
      const levels = this.#column(first + column, audio);
      if (levels === null) continue;
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
   * Levels u8[96] of column `index`, or null where there is no sound.
   * @param {number} index
   * @param {Sound} audio
   */
  #column(index, audio) {
    const known = this.#columns.get(index);
    if (known !== undefined) return known;
    const from = index * this.#step;
    if (from + this.#step < audio.first || from >= audio.nSamples) return null;
    const looks = Math.max(1, Math.min(LOOKS, Math.floor(this.#step / FFT_SAMPLES)));
    const loudest = new Float32Array(BANDS);
    let isWhole = false;
    for (let look = 0; look < looks; look++) {
      const centre = from + Math.round(((look + 0.5) * this.#step) / looks);
      const at = Math.max(audio.first, Math.min(centre - FFT_SAMPLES / 2, audio.nSamples - FFT_SAMPLES));
      if (!audio.read(at, this.#samples)) continue;
      isWhole = true;
      powerSpectrum(this.#samples, this.#powers);
      for (let band = 0; band < BANDS; band++) loudest[band] = Math.max(loudest[band], this.#power(band));
    }
    if (!isWhole) return null;
    const levels = Uint8Array.from(loudest, levelOf);
    // The newest column of live sound is not complete yet, so it is not kept.
    if (from + this.#step + FFT_SAMPLES < audio.nSamples) this.#keep(index, levels);
    return levels;
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
   * @param {Uint8Array} levels
   */
  #keep(index, levels) {
    if (this.#columns.size >= MOST_COLUMNS) {
      for (const key of [...this.#columns.keys()].slice(0, MOST_COLUMNS / 4)) this.#columns.delete(key);
    }
    this.#columns.set(index, levels);
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
