// SPDX-License-Identifier: Apache-2.0

/*
 * The page's one state machine. A recording and the microphone may be heard at the same time, and a sound be taught
 * meanwhile, so each has a state of its own; docs/concepts/page-states.md draws them, and a test holds the drawings to
 * these tables.
 */

/** @typedef {"recording" | "microphone" | "teaching"} Region */

/**
 * By region and state: what may happen in it, and the state that follows.
 * @type {Record<Region, Record<string, Record<string, string>>>}
 */
export const TABLES = {
  recording: {
    idle: { open: "loading" },
    loading: { loaded: "decoding", end: "idle" },
    decoding: { decoded: "predicting", end: "idle" },
    predicting: { end: "idle" },
  },
  microphone: {
    off: { listen: "opening" },
    opening: { live: "live", end: "off" },
    live: { play: "paused", stop: "off" },
    paused: { resume: "live", stop: "off" },
  },
  teaching: {
    closed: { teach: "opening" },
    opening: { opened: "ready", end: "closed" },
    ready: { arm: "arming", build: "building", end: "closed" },
    arming: { armed: "armed", disarm: "ready", end: "closed" },
    armed: { hold: "recording", disarm: "ready", build: "building", end: "closed" },
    recording: { release: "armed", disarm: "ready", end: "closed" },
    building: { built: "ready", end: "closed" },
  },
};

/** The first of each. */
const START = { recording: "idle", microphone: "off", teaching: "closed" };

/** What the page looks like: `data-state` of its body. @typedef {"empty" | "busy" | "live" | "done"} Look */

export class Machine {
  /** @type {Record<Region, string>} */
  #states = { ...START };
  #onChange;

  /** @param {() => void} onChange */
  constructor(onChange) {
    this.#onChange = onChange;
  }

  get recording() {
    return this.#states.recording;
  }

  get microphone() {
    return this.#states.microphone;
  }

  get teaching() {
    return this.#states.teaching;
  }

  /**
   * Whether this may happen now.
   * @param {Region} region
   * @param {string} event
   */
  can(region, event) {
    return event in TABLES[region][this.#states[region]];
  }

  /**
   * Something happened. Throws a TypeError for what cannot happen in this state.
   * @param {Region} region
   * @param {string} event
   */
  send(region, event) {
    const before = this.#states[region];
    const next = TABLES[region][before][event];
    if (next === undefined) throw new TypeError(`${region} is ${before}, where there is no ${event}`);
    this.#states[region] = next;
    this.#onChange();
  }

  /** The microphone is open, and heard unless something is played. */
  get isLive() {
    return this.microphone === "live" || this.microphone === "paused";
  }

  /** Something is on its way of which nothing is heard yet, or not all. */
  get isBusy() {
    return this.recording !== "idle" || this.microphone === "opening";
  }

  /**
   * hasShown: something that was heard is on the screen.
   * @param {boolean} hasShown
   * @returns {Look}
   */
  look(hasShown) {
    if (this.isBusy) return "busy";
    if (this.isLive) return "live";
    return hasShown ? "done" : "empty";
  }
}
