// SPDX-License-Identifier: Apache-2.0

/* The sound around something that was heard, as a file, and its picture: to save, or to share where the browser can. */

import { wavFile } from "../core/wav.js";
import { cardOf } from "./card.js";
import { saveFile } from "./exports.js";
import { clock, currentLanguage, nameOf } from "./language.js";

/** @import { SoundEvent } from "../types.js" */
/** @import { Session } from "./session.js" */

const AROUND_SECONDS = 0.5;

/**
 * The sound of a session from one time to another, seconds; null where none of it is here.
 * @param {Session} session
 * @param {number} from
 * @param {number} to
 * @param {string} label
 */
export async function clipOf({ audio, info, name }, from, to, label) {
  if (audio === null) return null;
  const rate = info.sampleRateHz;
  const start = Math.max(audio.first, Math.round(from * rate));
  const end = Math.min(audio.nSamples, Math.round(to * rate));
  const samples = end > start ? await audio.read(start, end - start) : null;
  if (samples === null) return null;
  return wavFile([samples], rate, `${fileStem(name, label, start / rate)}.wav`);
}

/**
 * The sound of an event, with a little before and after it.
 * @param {Session} session
 * @param {SoundEvent} event
 */
export function clipOfEvent(session, { label, startTime, endTime }) {
  return clipOf(session, startTime - AROUND_SECONDS, endTime + AROUND_SECONDS, nameOf(label));
}

/**
 * The picture of an event, or null where there is no sound to see.
 * @param {Session} session
 * @param {SoundEvent} event
 */
export async function cardOfEvent({ audio, name, began }, { label, startTime, endTime }) {
  if (audio === null) return null;
  const from = Math.max(audio.first / audio.sampleRateHz, startTime - AROUND_SECONDS);
  const to = Math.min(audio.nSamples / audio.sampleRateHz, endTime + AROUND_SECONDS);
  if (to <= from) return null;
  const options = /** @type {const} */ ({ dateStyle: "long", timeStyle: "medium" });
  const at = new Date(began + 1000 * startTime);
  const when = began ? at.toLocaleString(currentLanguage(), options) : `${name} · ${clock(startTime)}`;
  const file = `${fileStem(name, nameOf(label), from)}.png`;
  return cardOf({ audio, from, to, label, name: nameOf(label), when, file });
}

/**
 * @param {string} name
 * @param {string} label
 * @param {number} seconds
 */
function fileStem(name, label, seconds) {
  const stem = name.replace(/\.[^.]+$/, "");
  return `${stem} ${label} ${seconds.toFixed(1)}s`.replaceAll(/[\\/:*?"<>|\s]+/g, "-");
}

/** Whether this browser hands files to other programs. */
export function canShare() {
  return canShareFiles([new File(["x"], "x.wav", { type: "audio/wav" })]);
}

/** @param {File[]} files */
function canShareFiles(files) {
  return navigator.canShare?.({ files }) === true;
}

/**
 * Shares a clip, with its picture where the browser takes both; else saves the clip.
 * @param {File} clip
 * @param {string} text
 * @param {File | null} [card]
 */
export async function shareOrSave(clip, text, card = null) {
  const files = card && canShareFiles([clip, card]) ? [clip, card] : [clip];
  if (!canShareFiles(files)) {
    saveFile(clip);
    return;
  }
  try {
    await navigator.share({ files, text });
  } catch (error) {
    // Whoever closed the dialog wanted nothing; where it did not come, the clip is saved.
    if (!(error instanceof DOMException && error.name === "AbortError")) saveFile(clip);
  }
}
