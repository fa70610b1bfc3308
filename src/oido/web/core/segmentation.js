// SPDX-License-Identifier: Apache-2.0

/*
 * From framewise scores and levels to spans of classes: what may become an event. The rules are those of
 * oido.events.segmentation, which tells them; tests/vectors holds both to the same examples.
 */

import { SHARED } from "./choice.js";
import { LEVELS_PER_SECOND } from "./level.js";
import { Pooling } from "./pooling.js";
import { Evidence, UNKNOWN, joinSpans, newSpan, oddsOf } from "./spans.js";
import { SilenceFinder, StretchFinder } from "./stretches.js";

/** @import { Calibrator } from "./calibration.js" */
/** @import { Choice } from "./choice.js" */
/** @import { Span } from "./spans.js" */
/** @import { Stretch } from "./stretches.js" */

const MARGIN_SECONDS = 0.96;
const LONG_SECONDS = 3;

/**
 * grid: where frames lie, in samples. on, off: thresholds of each class; allowed: which may make events;
 * absences: those that silence is evidence of. leastSimilarity: of a model whose frames have a column more, how
 * near they are to what it was taught; below, all is unknown; else null.
 * @typedef {{grid: {span: (frame: number) => [number, number]}, sampleRateHz: number, calibrator: Calibrator|null,
 *   on: Float32Array, off: Float32Array, allowed: boolean[], absences: boolean[], choice: Choice,
 *   leastSimilarity: number|null}} Options
 */

/** Turns the frames and levels of a stream into spans of classes, as soon as each is over. */
export class Segmenter {
  #grid;
  #evidence;
  #off;
  #allowed;
  #absences;
  #choice;
  #stretches;
  #levelSamples;
  #margin;
  #finder = new StretchFinder();
  #silenceFinder = new SilenceFinder();
  /** That may matter, in samples. @type {[number, number][]} */
  #silences = [];
  /** @type {Float32Array[]} */
  #frames = [];
  #firstFrame = 0; // of #frames
  #nOutside = 0; // outside frames so far
  /** @type {number} */
  #stretchStart; // of the last one that was judged
  /** @type {number} */
  #stretchEnd;
  /** Those that go on, by class. @type {Map<number, Span>} */
  #spans = new Map();
  /** @type {Span[]} */
  #recent = [];
  /** That are over, but others may still go for them. @type {Span[]} */
  #held = [];
  /** @type {Span[]} */
  #ready = [];

