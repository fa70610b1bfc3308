// SPDX-License-Identifier: Apache-2.0

/* The microphone, heard as it comes. */

import { openMicrophone } from "../core/microphone.js";
import { RecentAudio } from "./recent.js";
import { Session } from "./session.js";

const KEPT_SECONDS = 600; // of sound, to play and to see again

export class Listening {
  #engine;
  #handlers;
  #microphone = null;
  #stream = null;
  #isPaused = false;
  #awake = null; // a WakeLockSentinel

  /**
   * engine: hears; name: of the session. onWindow(session): something new was heard; onSamples(session, level);
   * onState(state): the stream's; onEnded(): the microphone went away.
   */
  constructor({ engine, name, onWindow, onSamples, onState, onEnded }) {
    const audio = new RecentAudio(engine.info.sampleRateHz, KEPT_SECONDS);
    this.session = new Session({ name, engine, audio, isLive: true });
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
        session.audio.push(samples);
        session.nSamples = session.audio.nSamples;
        this.#stream.push(samples);
        onSamples(session, this.#microphone?.level ?? 0);
      },
      onEnded,
    });
    this.#stayAwake();
  }

  /** While it plays what was heard, it does not hear itself; time stands still. */
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
