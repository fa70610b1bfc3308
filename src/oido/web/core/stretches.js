// SPDX-License-Identifier: Apache-2.0

/*
 * Stretches of sound, from when to when the level stands out of its background; and silences. The rules are those of
 * oido.events.stretches, which tells them; tests/vectors holds both to the same examples.
 */

const RISE_DB = 10;
const QUIETEST_DB = -75; // of the background
const SILENT_DB = -90; // the least level that there is
const EVERY = 25; // levels after which the background is found anew,
const STEP = 5; // in every so-manieth
const BACKGROUND = 300;
const WARM_UP = 50;
const SHARE = 0.2;
const PAUSE = 30;
const SHORTEST = 2;
const LONGEST = 1500;

/**
 * Levels first to end, the end not included. isCut: the sound goes on behind it.
 * @typedef {{first: number, end: number, isCut: boolean}} Stretch
 */

/** Finds silences in the levels of a stream, in whatever blocks they come. */
export class SilenceFinder {
  #n = 0; // levels so far
  /** Of silent levels, however short. @type {[number, number][]} */
  #runs = [];

  /**
   * More levels in dB.
   * @param {Float32Array} levels
   */
  push(levels) {
    for (const [first, end] of runsOf(Array.from(levels, (db) => db <= SILENT_DB), this.#n)) {
      const last = this.#runs.at(-1);
      if (last?.[1] === first) last[1] = end;
      else this.#runs.push([first, end]);
    }
    this.#n += levels.length;
  }

  /**
   * First and end of each in levels, in order; of one that goes on as far as is known, the end is Infinity.
   * @returns {[number, number][]}
   */
  found() {
    const runs = this.#runs.filter(([first, end]) => end - first >= PAUSE);
    return runs.map(([first, end]) => [first, end === this.#n ? Infinity : end]);
  }

  /**
   * Forgets those that are over by then.
   * @param {number} level
   */
  dropUntil(level) {
    this.#runs = this.#runs.filter(([, end]) => end > level || end === this.#n);
  }
}

/** Finds stretches in the levels of a stream, in whatever blocks they come. */
export class StretchFinder {
  /** Every STEP-th of the levels that were judged. @type {Float32Array} */
  #recent = new Float32Array(0);
  /** @type {Float32Array} */
  #waiting = new Float32Array(0);
  #nJudged = 0; // those of whole half seconds
  #nEarly = 0; // of those that wait, how many are judged
  #first = -1; // of the stretch that is open; -1: none is
  #end = -1;
  /** In order of time; whoever uses one removes it. @type {Stretch[]} */
  closed = [];

  /** Where the stretch that is not over begins, in levels, or null. */
  get openFrom() {
    return this.#first < 0 ? null : this.#first;
  }

  /** Of so many levels from the start it is known, for good, which stretch they belong to. */
  get nKnown() {
    if (this.#first < 0) return this.#nJudged + this.#nEarly;
    return this.#end - this.#first >= SHORTEST ? this.#end : this.#first;
  }

  /**
   * More levels in dB.
   * @param {Float32Array} levels
   */
  push(levels) {
    this.#waiting = joined(this.#waiting, levels);
    if (this.#nJudged > 0 || this.#waiting.length >= WARM_UP * STEP) {
      this.#judge(Math.floor(this.#waiting.length / EVERY) * EVERY);
    }
    this.#judgeEarly();
  }

  /** The stream is over. */
  flush() {
    this.#judge(this.#waiting.length);
    this.#close();
  }

  /**
   * Takes the next n levels: which of them are sound?
   * @param {number} n
   */
  #judge(n) {
    if (n === 0) return;
    const levels = this.#waiting.subarray(0, n);
    this.#waiting = this.#waiting.slice(n);
    const background = this.#background(levels.filter((_, index) => index % STEP === 0));
    const early = this.#nEarly;
    this.#nEarly = 0;
    const isSound = Array.from(levels, (db, index) => db >= limitOf(background[Math.floor(index / EVERY)]));
    this.#addAll(isSound.slice(early), this.#nJudged + early);
    this.#nJudged += n;
  }

  /** Judges the levels that wait, up to the first that what is to come may decide upon. */
  #judgeEarly() {
    const levels = this.#waiting.subarray(this.#nEarly);
    if (levels.length === 0) return;
    const [low, high] = this.#backgroundLimits().map(limitOf);
    const open = levels.findIndex((db) => db >= low && !(db >= high));
    const judged = open < 0 ? levels : levels.subarray(0, open);
    this.#addAll(Array.from(judged, (db) => db >= high), this.#nJudged + this.#nEarly);
    this.#nEarly += judged.length;
  }

  /**
   * Between what the background of those that wait will be, wherever the stream ends: each sampled level that is
   * still to come moves it down by one place at the most, and those that are too old by then may move it up.
   * @returns {[number, number]}
   */
  #backgroundLimits() {
    const known = joined(this.#recent, this.#waiting.filter((_, index) => index % STEP === 0)).sort();
    const inAll = this.#nJudged > 0 ? this.#recent.length + EVERY / STEP : WARM_UP;
    const place = Math.floor(SHARE * (Math.min(inAll, BACKGROUND) - 1));
    const low = known[place - (inAll - known.length)] ?? QUIETEST_DB;
    const high = known[place + Math.max(0, inAll - BACKGROUND)] ?? Infinity;
    return [Math.max(low, QUIETEST_DB), Math.max(high, QUIETEST_DB)];
  }

  /**
   * Which levels are sound, from the first on.
   * @param {boolean[]} isSound
   * @param {number} first
   */
  #addAll(isSound, first) {
    for (const [start, end] of runsOf(isSound, first)) this.#add(start, end);
    if (this.#first >= 0 && first + isSound.length - this.#end >= PAUSE) this.#close();
  }

  /**
   * Of each EVERY of the next levels; sampled: every STEP-th of them.
   * @param {Float32Array} sampled
   */
  #background(sampled) {
    const all = joined(this.#recent, sampled);
    const quiet = [];
    for (let at = 0; at < sampled.length; at += EVERY / STEP) {
      let end = this.#recent.length + Math.min(at + EVERY / STEP, sampled.length);
      if (this.#nJudged === 0) end = Math.max(end, Math.min(WARM_UP, all.length));
      const known = all.slice(Math.max(0, end - BACKGROUND), end).sort();
      quiet.push(Math.max(QUIETEST_DB, known[Math.floor(SHARE * (known.length - 1))]));
    }
    this.#recent = all.slice(-BACKGROUND);
    return quiet;
  }

  /**
   * The levels from first to end are sound.
   * @param {number} first
   * @param {number} end
   */
  #add(first, end) {
    if (this.#first >= 0 && first - this.#end >= PAUSE) this.#close();
    if (this.#first < 0) this.#first = first;
    while (end - this.#first > LONGEST) {
      this.closed.push({ first: this.#first, end: this.#first + LONGEST, isCut: true });
      this.#first += LONGEST;
    }
    this.#end = end;
  }

  #close() {
    if (this.#first >= 0 && this.#end - this.#first >= SHORTEST) {
      this.closed.push({ first: this.#first, end: this.#end, isCut: false });
    }
    this.#first = this.#end = -1;
  }
}

/**
 * First and end of each run, numbered from the first on.
 * @param {boolean[]} isSo
 * @param {number} first
 */
function runsOf(isSo, first) {
  /** @type {[number, number][]} */
  const runs = [];
  isSo.forEach((is, index) => {
    if (!is) return;
    if (isSo[index - 1]) runs[runs.length - 1][1]++;
    else runs.push([first + index, first + index + 1]);
  });
  return runs;
}

/**
 * From here on a level is sound, over this background.
 * @param {number} background
 */
function limitOf(background) {
  return Math.fround(background + RISE_DB);
}

/**
 * @param {Float32Array} one
 * @param {Float32Array} other
 */
function joined(one, other) {
  const all = new Float32Array(one.length + other.length);
  all.set(one);
  all.set(other, one.length);
  return all;
}
