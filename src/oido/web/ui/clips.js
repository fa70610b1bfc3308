// SPDX-License-Identifier: Apache-2.0

/* The sound around something that was heard, as a file: to save, or to share where the browser can. */

import { wavFile } from "../core/wav.js";
import { saveFile } from "./exports.js";

/** @import { Session } from "./session.js" */

/**
 * The sound of a session from one time to another, seconds; null where none of it is here.
 * @param {Session} session
 * @param {number} from
 * @param {number} to
 * @param {string} label
 */
export function clipOf({ audio, info, name }, from, to, label) {
  if (audio === null) return null;
  const rate = info.sampleRateHz;
  const start = Math.max(audio.first, Math.round(from * rate));
  const end = Math.min(audio.nSamples, Math.round(to * rate));
  const samples = new Float32Array(Math.max(0, end - start));
  if (samples.length === 0 || !audio.read(start, samples)) return null;
  const stem = name.replace(/\.[^.]+$/, "");
  const words = `${stem} ${label} ${(start / rate).toFixed(1)}s`.replaceAll(/[\\/:*?"<>|\s]+/g, "-");
  return wavFile([samples], rate, `${words}.wav`);
}

/** Whether this browser hands files to other programs. */
export function canShare() {
  const file = new File(["x"], "x.wav", { type: "audio/wav" });
  return navigator.canShare?.({ files: [file] }) === true;
}

/**
 * Shares a clip where the browser can, else saves it.
 * @param {File} clip
 * @param {string} text
 */
export async function shareOrSave(clip, text) {
  if (!canShare()) {
    saveFile(clip);
    return;
  }
  try {
    await navigator.share({ files: [clip], text });
  } catch (error) {
    // Whoever closed the dialog wanted nothing; where it did not come, the clip is saved.
    if (!(error instanceof DOMException && error.name === "AbortError")) saveFile(clip);
  }
}
