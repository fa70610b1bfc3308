// SPDX-License-Identifier: Apache-2.0

/*
 * The examples of the sounds that are taught, and of what is none of them; and from sound that comes, examples: what is
 * recorded while a button is held, and beside it moments of nothing, a little away from what was held.
 */

import { Resampler } from "../core/resampler.js";
import { toInt16 } from "../core/wav.js";
import { forgetExample, keepExample, keptExamples } from "./teach_store.js";

/** @import { Embedder } from "../core/embedder.js" */
/** @import { LearntClip } from "../core/head_fit.js" */
/** @import { Example } from "./teach_store.js" */

export const MOST_SECONDS = 10; // of an example
const MOST_EXAMPLES = 20; // of a sound; the oldest goes
const MOST_OTHER = 40;
const AWAY_SECONDS = 0.5; // of a held example

export class Examples {
  /** @type {Example[]} */
  #all = [];
  #lastId = 0;

  /** Of all sounds, in the order in which they were begun. */
  get labels() {
    return [...new Set(this.#all.map(({ label }) => label))].filter((label) => label !== null);
  }

  /**
   * Of a sound; null: of none of them.
   * @param {string | null} label
   */
  of(label) {
    return this.#all.filter((example) => example.label === label);
  }

  /** All of the sounds, then what is none of them: as `core/head_fit.js` learns them. @returns {LearntClip[]} */
  get clips() {
    const { labels } = this;
    const indexOf = (/** @type {string | null} */ label) => (label === null ? labels.length : labels.indexOf(label));
    return this.#all.map(({ label, rows, directions = null, weights }) => {
      return { rows, directions, weights, label: indexOf(label) };
    });
  }

  /**
   * Those of an earlier visit; what another model made of them is made anew.
   * @param {Embedder} embedder
   * @param {string} base
   */
  async load(embedder, base) {
    /** @type {Example[]} */
    const ready = [];
    for (const example of (await keptExamples()) ?? this.#all) {
      const isWhole = Boolean(example.directions) === embedder.tellsUnknown; // earlier pages kept no directions
      if (example.base === base && isWhole) ready.push(example);
      else {
        const sound = floats(example.samples);
        const { sampleRateHz } = embedder;
        const isSameRate = example.sampleRateHz === sampleRateHz;
        const samples = isSameRate ? sound : new Resampler(example.sampleRateHz, sampleRateHz).push(sound);
        const again = { ...example, base, ...(await embedder.embed(samples)) };
        await keepExample(again);
        ready.push(again);
      }
    }
    this.#all = ready;
    this.#lastId = Math.max(0, ...ready.map(({ id }) => id));
  }

  /**
   * Adds one, and gives whether it is kept. Those beyond what is kept go, the oldest first.
   * @param {Embedder} embedder
   * @param {{label: string | null, samples: Float32Array, base: string}} sound
   */
  async add(embedder, { label, samples, base }) {
    const whole = toInt16(samples);
    const learnt = await embedder.embed(floats(whole));
    this.#lastId = Math.max(Date.now(), this.#lastId + 1);
    const { sampleRateHz } = embedder;
    /** @type {Example} */
    const example = { id: this.#lastId, label, sampleRateHz, samples: whole, base, ...learnt };
    this.#all.push(example);
    const same = this.of(label);
    const most = label === null ? MOST_OTHER : MOST_EXAMPLES;
    for (const old of same.slice(0, Math.max(0, same.length - most))) this.remove(old);
    return await keepExample(example);
  }

  /** @param {Example} example */
  remove(example) {
    this.#all = this.#all.filter((each) => each !== example);
    forgetExample(example);
  }

  /**
   * Takes a sound away; gives what brings it back.
   * @param {string} label
   */
  removeSound(label) {
    const gone = this.of(label);
    for (const example of gone) this.remove(example);
    return () => {
      this.#all = [...this.#all, ...gone].sort((a, b) => a.id - b.id);
      for (const example of gone) keepExample(example);
    };
  }
}

/**
 * From sound as it comes to examples. onExample: told one that was held; onOther: a moment of nothing, one window long.
 */
export class Recorder {
  #rate;
  #window;
  #onExample;
  #onOther;
  /** What is held. @type {Float32Array | null} */
  #held = null;
  #isReleased = false;
  /** Sound beside it, from which moments are cut. */
  #beside = new Float32Array(0);
  #skip = 0;

  /**
   * @param {{sampleRateHz: number, windowSamples: number}} sizes
   * @param {{onExample: (samples: Float32Array) => void, onOther: (samples: Float32Array) => void}} handlers
   */
  constructor({ sampleRateHz, windowSamples }, { onExample, onOther }) {
    this.#rate = sampleRateHz;
    this.#window = windowSamples;
    this.#onExample = onExample;
    this.#onOther = onOther;
  }

  /** From now on an example comes. */
  hold() {
    this.#held = new Float32Array(0);
    this.#isReleased = false;
    this.#beside = new Float32Array(0); // its end may be the beginning of what is held
  }

  /** The example is over, once it is as long as a window. */
  release() {
    this.#isReleased = true;
    this.#finish();
  }

  /** @param {Float32Array} samples */
  push(samples) {
    if (this.#held !== null) {
      this.#held = appended(this.#held, samples);
      this.#finish();
      return;
    }
    const rest = samples.subarray(Math.min(this.#skip, samples.length));
    this.#skip -= samples.length - rest.length;
    this.#beside = appended(this.#beside, rest);
    // The last part waits: whoever hears a sound presses a little later.
    if (this.#beside.length < this.#window + AWAY_SECONDS * this.#rate) return;
    const moment = this.#beside.slice(0, this.#window);
    this.#beside = this.#beside.slice(this.#window);
    if (moment.some((sample) => sample !== 0)) this.#onOther(moment);
  }

  #finish() {
    const held = this.#held;
    if (held === null) return;
    const most = MOST_SECONDS * this.#rate;
    if (held.length < most && !(this.#isReleased && held.length >= this.#window)) return;
    this.#held = null;
    this.#skip = AWAY_SECONDS * this.#rate;
    this.#onExample(held.subarray(0, most));
  }
}

/**
 * Moments of a recording, one window each and some apart, outside of some spans of seconds.
 * @param {{sampleRateHz: number, windowSamples: number, first: number, nSamples: number, spans: [number, number][],
 *   most: number}} of
 * @returns {number[]} their first samples
 */
export function momentsOutside({ sampleRateHz, windowSamples, first, nSamples, spans, most }) {
  /** @type {number[]} */
  const starts = [];
  const away = AWAY_SECONDS * sampleRateHz;
  for (let start = first; start + windowSamples <= nSamples; start += windowSamples) {
    const end = start + windowSamples;
    const isIn = spans.some(([from, to]) => start < to * sampleRateHz + away && end > from * sampleRateHz - away);
    if (!isIn) starts.push(start);
  }
  const step = Math.max(1, starts.length / most);
  return Array.from({ length: Math.min(most, starts.length) }, (_, n) => starts[Math.floor(n * step)]);
}

/** @param {Int16Array} samples */
export function floats(samples) {
  return Float32Array.from(samples, (sample) => sample / 32768);
}

/**
 * @param {Float32Array} one
 * @param {Float32Array} other
 */
function appended(one, other) {
  const both = new Float32Array(one.length + other.length);
  both.set(one);
  both.set(other, one.length);
  return both;
}
