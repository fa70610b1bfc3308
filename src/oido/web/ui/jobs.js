// SPDX-License-Identifier: Apache-2.0

/* Recordings that are heard one after the other, each beside whatever was heard before it. */

import { kindOf, throwIfAborted } from "../core/errors.js";

/** @import { Choice, Waiting } from "../types.js" */
/** @import { Engines } from "./engines.js" */
/** @import { hearFile } from "./recording.js" */
/** @import { Entry } from "./shelf.js" */
/** @import { Machine } from "./states.js" */

/**
 * What is to be heard. isFirst: of those that came together.
 * @typedef {Choice & {file: File, isFirst: boolean}} Job
 *
 * begun: of its entry, as soon as something was heard. changed: more of it. done: all, or all up to a problem.
 * failed: nothing of it was heard.
 * @typedef {{stage: (stage: "loadingModel" | "decoding" | "decodingWhole" | "hearing", job: Job) => void,
 *   progress: (share: number) => void, wait: (waiting: Waiting | null) => void,
 *   begun: (entry: Entry, job: Job) => void, changed: (entry: Entry) => void,
 *   done: (entry: Entry, problem: unknown) => void, failed: (error: unknown, job: Job) => void}} Handlers
 */

export class Jobs {
  #machine;
  #engines;
  #on;
  /** @type {Job[]} */
  #waiting = [];
  /** @type {{job: Job, control: AbortController} | null} */
  #underWay = null;

  /**
   * @param {Machine} machine
   * @param {Engines} engines
   * @param {Handlers} on
   */
  constructor(machine, engines, on) {
    this.#machine = machine;
    this.#engines = engines;
    this.#on = on;
  }

  /** The one that is under way. */
  get current() {
    return this.#underWay?.job ?? null;
  }

  /** How many wait behind it. */
  get nWaiting() {
    return this.#waiting.length;
  }

  /** @param {Job[]} jobs */
  add(jobs) {
    this.#waiting.push(...jobs);
    if (this.#underWay === null) this.#next();
  }

  /** Gives up the one that is under way, and all that wait. What was heard of it stays. */
  cancel() {
    this.#waiting = [];
    this.#end();
  }

  /**
   * Begins anew with what is under way, and with all that wait, by another model or elsewhere.
   * @param {Choice} choice
   */
  restart(choice) {
    const { current } = this;
    if (current === null) return;
    const jobs = [current, ...this.#waiting].map((job) => ({ ...job, ...choice }));
    this.cancel();
    this.add(jobs);
  }

  #end() {
    if (this.#underWay === null) return;
    const { control } = this.#underWay;
    this.#underWay = null;
    control.abort(); // at once: it may be on its way to the server
    this.#machine.send("recording", "end");
  }

  async #next() {
    const job = this.#waiting.shift();
    if (job === undefined) return;
    const control = new AbortController();
    const { signal } = control;
    this.#underWay = { job, control };
    this.#machine.send("recording", "open");
    this.#on.stage("loadingModel", job);
    /** @type {(() => void) | null} */
    let release = null;
    try {
      const lease = await this.#engines.lease(job, this.#on.progress);
      release = lease.release;
      const { hearFile } = await import("./recording.js");
      throwIfAborted(signal);
      this.#machine.send("recording", "loaded");
      const { entry, problem } = await this.#hear(job, hearFile, lease.engine, signal);
      const isMine = !signal.aborted;
      if (isMine) this.#end();
      this.#on.done(entry, isMine ? problem : null);
    } catch (error) {
      if (!signal.aborted) {
        this.#end();
        if (kindOf(error) !== "AbortError") this.#on.failed(error, job);
      }
    } finally {
      release?.();
    }
    if (this.#underWay === null) this.#next();
  }

  /**
   * @param {Job} job
   * @param {typeof hearFile} hear
   * @param {import("../types.js").Engine} engine
   * @param {AbortSignal} signal
   */
  async #hear(job, hear, engine, signal) {
    const { file, where, model } = job;
    let started = performance.now();
    /** @type {Entry | null} */
    let entry = null;
    const measured = () => (performance.now() - started) / 1000;
    const { session, problem } = await hear(file, {
      engine,
      signal,
      on: {
        stage: (stage) => {
          started = performance.now();
          if (stage === "hearing") this.#machine.send("recording", "decoded");
          this.#on.stage(stage, job);
        },
        progress: this.#on.progress,
        wait: this.#on.wait,
        begun: (begun) => {
          entry = { file, where, model, session: begun, began: Date.now(), seconds: 0 };
          this.#on.begun(entry, job);
        },
        changed: () => {
          if (entry === null) return;
          entry.seconds = measured();
          this.#on.changed(entry);
        },
      },
    });
    /** @type {Entry} */
    const heard = entry ?? { file, where, model, session, began: Date.now(), seconds: 0 };
    heard.seconds = measured();
    if (entry === null) this.#on.begun(heard, job);
    return { entry: heard, problem };
  }
}
