// SPDX-License-Identifier: Apache-2.0

/* The microphone, at the model's rate, as it is: nothing cancelled, suppressed or turned up. */

import { OidoError, messageOf } from "./errors.js";
import { Resampler } from "./resampler.js";

const WORKLET = new URL("./microphone_worklet.js", import.meta.url);

/** @type {Record<string, string>} */
const REFUSALS = {
  NotAllowedError: "the microphone was not allowed: allow it for this page in the browser's settings",
  NotFoundError: "there is no microphone",
  NotReadableError: "the microphone cannot be opened: another program may be using it",
  OverconstrainedError: "that microphone is not there any more",
};

/**
 * level: the RMS of the last block, 0..1.
 * @typedef {{close: () => Promise<void>, readonly level: number}} Microphone
 */

/**
 * Opens the microphone. onSamples: told each block, Float32Array mono at sampleRateHz, some 30 ms of it.
 * onEnded: called if the microphone goes away. deviceId: which one; null is the browser's choice.
 *
 * Throws an OidoError of kind MicrophoneError.
 * @param {{sampleRateHz: number, onSamples: (samples: Float32Array<ArrayBuffer>) => void, onEnded?: () => void,
 *   deviceId?: string|null}} options
 * @returns {Promise<Microphone>}
 */
export async function openMicrophone({ sampleRateHz, onSamples, onEnded = () => {}, deviceId = null }) {
  if (!navigator.mediaDevices?.getUserMedia) {
    throw new OidoError("MicrophoneError", "the browser gives the microphone to pages on https or localhost only");
  }
  const media = await allowed(deviceId);
  /** @type {AudioContext | null} */
  let context = null;
  try {
    const connection = connected(media, sampleRateHz);
    const { source } = connection;
    context = connection.context;
    await context.audioWorklet.addModule(WORKLET);
    return started({ media, context, source, sampleRateHz, onSamples, onEnded });
  } catch (error) {
    for (const track of media.getTracks()) track.stop();
    await context?.close();
    throw new OidoError("MicrophoneError", `the microphone cannot be heard: ${messageOf(error)}`, { cause: error });
  }
}

/** @param {string | null} deviceId */
async function allowed(deviceId) {
  const audio = {
    channelCount: 1,
    echoCancellation: false,
    noiseSuppression: false,
    autoGainControl: false,
    ...(deviceId === null ? {} : { deviceId: { exact: deviceId } }),
  };
  try {
    return await navigator.mediaDevices.getUserMedia({ audio });
  } catch (error) {
    const refusal = error instanceof Error ? REFUSALS[error.name] : undefined;
    const message = refusal ?? `the microphone cannot be opened: ${messageOf(error)}`;
    throw new OidoError("MicrophoneError", message, { cause: error });
  }
}

/**
 * A context at the model's rate, or else, where a browser refuses that, at the microphone's.
 * @param {MediaStream} media
 * @param {number} sampleRateHz
 */
function connected(media, sampleRateHz) {
  let context = new AudioContext({ sampleRate: sampleRateHz });
  try {
    return { context, source: context.createMediaStreamSource(media) };
  } catch (error) {
    if (!(error instanceof DOMException && error.name === "NotSupportedError")) throw error;
    context.close();
    context = new AudioContext();
    return { context, source: context.createMediaStreamSource(media) };
  }
}

/**
 * @param {{media: MediaStream, context: AudioContext, source: MediaStreamAudioSourceNode, sampleRateHz: number,
 *   onSamples: (samples: Float32Array<ArrayBuffer>) => void, onEnded: () => void}} parts
 * @returns {Microphone}
 */
function started({ media, context, source, sampleRateHz, onSamples, onEnded }) {
  const worklet = new AudioWorkletNode(context, "oido-microphone", { numberOfOutputs: 0 });
  const resampler = new Resampler(context.sampleRate, sampleRateHz);
  let level = 0;
  let isOpen = true;
  worklet.port.onmessage = ({ data }) => {
    if (!isOpen) return;
    level = rms(data);
    const samples = resampler.push(data);
    if (samples.length) onSamples(samples);
  };
  source.connect(worklet);
  const [track] = media.getAudioTracks();
  track.addEventListener("ended", () => isOpen && onEnded());
  const resume = () => context.resume();
  // A phone stops the sound while another app has it, or the screen is off.
  document.addEventListener("visibilitychange", resume);
  resume();
  return {
    get level() {
      return level;
    },
    async close() {
      if (!isOpen) return;
      isOpen = false;
      level = 0;
      document.removeEventListener("visibilitychange", resume);
      for (const each of media.getTracks()) each.stop();
      source.disconnect();
      await context.close();
    },
  };
}

/** @param {Float32Array} samples */
function rms(samples) {
  let energy = 0;
  for (const sample of samples) energy += sample * sample;
  return Math.sqrt(energy / samples.length);
}
