// SPDX-License-Identifier: Apache-2.0

/* The microphone, heard as it comes. */

import { openMicrophone } from "../core/microphone.js";
import { RecentAudio } from "./recent.js";
import { Session } from "./session.js";

/** @import { Engine, Stream, StreamState, WindowScores } from "../types.js" */
/** @import { Microphone } from "../core/microphone.js" */

/**
 * @typedef {{onWindow: (session: Session, window: WindowScores) => void,
 *   onSamples: (session: Session, level: number) => void, onState: (state: StreamState) => void,
 *   onEnded: () => void}} Handlers
 */

const KEPT_SECONDS = 600; // of sound, to play and to see again

export class Listening {
  #engine;
  #handlers;
  #audio;
  /** @type {Microphone | null} */
  #microphone = null;
  /** @type {Stream | null} */
  #stream = null;
  #isPaused = false;
  /** @type {WakeLockSentinel | undefined} */
  #awake;

  /**
   * engine: hears; name: of the session. onWindow(session): something new was heard; onSamples(session, level);
   * onState(state): the stream's; onEnded(): the microphone went away.
   * @param {{engine: Engine, name: string} & Handlers} options
   */
  constructor({ engine, name, onWindow, onSamples, onState, onEnded }) {
    this.#audio = new RecentAudio(engine.info.sampleRateHz, KEPT_SECONDS);
    this.session = new Session({ name, engine, audio: this.#audio, isLive: true });
    this.#engine = engine;
    this.#handlers = { onWindow, onSamples, onState, onEnded };
  }

  /** Opens the microphone. Throws a MicrophoneError. */
  async start() {
    const { session } = this;
    const { onWindow, onSamples, onState, onEnded } = this.#handlers;
    this.#microphone = await openMicrophone({
      sampleRateHz: session.info.sampleRateHz,
      onSamples: (samples) => {
        if (this.#isPaused) return;
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
        onSamples(session, this.#microphone?.level ?? 0);
      },
      onEnded,
    });
    this.#stayAwake();
  }

  /**
   * While it plays what was heard, it does not hear itself; time stands still.
   * @param {boolean} isPaused
   */
  pause(isPaused) {
    this.#isPaused = isPaused;
  }

  /** A phone whose screen goes dark stops to hear; where it can be asked not to, it is. */
  async #stayAwake() {
    try {
      this.#awake = await navigator.wakeLock?.request("screen");
    } catch {
      // Not allowed, with a low battery for example.
    }
  }

  /** No more: hears the rest, and gives the session. */
  async stop() {
    await this.#microphone?.close();
    const stream = this.#stream;
    this.#stream = null;
    this.#isPaused = true;
    this.#awake?.release().catch(() => {});
    try {
      await stream?.end();
    } finally {
      this.session.finish(this.session.nSamples);
    }
    return this.session;
  }
}
