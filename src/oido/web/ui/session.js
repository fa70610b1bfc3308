// SPDX-License-Identifier: Apache-2.0

import { EventMaker } from "./events.js";
import { Frames } from "./frames.js";
import { History } from "./history.js";

/** @import { Engine, EngineInfo, Limits, Sound, SoundEvent, WindowScores } from "../types.js" */

const FLOOR = 0.02;

const LIVE_WINDOWS = 60_000; // 8 h at hop 0.48 s; older ones go

/** What was heard of one recording, or of the microphone so far. */
export class Session {
  /**
   * name: of the file; engine: that hears it; audio: of recent.js, or null where there is none to
   * see and play; file: a File to play, or null.
   * @param {{name: string, engine: Pick<Engine, "info" | "floor" | "calibrator">, audio: Sound | null, file?: File | null,
   *   isLive?: boolean}} options
   */
  constructor({ name, engine, audio, file = null, isLive = false }) {
    this.name = name;
    this.info = engine.info;
    this.audio = audio;
    this.file = file;
    this.isLive = isLive;
    this.isOver = false;
    /** It was given up before its end. */
    this.isCut = false;
    /** When, milliseconds; 0 of a recording, of which only the place in it is known. */
    this.began = 0;
    /** Its events were saved as a file. */
    this.isSaved = false;
    /** No server heard it. */
    this.isOnDevice = engine.floor === undefined;
    this.nSamples = 0;
    this.floor = engine.floor ?? floorOf(engine.info);
    this.history = new History({
      nClasses: engine.info.labels.length,
      calibrated: engine.info.calibrated,
      floor: this.floor,
      mostWindows: isLive ? LIVE_WINDOWS : Infinity,
    });
    this.calibrator = engine.calibrator;
    this.frames = new Frames(this.info, isLive ? LIVE_WINDOWS : Infinity);
    this.maker = new EventMaker(this.info, this.frames, engine.calibrator);
    /** @type {SoundEvent[]} */
    this.ongoing = [];
    /** Whether some of it could not be heard. */
    this.isDamaged = false;
  }

  /** Seconds heard, or recorded. */
  get duration() {
    return this.nSamples / this.info.sampleRateHz;
  }

  /** The lowest threshold whose events are exact: their edges go down to half of it. */
  get lowestThreshold() {
    return Math.max(0.05, Math.ceil(this.floor * 200) / 100);
  }

  /** All events, those that still go on at the end. */
  get events() {
    return [...this.maker.events, ...this.ongoing];
  }

  /**
   * Takes a window.
   * @param {WindowScores} window
   */
  add(window) {
    const { leastSimilarity } = this.info;
    const isUnknown = leastSimilarity !== null && (window.novelty ?? 1) < Math.fround(leastSimilarity);
    this.history.add({ ...window, isUnknown });
    this.frames.add(window);
  }

  /**
   * Takes the samples that windows are of, for the levels of the sound.
   * @param {Float32Array} samples
   */
  addSamples(samples) {
    this.frames.addSamples(samples);
  }

  /**
   * Takes the levels of the sound, where they are known.
   * @param {Float32Array} levels
   */
  addLevels(levels) {
    this.frames.addLevels(levels);
  }

  /** Makes the events of the windows that were added. */
  advance() {
    this.maker.advance();
    this.ongoing = this.isOver ? [] : this.maker.ongoing();
  }

  /**
   * It is over after so many samples.
   * @param {number} nSamples
   */
  finish(nSamples) {
    this.nSamples = nSamples;
    this.isOver = true;
    this.frames.finish(nSamples);
    this.ongoing = [];
    this.maker.finish(nSamples);
  }

  /**
   * What was kept of it; nothing more comes.
   * @param {{nSamples: number, history: import("./history.js").HistoryDump,
   *   frames: import("./frames.js").FramesDump}} kept
   */
  restore({ nSamples, history, frames }) {
    this.history.restore(history);
    this.frames.restore(frames);
    this.nSamples = nSamples;
    this.isOver = true;
  }

  /**
   * Makes the events again, unless they are made so.
   * @param {Limits} limits
   */
  setLimits(limits) {
    if (!this.maker.isMadeBy(limits)) {
      this.maker.restart(limits);
      if (this.isOver) this.maker.finish(this.nSamples);
    }
    this.ongoing = this.isOver ? [] : this.maker.ongoing();
  }

  /**
   * The window that answers for a time.
   * @param {number} seconds
   */
  windowAt(seconds) {
    const { sampleRateHz, hopSamples, windowSamples } = this.info;
    const centred = (windowSamples - hopSamples) / 2;
    const index = Math.floor((seconds * sampleRateHz - centred) / hopSamples);
    return Math.max(this.history.first, Math.min(index, this.history.end - 1));
  }
}

/** @param {EngineInfo} info */
function floorOf({ thresholds }) {
  return thresholds ? Math.min(FLOOR, Math.min(...thresholds) / 2) : FLOOR;
}
