// SPDX-License-Identifier: Apache-2.0

/*
 * Sound that comes as time goes, heard window by window. Memory never grows: what waits to be heard has a
 * fixed room. A device that is too slow leaves out what waits too long, hears every second window from then
 * on, or every fourth..., as quick as it is, and says so; when it keeps up again, it goes back.
 */

import { OidoError } from "./errors.js";

/** @import { StreamEnd, StreamState } from "../types.js" */
/** @import { Windowing } from "./windowing.js" */

const ROOM_SECONDS = 4; // of sound that may wait to be heard
const LATE_SECONDS = 2.5; // that sound may wait, before the hop gets coarser
const SPARE = 0.7; // of the time of a finer hop must suffice, before the hop gets finer again
const COARSEST = 64; // windows from one to the next

/** Made by an engine's `stream`. */
export class LiveStream {
  #windowing;
  #hear;
  #onWindow;
  #onState;
  #ring;
  #nSamples = 0;
  #nextWindow = 0;
  #nWindows = 0;
  #last = -1; // of the windows that were begun to be heard
  #nBegun = 0;
  #stride = 1;
  #cost = 0; // hops that come in while one window is heard: of the last ones, newer ones counting more
  #isBusy = false;
  /** @type {PromiseWithResolvers<StreamEnd> | null} */
  #ending = null;
  /** @type {unknown} */
  #failure = null;
  #told = "";

  /**
   * hear: gives the outputs of one window's waveform, a promise. onWindow(index, outputs), onState.
   * @param {{windowing: Windowing, hear: (waveform: Float32Array<ArrayBuffer>) => Promise<Float32Array[]>,
   *   onWindow: (index: number, outputs: Float32Array[]) => void, onState: (state: StreamState) => void}} options
   */
  constructor({ windowing, hear, onWindow, onState }) {
    this.#windowing = windowing;
    this.#hear = hear;
    this.#onWindow = onWindow;
    this.#onState = onState;
    const { windowSamples, hopSamples, sampleRateHz } = windowing;
    const room = Math.max(hopSamples, Math.ceil(ROOM_SECONDS * sampleRateHz));
    this.#ring = new Float32Array(windowSamples + hopSamples + room);
  }

  /** Samples pushed so far. */
  get nSamples() {
    return this.#nSamples;
  }

