// SPDX-License-Identifier: Apache-2.0

/*
 * Sound that comes as time goes, heard by a server (docs/reference/stream-protocol.md). When the server
 * goes away, it is called again, later each time; what is said meanwhile is a gap, and time goes on over it.
 */

import { OidoError } from "../core/errors.js";
import { withResolvers } from "../core/live_stream.js";
import { pauseSeconds } from "./backoff.js";

/** @import { EngineInfo, StreamEnd, StreamState, Waiting, WindowScores } from "../types.js" */
/** @import { Row, Told } from "./server.js" */

/**
 * What the server sends.
 * @typedef {{type: string, reason?: string, error?: string, message?: string, rows?: Row[], time?: number,
 *   framewise?: Record<string, number>[], similarity?: number | null, windows?: number, hop?: number}} Message
 *
 * @typedef {{address: string, header: object, info: EngineInfo, windowOf: (index: number, told: Told) => WindowScores,
 *   onWindow: (window: WindowScores) => void, onState: (state: StreamState) => void}} Options
 */

const MOST_WAITING_SECONDS = 8; // of sound in the socket: beyond it, the network is too slow

const EARLY_SECONDS = 4;

/** Errors after which a server may be asked again. */
const PASSING = new Set(["BusyError", "InternalError", "WorkerError"]);

export class ServerStream {
  nSamples = 0; // pushed so far
  #address;
  #header;
  #info;
  #windowOf;
  #onWindow;
  #onState;
  /** @type {WebSocket | null} */
  #socket = null;
  #isReady = false;
  #attempt = 0;
  #timer = 0;
  #isAsleep = false;
  #offset = 0; // of the connection's first sample in the stream
  #skip = 0; // samples until that one
  /** @type {Float32Array<ArrayBuffer>[] | null} */
  #early = []; // what came before the first connection
  #isAfterGap = false;
  #next = 0; // the window that should come
  #nWindows = 0;
  #dropped = 0;
  #hopSamples;
  /** @type {OidoError | null} */
  #failure = null;
  /** @type {PromiseWithResolvers<StreamEnd> | null} */
  #ending = null;

  /**
   * header: the protocol's first message. windowOf(index, told): makes a window.
   * onWindow: told each; its `isAfterGap` says that something before it was never heard.
   * onState: told {dropped, behindSeconds, hopSamples, waiting, failure}; waiting is null or {why, seconds}
   * until the server is asked again, failure an OidoError after which nothing more comes.
   * @param {Options} options
   */
  constructor({ address, header, info, windowOf, onWindow, onState }) {
    this.#address = address;
    this.#header = header;
    this.#info = info;
    this.#windowOf = windowOf;
    this.#onWindow = onWindow;
    this.#onState = onState;
    this.#hopSamples = info.hopSamples;
    this.#connect();
  }