  /** @param {Options} options */
  constructor({ grid, sampleRateHz, calibrator, on, off, allowed, absences, choice, leastSimilarity }) {
    this.#grid = grid;
    this.#evidence = new Evidence(calibrator, on);
    this.#off = off;
    this.#allowed = allowed;
    this.#absences = absences;
    this.#choice = choice;
    this.#levelSamples = Math.floor(sampleRateHz / LEVELS_PER_SECOND);
    this.#margin = Math.round(MARGIN_SECONDS * sampleRateHz);
    const long = Math.round(LONG_SECONDS * sampleRateHz);
    this.#stretches = new Pooling({ evidence: this.#evidence, off, allowed, choice, leastSimilarity, long });
    [this.#stretchStart, this.#stretchEnd] = [-this.#margin, -this.#margin];
  }

  /**
   * The next frames' scores, each Float32Array(C or C + 1), and levels; gives the spans that are over.
   * @param {Float32Array[]} frames
   * @param {Float32Array} levels
   */
  push(frames, levels) {
    this.#frames.push(...frames);
    this.#finder.push(levels);
    this.#silenceFinder.push(levels);
    const level = this.#levelSamples;
    this.#silences = this.#silenceFinder.found().map(([first, end]) => [first * level, end * level]);
    this.#advance(false);
    const known = [this.#grid.span(this.#firstFrame)[0], ...[...this.#spans.values()].map(({ end }) => end)];
    this.#silenceFinder.dropUntil(Math.floor(Math.min(...known) / level));
    return this.#popReady();
  }

  /** The stream is over: the spans that are left. */
  flush() {
    this.#finder.flush();
    this.#advance(true);
    for (const index of [...this.#spans.keys()]) this.#close(index);
    return this.#popReady();
  }

  /**
   * No later span of this class begins before, in samples.
   * @param {number} index
   */
  earliestStart(index) {
    const known = [...this.#held, ...this.#spans.values()].filter((span) => span.index === index);
    if (known.length) return Math.min(...known.map((span) => span.start));
    return this.#grid.span(this.#firstFrame)[0];
  }

  /** What is heard in the stretch or the runs that are not over, as far as can be told now. */
  begun() {
    const found = [...this.#held, ...[...this.#spans.values()].filter((span) => this.#evidence.holds(span))];
    const { openFrom, nKnown } = this.#finder;
    if (openFrom !== null && nKnown > openFrom) {
      found.push(...this.#inStretch({ first: openFrom, end: nKnown, isCut: false }));
    }
    return found.filter((span) => span.index !== UNKNOWN).map((span) => ({ ...span, also: new Set(span.also) }));
  }

  #popReady() {
    const [ready, held] = [this.#ready, this.#held];
    [this.#ready, this.#held] = [[], []];
    for (const span of held) { // those of one class in order
      if (this.#awaits(span) || this.#held.some(({ index }) => index === span.index)) this.#held.push(span);
      // Whoever gets it may change it; here it is still compared with.
      else ready.push({ ...span, also: new Set(span.also) });
    }
    return ready;
  }

  /**
   * Whether one that goes on could still go for this one.
   * @param {Span} span
   */
  #awaits(span) {
    return [...this.#spans.values()].some(
      (other) =>
        other.isOutside &&
        other.start < span.end &&
        span.end - Math.max(span.start, other.start) >= SHARED * (Math.max(span.end, other.end) - other.start),
    );
  }

  /** @param {boolean} atEnd */
  #advance(atEnd) {
    const { closed } = this.#finder;
    for (let stretch = closed.at(0); stretch !== undefined; stretch = closed.at(0)) {
      if (!atEnd && this.#endOfFrames() < stretch.end * this.#levelSamples) return;
      closed.shift();
      this.#outsideUntil(stretch.first * this.#levelSamples - this.#margin);
      this.#judge(stretch);
    }
    let known = Math.min(this.#finder.nKnown, this.#finder.openFrom ?? Infinity) * this.#levelSamples;
    if (atEnd) known = this.#endOfFrames() + this.#margin;
    this.#outsideUntil(known - this.#margin);
    const { openFrom, nKnown } = this.#finder;
    if (openFrom !== null && nKnown > openFrom) {
      const start = openFrom * this.#levelSamples;
      if (this.#endOfFrames() >= start - this.#margin) this.#closeBefore(start);
    } else if (openFrom === null && !atEnd) {
      this.#closeStretches(known);
    }
  }

  /**
   * Closes the spans of stretches that nothing can go on with, whatever is to come: the next frame that may lie
   * outside, up to where levels are known, has none of their classes.
   * @param {number} known
   */
  #closeStretches(known) {
    const waiting = [...this.#spans.values()].filter((span) => !span.isOutside);
    const frame = this.#frames.findIndex((_, number) => {
      const [from, to] = this.#grid.span(this.#firstFrame + number);
      return from >= this.#stretchEnd + this.#margin && to <= known;
    });
    if (!waiting.length || frame < 0) return;
    const [start] = this.#grid.span(this.#firstFrame + frame);
    const active = new Set(this.#activeIn(this.#frames[frame]));
    if (waiting.some((span) => active.has(span.index) && !this.#isSilentBetween(span, start))) return;
    for (const { index } of waiting) this.#close(index);
  }

  /**
   * The classes that go on in a frame outside of stretches.
   * @param {Float32Array} frame
   * @returns {number[]}
   */
  #activeIn(frame) {
    if (!this.#stretches.isSimilar(frame)) return [];
    const values = [...this.#evidence.values(this.#stretches.scoresOf(frame))];
    return [...values.keys()].filter((index) => values[index] >= this.#off[index] && this.#allowed[index]);
  }

  /** Up to where frames are there. */
  #endOfFrames() {
    const count = this.#frames.length;
    return count ? this.#grid.span(this.#firstFrame + count - 1)[1] : 0;
  }

  /**
   * Judges the frames that lie outside up to here, and drops what no stretch needs.
   * @param {number} end
   */
  #outsideUntil(end) {
    let used = 0;
    for (; used < this.#frames.length; used++) {
      const [from, to] = this.#grid.span(this.#firstFrame + used);
      if (to > end) break;
      if (from >= this.#stretchEnd + this.#margin) this.#extend(this.#frames[used], from, to);
    }
    this.#closeUnlessSeen(this.#nOutside);
    this.#firstFrame += used;
    this.#frames.splice(0, used);
  }

  /**
   * One more frame outside of stretches.
   * @param {Float32Array} frame
   * @param {number} start
   * @param {number} end
   */
  #extend(frame, start, end) {
    const number = this.#nOutside++;
    const active = this.#activeIn(frame);
    if (active.length) this.#closeUnlessSeen(number);
    for (const index of active) {
      for (const [from, to] of this.#sounding(index, start, end)) {
        const span = newSpan(index, from, to, oddsOf(frame[index]), 1, { seen: number + 1, isOutside: true });
        const open = this.#continued(index, from);
        if (open === undefined) this.#spans.set(index, span);
        else Object.assign(joinSpans(open, span), { isOutside: true });
      }
    }
  }

  /**
   * The parts of this time that may be evidence of a class: those that are not silent.
   * @param {number} index
   * @param {number} start
   * @param {number} end
   */
  #sounding(index, start, end) {
    const parts = [];
    for (const [silence, sound] of this.#absences[index] ? [] : this.#silences) {
      if (silence >= end || start >= sound) continue;
      parts.push([start, silence]);
      start = Math.min(sound, end);
    }
    return [...parts, [start, end]].filter(([from, to]) => from < to);
  }

  /**
   * The open span of a class that goes on up to here; one that silence ended is closed.
   * @param {number} index
   * @param {number} start
   */
  #continued(index, start) {
    const span = this.#spans.get(index);
    if (span === undefined || !this.#isSilentBetween(span, start)) return span;
    this.#close(index);
    return undefined;
  }

  /**
   * Whether there is silence between a span and what begins here.
   * @param {Span} span
   * @param {number} start
   */
  #isSilentBetween({ index, end }, start) {
    return !this.#absences[index] && this.#silences.some(([silence]) => end <= silence && silence <= start);
  }

  /**
   * Closes what the last frames before this outside frame did not go on with.
   * @param {number} number
   */
  #closeUnlessSeen(number) {
    const over = [...this.#spans.values()].filter((span) => span.seen < number);
    for (const span of over.sort((a, b) => a.seen - b.seen)) this.#close(span.index);
  }

  /**
   * Opens the spans of a stretch, or goes on with those that it is a part of.
   * @param {Stretch} stretch
   */
  #judge(stretch) {
    const start = stretch.first * this.#levelSamples;
    const spans = this.#inStretch(stretch);
    this.#closeBefore(start);
    [this.#stretchStart, this.#stretchEnd] = [start, stretch.end * this.#levelSamples];
    for (const span of spans.sort((a, b) => a.start - b.start)) {
      if (span.index === UNKNOWN) {
        this.#ready.push(span);
        continue;
      }
      const open = this.#continued(span.index, span.start);
      if (open !== undefined && (open.isOutside || open.end === start)) {
        joinSpans(open, span);
        continue;
      }
      if (open !== undefined) this.#close(span.index);
      this.#spans.set(span.index, span);
    }
  }

  /**
   * Closes what a stretch that begins here cannot go on with. A run that the stretch before did not go on
   * with is over, too: among sounds that follow each other closely there may be no frame outside for minutes.
   * @param {number} start
   */
  #closeBefore(start) {
    for (const [index, span] of [...this.#spans]) {
      if (span.end < (span.isOutside ? this.#stretchStart : start)) this.#close(index);
    }
  }

  /**
   * What is heard in a stretch, of which all frames are there.
   * @param {Stretch} stretch
   * @returns {Span[]}
   */
  #inStretch(stretch) {
    const [start, end] = [stretch.first * this.#levelSamples, stretch.end * this.#levelSamples];
    const times = this.#frames.map((_, number) => this.#grid.span(this.#firstFrame + number));
    const within = times.flatMap(([from, to], number) => (to > start && from < end ? [number] : []));
    const frames = within.map((number) => this.#frames[number]);
    if (!frames.length) return [];
    return this.#stretches.pooled({ start, end, frames, times: within.map((number) => times[number]), seen: this.#nOutside });
  }

  /**
   * A span is over: it is an event if its evidence holds, and nothing stands for it.
   * @param {number} index
   */
  #close(index) {
    const span = this.#spans.get(index);
    this.#spans.delete(index);
    if (span === undefined || !this.#evidence.holds(span)) return;
    const others = [...this.#spans.values(), ...this.#recent].filter((other) => this.#evidence.holds(other));
    /** @type {(span: Span) => number} */
    const strength = (each) => this.#evidence.strength(each);
    if (!span.isOutside || this.#choice.stays(span, others, strength)) this.#held.push(span);
    this.#recent.push(span);
    // Those that can still cover enough of one that goes on: in a day of rain, few.
    this.#recent = this.#recent.filter((each) => this.#awaits(each));
  }
}