  /**
   * Takes the next samples, any number of them; they are copied. Throws what stopped the hearing.
   * @param {Float32Array} samples
   */
  push(samples) {
    if (this.#failure) throw this.#failure;
    if (this.#ending) throw new OidoError("OptionError", "the stream has ended");
    // In pieces of a hop at most, so that no window is overwritten before it is judged too late.
    const { hopSamples } = this.#windowing;
    for (let at = 0; at < samples.length; at += hopSamples) {
      this.#store(samples.subarray(at, at + hopSamples));
      this.#makeRoom();
      this.#hearNext();
    }
  }

  /** No more samples come: hears the rest, the last window padded with zeros. */
  end() {
    if (this.#ending !== null) return this.#ending.promise;
    this.#ending = withResolvers();
    this.#reachEnd();
    this.#hearNext();
    return this.#ending.promise;
  }

  /** @param {Float32Array} samples */
  #store(samples) {
    const at = this.#nSamples % this.#ring.length;
    const room = this.#ring.length - at;
    this.#ring.set(samples.subarray(0, room), at);
    if (samples.length > room) this.#ring.set(samples.subarray(room), 0);
    this.#nSamples += samples.length;
  }

  /** Windows whose first sample is about to be overwritten are left out. */
  #makeRoom() {
    const { hopSamples } = this.#windowing;
    const oldest = Math.ceil((this.#nSamples + hopSamples - this.#ring.length) / hopSamples);
    if (this.#nextWindow >= oldest) return;
    this.#nextWindow = oldest;
    this.#tell();
  }

  async #hearNext() {
    if (this.#isBusy) return;
    this.#isBusy = true;
    try {
      while (this.#isNextReady()) {
        const window = this.#nextWindow;
        const waveform = this.#waveform(window);
        this.#last = window;
        this.#nBegun += 1;
        this.#nextWindow = window + this.#stride;
        const before = this.#nSamples;
        const outputs = await this.#hear(waveform);
        this.#nWindows += 1;
        this.#adapt((this.#nSamples - before) / this.#windowing.hopSamples);
        this.#onWindow(window, outputs);
        this.#tell();
      }
    } catch (error) {
      this.#failure ??= error;
    }
    this.#isBusy = false;
    if (!this.#ending) return;
    if (this.#failure) this.#ending.reject(this.#failure);
    else this.#ending.resolve({ nSamples: this.#nSamples, nWindows: this.#nWindows, dropped: this.#dropped() });
  }

  #isNextReady() {
    if (this.#failure) return false;
    const { hopSamples, windowSamples } = this.#windowing;
    if (this.#nextWindow * hopSamples + windowSamples <= this.#nSamples) return true;
    if (this.#ending === null || this.#nSamples === 0) return false;
    return this.#nextWindow < this.#windowing.count(this.#nSamples);
  }

  /**
   * Chooses the hop by what the last window took, in hops, and what comes next.
   * @param {number} cost
   */
  #adapt(cost) {
    this.#cost = (this.#cost + cost) / 2;
    const { hopSamples, windowSamples, sampleRateHz } = this.#windowing;
    if (this.#ending) {
      this.#reachEnd();
    } else if (this.#behindSamples() > LATE_SECONDS * sampleRateHz) {
      while (this.#stride < COARSEST && this.#stride < Math.max(cost, this.#cost)) this.#stride *= 2;
      this.#nextWindow = Math.floor((this.#nSamples - windowSamples) / hopSamples);
    } else if (this.#stride > 1 && this.#cost < (SPARE * this.#stride) / 2) {
      this.#stride /= 2;
      this.#nextWindow = Math.max(this.#last + this.#stride, this.#nextWindow - this.#stride);
    }
  }

  /** Of sound that is over, the last window is heard in any case. */
  #reachEnd() {
    const last = this.#windowing.count(this.#nSamples) - 1;
    if (this.#last < last) this.#nextWindow = Math.min(this.#nextWindow, last);
  }

  /** @param {number} window */
  #waveform(window) {
    const { hopSamples, windowSamples } = this.#windowing;
    const start = window * hopSamples;
    if (this.#nSamples < windowSamples) return this.#windowing.segment(this.#ring.subarray(0, this.#nSamples), 0, 1);
    const waveform = new Float32Array(windowSamples);
    const n = Math.min(windowSamples, this.#nSamples - start);
    const at = start % this.#ring.length;
    const room = Math.min(n, this.#ring.length - at);
    waveform.set(this.#ring.subarray(at, at + room));
    if (n > room) waveform.set(this.#ring.subarray(0, n - room), room);
    return waveform;
  }

  /** Windows that went by and were not heard, and never will be. */
  #dropped() {
    return this.#last + 1 - this.#nBegun;
  }

  #behindSamples() {
    const end = this.#nextWindow * this.#windowing.hopSamples + this.#windowing.windowSamples;
    return Math.max(0, this.#nSamples - end);
  }

  #tell() {
    const { hopSamples, sampleRateHz } = this.#windowing;
    const state = {
      dropped: this.#dropped(),
      behindSeconds: Math.round((10 * this.#behindSamples()) / sampleRateHz) / 10,
      hopSamples: hopSamples * this.#stride,
    };
    const text = Object.values(state).join();
    if (text === this.#told) return;
    this.#told = text;
    this.#onState(state);
  }
}

/**
 * Promise.withResolvers, which older browsers lack.
 * @template T
 * @returns {PromiseWithResolvers<T>}
 */
export function withResolvers() {
  /** @type {(value: T | PromiseLike<T>) => void} */
  let resolve = () => {};
  /** @type {(reason: unknown) => void} */
  let reject = () => {};
  /** @type {Promise<T>} */
  const promise = new Promise((...both) => ([resolve, reject] = both));
  return { promise, resolve, reject };
}