  /**
   * Takes the next samples, Float32Array at the model's rate. What cannot be sent now is lost.
   * @param {Float32Array<ArrayBuffer>} samples
   */
  push(samples) {
    this.nSamples += samples.length;
    if (this.#isAsleep) this.#connect();
    const socket = this.#socket;
    if (!this.#isReady || socket === null) {
      this.#keepEarly(samples);
      return;
    }
    const skipped = Math.min(this.#skip, samples.length);
    this.#skip -= skipped;
    if (skipped < samples.length) socket.send(samples.slice(skipped));
    const most = MOST_WAITING_SECONDS * this.#info.sampleRateHz * 4;
    if (socket.bufferedAmount > most) this.#lost("GoneError");
  }

  /** No more samples come: what is left is heard. A promise of {nSamples, nWindows, dropped}. */
  end() {
    if (this.#ending) return this.#ending.promise;
    /** @type {PromiseWithResolvers<StreamEnd>} */
    const ending = withResolvers();
    this.#ending = ending;
    if (this.#isReady && this.nSamples > this.#offset) this.#socket?.send(JSON.stringify({ type: "end" }));
    else this.#finish();
    return ending.promise;
  }

  /**
   * Until the first connection sound waits, for a while; then that it is lost is a gap like any other.
   * @param {Float32Array<ArrayBuffer>} samples
   */
  #keepEarly(samples) {
    if (this.nSamples > EARLY_SECONDS * this.#info.sampleRateHz) this.#early = null;
    this.#early?.push(samples.slice());
  }

  #connect() {
    this.#isAsleep = false;
    const socket = new WebSocket(this.#address);
    this.#socket = socket;
    socket.binaryType = "arraybuffer";
    socket.addEventListener("open", () => socket.send(JSON.stringify(this.#header)));
    socket.addEventListener("message", ({ data }) => {
      if (socket === this.#socket) this.#take(JSON.parse(data));
    });
    socket.addEventListener("close", () => {
      if (socket === this.#socket) this.#lost("GoneError");
    });
  }

  /** @param {Message} message */
  #take(message) {
    if (message.type === "ready") this.#begin();
    else if (message.type === "rows") this.#window(message);
    else if (message.type === "dropped") this.#coarser(message);
    else if (message.type === "end" && message.reason === "end") this.#finish();
    else if (message.type === "end") this.#lost("GoneError");
    else if (message.type === "error") this.#problem(message);
  }

  #begin() {
    const { hopSamples } = this.#info;
    // Windows go on where they would be, had nothing been lost.
    this.#offset = this.#early ? 0 : Math.ceil(this.nSamples / hopSamples) * hopSamples;
    this.#skip = Math.max(0, this.#offset - this.nSamples);
    for (const samples of this.#early ?? []) this.#socket?.send(samples);
    this.#early = null;
    this.#isAfterGap = this.#offset > 0;
    this.#next = this.#offset / hopSamples;
    this.#isReady = true;
    this.#attempt = 0;
    this.#hopSamples = hopSamples;
    this.#tell(null);
  }

  /** @param {Message} message */
  #window({ time = 0, rows = [], framewise = [], similarity = null }) {
    const { sampleRateHz, windowSamples, hopSamples } = this.#info;
    const local = Math.round((time * sampleRateHz - windowSamples) / hopSamples);
    const index = this.#offset / hopSamples + Math.max(0, local);
    this.#nWindows += 1;
    this.#next = index + 1;
    const window = this.#windowOf(index, { rows, framewise, similarity });
    this.#onWindow(Object.assign(window, { isAfterGap: this.#isAfterGap }));
    this.#isAfterGap = false;
    this.#tell(null);
  }

  /** @param {Message} message */
  #coarser(message) {
    this.#dropped += message.windows ?? 0;
    if (message.hop) this.#hopSamples = Math.round(message.hop * this.#info.sampleRateHz);
    this.#tell(null);
  }

  /** @param {Message} message */
  #problem({ error = "InternalError", message = "" }) {
    if (error === "LimitError" && message.startsWith("no message")) {
      this.#drop();
      this.#isAsleep = true; // nothing was pushed for a while: it is called when something is
    } else if (error === "EmptyAudioError") {
      this.#finish();
    } else if (PASSING.has(error)) {
      this.#lost(error);
    } else {
      this.#drop();
      this.#failure = new OidoError(error, message);
      this.#tell(null);
      if (this.#ending) this.#finish();
    }
  }

  /**
   * The connection is over; another is tried in a while.
   * @param {string} why
   */
  #lost(why) {
    this.#drop();
    if (this.#ending) {
      this.#finish();
      return;
    }
    this.#attempt += 1;
    const seconds = pauseSeconds(this.#attempt);
    this.#timer = setTimeout(() => this.#connect(), seconds * 1000);
    this.#tell({ why, seconds });
  }

  #drop() {
    const socket = this.#socket;
    this.#socket = null;
    this.#isReady = false;
    clearTimeout(this.#timer);
    socket?.close();
  }

  #finish() {
    this.#drop();
    const { nSamples } = this;
    this.#ending?.resolve({ nSamples, nWindows: this.#nWindows, dropped: this.#dropped });
  }

  /** @param {Waiting | null} waiting */
  #tell(waiting) {
    const { sampleRateHz, windowSamples, hopSamples } = this.#info;
    const due = this.#next * hopSamples + windowSamples;
    this.#onState({
      dropped: this.#dropped,
      behindSeconds: this.#isReady ? Math.max(0, this.nSamples - due) / sampleRateHz : 0,
      hopSamples: this.#hopSamples,
      waiting,
      failure: this.#failure,
    });
  }
}
