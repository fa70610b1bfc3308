// SPDX-License-Identifier: Apache-2.0

/* The microphone of the page: opened, heard by another model without a pause, and stopped. */

import { kindOf } from "../core/errors.js";

/** @import { Choice, StreamState, WindowScores } from "../types.js" */
/** @import { Engines, Lease } from "./engines.js" */
/** @import { Listening } from "./microphone.js" */
/** @import { Session } from "./session.js" */
/** @import { Entry } from "./shelf.js" */
/** @import { Machine } from "./states.js" */

/**
 * begun: it listens; before: what it listened to until now, by another model. ended: all of it was heard.
 * silent: whether the microphone gives nothing at all. lost: the microphone went away.
 * @typedef {{progress: (share: number) => void, begun: (entry: Entry, before: Entry | null) => void,
 *   window: (session: Session, window: WindowScores) => void, samples: (session: Session, level: number) => void,
 *   state: (state: StreamState) => void, silent: (isSilent: boolean) => void, ended: (entry: Entry) => void,
 *   lost: () => void, failed: (error: unknown) => void}} Handlers
 */

export class Live {
  #machine;
  #engines;
  #on;
  #deviceId = "";
  /** @type {{choice: Choice, control: AbortController} | null} */
  #opening = null;
  /** @type {{entry: Entry, listening: Listening, lease: Lease} | null} */
  #current = null;

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

  /** What is listened to, or null. */
  get entry() {
    return this.#current?.entry ?? null;
  }

  /** By what it is going to listen, while it is opened: as an entry has it. */
  get opening() {
    return this.#opening && { ...this.#opening.choice, file: null };
  }

  /** How it listens, or is going to. @returns {Choice | null} */
  get choice() {
    return this.#current?.entry ?? this.#opening?.choice ?? null;
  }

  /**
   * Begins to listen; while it does, it goes on by this choice, and what was heard until then is an entry of its own.
   * @param {Choice} choice
   */
  async listen(choice) {
    const isAnew = this.#current === null;
    if (isAnew && !this.#machine.can("microphone", "listen")) return;
    this.#opening?.control.abort();
    const control = new AbortController();
    const { signal } = control;
    this.#opening = { choice, control };
    if (isAnew) this.#machine.send("microphone", "listen");
    /** @type {Lease | null} */
    let lease = null;
    /** @type {Listening | null} */
    let next = null;
    try {
      lease = await this.#engines.lease(choice, this.#on.progress);
      const { Listening } = await import("./microphone.js");
      if (!signal.aborted) {
        next = new Listening(this.#optionsOf(lease));
        await next.start();
      }
      if (signal.aborted) {
        await next?.stop();
        lease.release();
        return;
      }
      this.#opening = null;
      await this.#begin(next, lease, choice);
    } catch (error) {
      lease?.release();
      if (signal.aborted) return;
      this.#opening = null;
      if (isAnew) this.#machine.send("microphone", "end");
      if (kindOf(error) !== "AbortError") this.#on.failed(error);
    }
  }

  /** Gives up what is not open yet. */
  cancel() {
    if (this.#opening === null) return;
    this.#opening.control.abort();
    this.#opening = null;
    if (this.#machine.can("microphone", "end")) this.#machine.send("microphone", "end");
  }

  /** No more: hears the rest. */
  async stop() {
    const current = this.#current;
    if (this.#current !== null) this.cancelChange();
    if (current === null || !this.#machine.can("microphone", "stop")) return;
    this.#current = null;
    this.#machine.send("microphone", "stop");
    await ended(current);
    this.#on.ended(current.entry);
  }

  /** Goes on by the model that it listens by. */
  cancelChange() {
    this.#opening?.control.abort();
    this.#opening = null;
  }

  /**
   * While something is played it does not hear itself; time stands still.
   * @param {boolean} isPaused
   */
  pause(isPaused) {
    this.#current?.listening.pause(isPaused);
    const event = isPaused ? "play" : "resume";
    if (this.#machine.can("microphone", event)) this.#machine.send("microphone", event);
  }

  /**
   * Listens to another microphone from now on; "" is the browser's choice.
   * @param {string} deviceId
   */
  async useMicrophone(deviceId) {
    this.#deviceId = deviceId;
    try {
      await this.#current?.listening.reopen(deviceId);
    } catch (error) {
      this.#on.failed(error);
      await this.stop();
    }
  }

  /** @param {Lease} lease */
  #optionsOf({ engine }) {
    const { window, samples, state, silent, lost } = this.#on;
    return {
      engine,
      name: "microphone",
      deviceId: this.#deviceId,
      onWindow: window,
      onSamples: samples,
      onState: state,
      onSilent: silent,
      onEnded: () => this.stop().then(lost),
    };
  }

  /**
   * @param {Listening | null} listening
   * @param {Lease} lease
   * @param {Choice} choice
   */
  async #begin(listening, lease, choice) {
    if (listening === null) return;
    const before = this.#current;
    const { session } = listening;
    session.began = Date.now();
    const entry = { ...choice, file: null, session, began: session.began, seconds: 0 };
    this.#current = { entry, listening, lease };
    if (before === null) this.#machine.send("microphone", "live");
    listening.pause(this.#machine.microphone === "paused");
    this.#on.begun(entry, before?.entry ?? null);
    if (before === null) return;
    await ended(before);
    this.#on.ended(before.entry);
  }
}

/** @param {{listening: Listening, lease: Lease}} current */
async function ended({ listening, lease }) {
  try {
    await listening.stop();
  } catch {
    // The engine failed under it: what was heard stays.
  }
  lease.release();
}
