// SPDX-License-Identifier: Apache-2.0

/*
 * Framewise scores: those of short frames, from the parts (columns) of the windows that cover them. As
 * oido.inference.detector makes them; of a network that says nothing of parts, a frame is a window's cell.
 */

import { Windowing } from "./windowing.js";

const SEVERAL_SOUNDS_SECONDS = 2; // windows whose columns cover as much hold more than one sound
const SURE = 0.8;

/** @import { EngineInfo, WindowScores, WindowSizes } from "../types.js" */

/** Where the frames of a stream lie, in samples. */
export class FrameGrid {
  /**
   * imageSamples: what a window's columns cover together, from its start on. columns: of each window, 0 for none.
   * @param {WindowSizes & {imageSamples?: number, columns?: number}} sizes
   */
  constructor({ imageSamples = 0, columns = 0, ...sizes }) {
    this.windowing = new Windowing(sizes);
    this.columns = columns;
    this.columnSamples = columns ? Math.floor(imageSamples / columns) : 0;
    this.frameSamples = columns ? Math.floor(this.columnSamples / 2) : sizes.hopSamples;
    this.holdsSeveral = columns * this.columnSamples >= SEVERAL_SOUNDS_SECONDS * sizes.sampleRateHz;
  }

  /**
   * Frames of a whole recording.
   * @param {number} nWindows
   * @param {number} nSamples
   */
  count(nWindows, nSamples) {
    if (!this.columns) return nWindows;
    const frame = this.frameSamples;
    const covered = (nWindows - 1) * this.windowing.hopSamples + this.columns * this.columnSamples;
    const centres = Math.ceil((covered - Math.floor(frame / 2)) / frame); // that a window covers
    return Math.max(1, Math.min(centres, Math.ceil(nSamples / frame)));
  }

  /**
   * [start, end] in samples of a frame that more will follow.
   * @param {number} frame
   * @returns {[number, number]}
   */
  span(frame) {
    if (!this.columns) return this.windowing.cell(frame, frame + 2, Infinity);
    return [frame * this.frameSamples, (frame + 1) * this.frameSamples];
  }
}

/**
 * The scores of frames, as soon as no other window can cover them. In the padding of the last window, a frame may
 * lie behind the end of the recording: those that only such a window covers come at the end. hasSimilarity: the
 * last score is how near a window is to what was taught; of long windows the nearest one counts
 * where a class is sure.
 */
export class FrameScores {
  #grid;
  #takesNearest;
  #firstWindow = 0;
  #nextFrame = 0;
  /** Columns of windows, from #firstWindow on. @type {Float32Array[][]} */
  #pending = [];

  /**
   * @param {FrameGrid} grid
   * @param {boolean} [hasSimilarity]
   */
  constructor(grid, hasSimilarity = false) {
    this.#grid = grid;
    this.#takesNearest = hasSimilarity && grid.holdsSeveral;
  }

