// SPDX-License-Identifier: Apache-2.0

/*
 * The windows that were heard, kept small: of each only the classes that reach a floor. So hours fit in
 * memory, and events can be made again for another threshold without hearing again.
 */

/** @import { Category, WindowScores } from "../types.js" */

/**
 * A label of a window: its index, score, and probability (0 where the model has none).
 * @typedef {[number, number, number]} Entry
 *
 * Windows from `first` on. starts: of each window's entries in the other three, and where the last one ends. unknown:
 * of each window, whether it is unlike all that the model was taught, 0 or 1; what earlier pages kept does not say it.
 * @typedef {{first: number, starts: number[], classes: number[], scores: number[], probabilities: number[],
 *   unknown?: number[]}} OpenChunk
 *
 * @typedef {{first: number, starts: Uint32Array, classes: Uint16Array, scores: Float32Array,
 *   probabilities: Float32Array, unknown?: Uint8Array}} FullChunk
 */

/** All that a history has. @typedef {{full: FullChunk[], last: OpenChunk}} HistoryDump */

const CHUNK_WINDOWS = 256;

export class History {
  /** @type {FullChunk[]} */
  #full = [];
  /** @type {OpenChunk} */
  #last = newChunk(0);
  #nClasses;
  #calibrated;
  #floor;
  #mostChunks;

  /**
   * floor: values (probabilities where the model is calibrated, else scores) below it stand as 0; events at
   * thresholds whose off threshold is no lower are those of all values. mostWindows: beyond it, the oldest go.
   * @param {{nClasses: number, calibrated: boolean, floor: number, mostWindows?: number}} options
   */
  constructor({ nClasses, calibrated, floor, mostWindows = Infinity }) {
    this.#nClasses = nClasses;
    this.#calibrated = calibrated;
    this.#floor = floor;
    this.#mostChunks = Math.max(2, Math.ceil(mostWindows / CHUNK_WINDOWS));
  }

