// SPDX-License-Identifier: Apache-2.0

/* The microphone, heard as it comes. */

import { openMicrophone } from "../core/microphone.js";
import { RecentAudio } from "./recent.js";
import { Session } from "./session.js";

/** @import { Engine, Stream, StreamState, WindowScores } from "../types.js" */
/** @import { Microphone } from "../core/microphone.js" */

/**
 * onWindow: something new was heard. onState: the stream's. onSilent: whether the microphone gives no sound at all,
 * not even noise. onEnded: the microphone went away.
 * @typedef {{onWindow: (session: Session, window: WindowScores) => void,
 *   onSamples: (session: Session, level: number) => void, onState: (state: StreamState) => void,
 *   onSilent: (isSilent: boolean) => void, onEnded: () => void}} Handlers
 */

const KEPT_SECONDS = 600; // of sound, to play and to see again

const SILENT_SECONDS = 2; // of zeros, after which the microphone is muted: an open one has noise

export class Listening {
  #engine;
  #handlers;
  #audio;
  #deviceId;
  /** @type {Microphone | null} */
  #microphone = null;
  /** @type {Stream | null} */
  #stream = null;
  #isPaused = false;
  #isOver = false;
  #zeros = 0; // samples
  #isSilent = false;
  /** @type {WakeLockSentinel | undefined} */
  #awake;

  /**
   * engine: hears; name: of the session; deviceId: of the microphone, "" for the browser's choice.
   * @param {{engine: Engine, name: string, deviceId?: string} & Handlers} options
   */
  constructor({ engine, name, deviceId = "", ...handlers }) {
    this.#audio = new RecentAudio(engine.info.sampleRateHz, KEPT_SECONDS);
    this.session = new Session({ name, engine, audio: this.#audio, isLive: true });
    this.#engine = engine;
    this.#deviceId = deviceId;
    this.#handlers = handlers;
  }

  /** Opens the microphone. Throws a MicrophoneError. */
  async start() {
    this.#microphone = await this.#opened();
    this.#stayAwake();
    document.addEventListener("visibilitychange", this.#stayAwake);
  }

  /**
   * Goes on with another microphone; what is said while it is opened is not heard. Throws a MicrophoneError.
   * @param {string} deviceId
   */
  async reopen(deviceId) {
    this.#deviceId = deviceId;
    await this.#microphone?.close();
    this.#microphone = await this.#opened();
    if (this.#isOver) await this.#microphone.close();
  }

  #opened() {
    const { onSamples, onEnded } = this.#handlers;
    const { session } = this;
    return openMicrophone({
      sampleRateHz: session.info.sampleRateHz,
      deviceId: this.#deviceId || null,
      onSamples: (samples) => {
        if (this.#isPaused || this.#isOver) return;
        this.#take(samples);
        onSamples(session, this.#microphone?.level ?? 0);
      },
      onEnded,
    });
  }

  /** @param {Float32Array<ArrayBuffer>} samples */
  #take(samples) {
    const { session } = this;
    const { onWindow, onState } = this.#handlers;
    // The stream begins with the first sample, so that an engine is not called in vain.
    this.#stream ??= this.#engine.stream({
      onWindow: (window) => {
        session.add(window);
        session.advance();
        onWindow(session, window);
      },
      onState,
    });
    this.#audio.push(samples);
    session.addSamples(samples);
    session.nSamples = this.#audio.nSamples;
    this.#stream.push(samples);
    this.#watchSilence(samples);
  }

  /** @param {Float32Array} samples */
  #watchSilence(samples) {
    this.#zeros = samples.some((sample) => sample !== 0) ? 0 : this.#zeros + samples.length;
    const isSilent = this.#zeros >= SILENT_SECONDS * this.session.info.sampleRateHz;
    if (isSilent === this.#isSilent) return;
    this.#isSilent = isSilent;
    this.#handlers.onSilent(isSilent);
  }

  /**
   * While it plays what was heard, it does not hear itself; time stands still.
   * @param {boolean} isPaused
   */
  pause(isPaused) {
    this.#isPaused = isPaused;
  }

  /**
   * A phone whose screen goes dark stops to hear; where it can be asked not to, it is, and again whenever the page
   * comes back, because the browser forgets it while another is looked at.
   */
  #stayAwake = async () => {
    if (document.visibilityState !== "visible" || this.#isOver) return;
    try {
      this.#awake = await navigator.wakeLock?.request("screen");
    } catch {
      // Not allowed, with a low battery for example.
    }
  };

  /** No more: hears the rest, and gives the session. */
  async stop() {
    this.#isOver = true;
    document.removeEventListener("visibilitychange", this.#stayAwake);
    await this.#microphone?.close();
    const stream = this.#stream;
    this.#stream = null;
    this.#awake?.release().catch(() => {});
    try {
      await stream?.end();
    } finally {
      this.session.finish(this.session.nSamples);
    }
    return this.session;
  }
}