  /**
   * The columns of the next window, each Float32Array(C); of a window that has none, its scores alone. Gives
   * the frames that are complete, each Float32Array(C). isPadded: the window may be.
   * @param {Float32Array[]} columns
   * @param {boolean} [isPadded]
   * @returns {Float32Array[]}
   */
  push(columns, isPadded = true) {
    if (!this.#grid.columns) return [columns[0]];
    this.#pending.push(columns);
    const { columnSamples, frameSamples, windowing } = this.#grid;
    const start = (this.#firstWindow + this.#pending.length - 1) * windowing.hopSamples;
    if (isPadded) return this.#frames(Math.floor(start / frameSamples));
    // Those with a centre before the next window begins, and inside of this one.
    const end = start + Math.min(windowing.hopSamples, this.#grid.columns * columnSamples);
    return this.#frames(Math.ceil((end - Math.floor(frameSamples / 2)) / frameSamples));
  }

  /**
   * The recording ended after so many samples: the frames that are left.
   * @param {number} nSamples
   */
  flush(nSamples) {
    if (!this.#pending.length) return [];
    return this.#frames(this.#grid.count(this.#firstWindow + this.#pending.length, nSamples));
  }

  /**
   * Frames from the next one to `end`; windows that no later frame needs are dropped.
   * @param {number} end
   */
  #frames(end) {
    const { columns, columnSamples, frameSamples } = this.#grid;
    const { hopSamples } = this.#grid.windowing;
    const image = columns * columnSamples;
    const frames = [];
    for (; this.#nextFrame < end; this.#nextFrame++) {
      const centre = this.#nextFrame * frameSamples + Math.floor(frameSamples / 2);
      const frame = new Float32Array(this.#pending[0][0].length);
      const last = frame.length - 1;
      let covering = 0;
      let nearest = -Infinity;
      for (let back = 0; back < Math.ceil(image / hopSamples); back++) {
        const window = Math.floor(centre / hopSamples) - back;
        const inside = centre - window * hopSamples;
        const parts = this.#pending[window - this.#firstWindow];
        if (parts === undefined || inside >= image) continue;
        const part = parts[Math.floor(inside / columnSamples)];
        for (let index = 0; index < frame.length; index++) frame[index] += part[index];
        nearest = Math.max(nearest, part[last]);
        covering += 1;
      }
      for (let index = 0; index < frame.length; index++) frame[index] /= Math.max(covering, 1);
      if (this.#takesNearest && Math.max(...frame.subarray(0, last)) >= SURE) frame[last] = nearest;
      frames.push(frame);
    }
    const needed = Math.max(0, Math.floor((this.#nextFrame * frameSamples - image) / hopSamples));
    const dropped = Math.min(Math.max(0, needed - this.#firstWindow), this.#pending.length - 1);
    this.#pending.splice(0, dropped);
    this.#firstWindow += dropped;
    return frames;
  }
}

/** From an engine's windows to frames, also over windows that were never heard. */
export class WindowFrames {
  #scores;
  #hasSimilarity;
  #nWindows = 0;
  /** Of the window before. @type {Float32Array[]} */
  #last = [];

  /** @param {Pick<EngineInfo, "sampleRateHz" | "windowSamples" | "hopSamples"> & Partial<EngineInfo>} info */
  constructor(info) {
    this.grid = new FrameGrid(info);
    this.#hasSimilarity = (info.leastSimilarity ?? null) !== null;
    this.#scores = new FrameScores(this.grid, this.#hasSimilarity);
  }

  /**
   * The frames that the next window completes, each Float32Array(C), with the similarity behind it where the
   * model tells one. Windows left out before it (a slow device) count as the one before them, and those of a gap
   * (`isAfterGap`) as nothing. nSamples: of the sound so far; a window that ends behind them is padded.
   * @param {Pick<WindowScores, "index" | "scores" | "novelty" | "columns" | "isAfterGap">} window
   * @param {number} nSamples
   */
  push({ index, scores, novelty = null, columns = null, isAfterGap = false }, nSamples) {
    if (index < this.#nWindows) return [];
    let parts = columns ?? [scores];
    if (this.#hasSimilarity) parts = parts.map((part) => Float32Array.from([...part, novelty ?? 1]));
    const isHeld = !isAfterGap && this.#last.length > 0;
    const before = isHeld ? this.#last : parts.map((part) => new Float32Array(part.length));
    const frames = [];
    for (; this.#nWindows < index; this.#nWindows++) frames.push(...this.#scores.push(before));
    this.#nWindows += 1;
    this.#last = parts;
    const { hopSamples, windowSamples } = this.grid.windowing;
    frames.push(...this.#scores.push(parts, index * hopSamples + windowSamples > nSamples));
    return frames;
  }

  /**
   * The recording ended after so many samples: the frames that are left.
   * @param {number} nSamples
   */
  flush(nSamples) {
    return this.#scores.flush(nSamples);
  }
}