  /** Index of the oldest window that is here; windows are all from there to `end`, without `end`. */
  get first() {
    return (this.#full.at(0) ?? this.#last).first;
  }

  get end() {
    return this.#last.first + this.#last.starts.length - 1;
  }

  /**
   * Adds a window. Those left out before it (a slow device) count as the one before them, and those of a gap
   * (`isAfterGap`) as nothing.
   * @param {Pick<WindowScores, "index" | "scores" | "probabilities" | "isAfterGap"> & {isUnknown?: boolean}} window
   */
  add({ index, scores, probabilities, isAfterGap = false, isUnknown = false }) {
    if (this.end < index) this.#repeat(index - this.end, isAfterGap ? { entries: [], isUnknown: false } : this.#lastWindow());
    if (index < this.end) return;
    const values = probabilities ?? scores;
    for (let i = 0; i < values.length; i++) {
      if (values[i] >= this.#floor) this.#put(i, scores[i], probabilities ? probabilities[i] : 0);
    }
    this.#endWindow(isUnknown);
  }

  /**
   * Writes window `index` into f32[C] arrays; probabilities may be null.
   * @param {number} index
   * @param {Float32Array} scores
   * @param {Float32Array | null} probabilities
   */
  fill(index, scores, probabilities) {
    scores.fill(0);
    probabilities?.fill(0);
    const chunk = this.#chunkOf(index);
    const row = index - chunk.first;
    for (let at = chunk.starts[row]; at < chunk.starts[row + 1]; at++) {
      scores[chunk.classes[at]] = chunk.scores[at];
      if (probabilities) probabilities[chunk.classes[at]] = chunk.probabilities[at];
    }
  }

  /**
   * A window's classes as [{labelIndex, score, probability}], strongest first.
   * @param {number} index
   * @param {number} most
   * @returns {Category[]}
   */
  strongest(index, most) {
    if (index < this.first || index >= this.end) return [];
    const chunk = this.#chunkOf(index);
    const row = index - chunk.first;
    const categories = [];
    for (let at = chunk.starts[row]; at < chunk.starts[row + 1]; at++) categories.push(this.#category(chunk, at));
    return sorted(categories).slice(0, most);
  }

  /**
   * The classes with the highest windows of all that are like something that was taught: what scores share among classes
   * in others is evidence of none.
   * @param {number} most
   */
  peaks(most) {
    // No object for each value: hours have millions, and are asked again as they come.
    const highest = new Float64Array(this.#nClasses).fill(-1);
    /** @type {(Category | undefined)[]} */
    const best = [];
    for (const chunk of [...this.#full, this.#last]) {
      const values = this.#calibrated ? chunk.probabilities : chunk.scores;
      for (let row = 0; row < chunk.starts.length - 1; row++) {
        if (chunk.unknown?.[row]) continue;
        for (let at = chunk.starts[row]; at < chunk.starts[row + 1]; at++) {
          const label = chunk.classes[at];
          if (values[at] <= highest[label]) continue;
          highest[label] = values[at];
          best[label] = this.#category(chunk, at);
        }
      }
    }
    return sorted(best.filter((each) => each !== undefined)).slice(0, most);
  }

  /**
   * What is here, to be kept.
   * @returns {HistoryDump}
   */
  dump() {
    return { full: this.#full, last: this.#last };
  }

  /**
   * What was kept, in the place of what is here.
   * @param {HistoryDump} dump
   */
  restore({ full, last }) {
    this.#full = full;
    this.#last = last;
  }

  get nClasses() {
    return this.#nClasses;
  }

  get calibrated() {
    return this.#calibrated;
  }

  /**
   * @param {OpenChunk | FullChunk} chunk
   * @param {number} at
   * @returns {Category}
   */
  #category(chunk, at) {
    const probability = this.#calibrated ? chunk.probabilities[at] : null;
    return { labelIndex: chunk.classes[at], score: chunk.scores[at], probability };
  }

  /** @param {number} index */
  #chunkOf(index) {
    return this.#full[Math.floor((index - this.first) / CHUNK_WINDOWS)] ?? this.#last;
  }

  /** @returns {{entries: Entry[], isUnknown: boolean}} */
  #lastWindow() {
    const chunk = this.#last.starts.length > 1 ? this.#last : this.#full.at(-1);
    if (chunk === undefined) return { entries: [], isUnknown: false };
    const [from = 0, to = 0] = chunk.starts.slice(-2);
    /** @type {Entry[]} */
    const entries = [];
    for (let at = from; at < to; at++) {
      entries.push([chunk.classes[at], chunk.scores[at], this.#calibrated ? chunk.probabilities[at] : 0]);
    }
    return { entries, isUnknown: Boolean(chunk.unknown?.at(-1)) };
  }

  /**
   * The same window so many times.
   * @param {number} n
   * @param {{entries: Entry[], isUnknown: boolean}} window
   */
  #repeat(n, { entries, isUnknown }) {
    for (let window = 0; window < n; window++) {
      for (const entry of entries) this.#put(...entry);
      this.#endWindow(isUnknown);
    }
  }

  /**
   * A value of the window that is under way.
   * @param {number} index
   * @param {number} score
   * @param {number} probability
   */
  #put(index, score, probability) {
    this.#last.classes.push(index);
    this.#last.scores.push(score);
    if (this.#calibrated) this.#last.probabilities.push(probability);
  }

  /** @param {boolean} isUnknown */
  #endWindow(isUnknown) {
    const chunk = this.#last;
    chunk.starts.push(chunk.classes.length);
    chunk.unknown?.push(Number(isUnknown));
    if (chunk.starts.length <= CHUNK_WINDOWS) return;
    // It is full: typed arrays take a fraction of the memory.
    this.#full.push({
      first: chunk.first,
      starts: Uint32Array.from(chunk.starts),
      classes: Uint16Array.from(chunk.classes),
      scores: Float32Array.from(chunk.scores),
      probabilities: Float32Array.from(chunk.probabilities),
      unknown: Uint8Array.from(chunk.unknown ?? []),
    });
    this.#last = newChunk(chunk.first + CHUNK_WINDOWS);
    if (this.#full.length >= this.#mostChunks) this.#full.shift();
  }
}

/**
 * @param {number} first
 * @returns {OpenChunk}
 */
function newChunk(first) {
  return { first, starts: [0], classes: [], scores: [], probabilities: [], unknown: [] };
}

/**
 * What thresholds are compared with: the probability where there is one.
 * @param {{score: number, probability: number | null}} category
 */
export function valueOf({ score, probability }) {
  return probability ?? score;
}

/** @param {Category[]} categories */
function sorted(categories) {
  return categories.sort((a, b) => valueOf(b) - valueOf(a) || a.labelIndex - b.labelIndex);
}
