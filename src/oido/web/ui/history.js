// SPDX-License-Identifier: Apache-2.0

/*
 * The windows that were heard, kept small: of each only the classes that reach a floor. So hours fit in
 * memory, and events can be made again for another threshold without hearing again.
 */

const CHUNK_WINDOWS = 256;

export class History {
  #chunks = [];
  #nClasses;
  #calibrated;
  #floor;
  #mostChunks;

  /**
   * floor: values (probabilities where the model is calibrated, else scores) below it stand as 0; events at
   * thresholds whose off threshold is no lower are those of all values. mostWindows: beyond it, the oldest go.
   */
  constructor({ nClasses, calibrated, floor, mostWindows = Infinity }) {
    this.#nClasses = nClasses;
    this.#calibrated = calibrated;
    this.#floor = floor;
    this.#mostChunks = Math.max(2, Math.ceil(mostWindows / CHUNK_WINDOWS));
    this.#open(0);
  }

  /** Index of the oldest window that is here; windows are all from there to `end`, without `end`. */
  get first() {
    return this.#chunks[0].first;
  }

  get end() {
    const last = this.#chunks.at(-1);
    return last.first + last.starts.length - 1;
  }

  /**
   * Adds a window. Those left out before it (a slow device) count as the one before them, and those of a gap
   * (`isAfterGap`) as nothing.
   */
  add({ index, scores, probabilities, isAfterGap = false }) {
    const held = this.#lastEntries();
    while (this.end < index) this.#put(isAfterGap ? [] : held);
    if (index < this.end) return;
    const values = probabilities ?? scores;
    const entries = [];
    for (let i = 0; i < values.length; i++) {
      if (values[i] >= this.#floor) entries.push([i, scores[i], probabilities ? probabilities[i] : 0]);
    }
    this.#put(entries);
  }

  /** Writes window `index` into f32[C] arrays; probabilities may be null. */
  fill(index, scores, probabilities) {
    scores.fill(0);
    probabilities?.fill(0);
    const chunk = this.#chunks[Math.floor((index - this.first) / CHUNK_WINDOWS)];
    const row = index - chunk.first;
    for (let at = chunk.starts[row]; at < chunk.starts[row + 1]; at++) {
      scores[chunk.classes[at]] = chunk.scores[at];
      if (probabilities) probabilities[chunk.classes[at]] = chunk.probabilities[at];
    }
  }

  /** A window's classes as [{labelIndex, score, probability}], strongest first. */
  strongest(index, most) {
    if (index < this.first || index >= this.end) return [];
    const chunk = this.#chunks[Math.floor((index - this.first) / CHUNK_WINDOWS)];
    const row = index - chunk.first;
    const found = [];
    for (let at = chunk.starts[row]; at < chunk.starts[row + 1]; at++) found.push(this.#category(chunk, at));
    return sorted(found).slice(0, most);
  }

  /** The classes with the highest windows of all. */
  peaks(most) {
    const best = new Map();
    for (const chunk of this.#chunks) {
      for (let at = 0; at < chunk.classes.length; at++) {
        const one = this.#category(chunk, at);
        const before = best.get(one.labelIndex);
        if (before === undefined || valueOf(one) > valueOf(before)) best.set(one.labelIndex, one);
      }
    }
    return sorted([...best.values()]).slice(0, most);
  }

  get nClasses() {
    return this.#nClasses;
  }

  get calibrated() {
    return this.#calibrated;
  }

  #category(chunk, at) {
    const probability = this.#calibrated ? chunk.probabilities[at] : null;
    return { labelIndex: chunk.classes[at], score: chunk.scores[at], probability };
  }

  #lastEntries() {
    const chunk = this.#chunks.findLast((each) => each.starts.length > 1);
    if (chunk === undefined) return [];
    const [from, to] = [chunk.starts.at(-2), chunk.starts.at(-1)];
    const entries = [];
    for (let at = from; at < to; at++) {
      entries.push([chunk.classes[at], chunk.scores[at], this.#calibrated ? chunk.probabilities[at] : 0]);
    }
    return entries;
  }

  #put(entries) {
    const chunk = this.#chunks.at(-1);
    for (const [index, score, probability] of entries) {
      chunk.classes.push(index);
      chunk.scores.push(score);
      if (this.#calibrated) chunk.probabilities.push(probability);
    }
    chunk.starts.push(chunk.classes.length);
    if (chunk.starts.length <= CHUNK_WINDOWS) return;
    // It is full: typed arrays take a fraction of the memory.
    this.#chunks[this.#chunks.length - 1] = {
      first: chunk.first,
      starts: Uint32Array.from(chunk.starts),
      classes: Uint16Array.from(chunk.classes),
      scores: Float32Array.from(chunk.scores),
      probabilities: Float32Array.from(chunk.probabilities),
    };
    this.#open(chunk.first + CHUNK_WINDOWS);
    if (this.#chunks.length > this.#mostChunks) this.#chunks.shift();
  }

  #open(first) {
    this.#chunks.push({ first, starts: [0], classes: [], scores: [], probabilities: [] });
  }
}

/** What thresholds are compared with: the probability where there is one. */
export function valueOf({ score, probability }) {
  return probability ?? score;
}

function sorted(categories) {
  return categories.sort((a, b) => valueOf(b) - valueOf(a) || a.labelIndex - b.labelIndex);
}
