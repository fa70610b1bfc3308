// SPDX-License-Identifier: Apache-2.0
// The sound of a place, with what is around it.

import { readWav } from "../core/wav.js";
import { WholeAudio } from "../ui/recent.js";

/** @import { Sound } from "../types.js" */
/** @import { Item, ReviewServer } from "./server.js" */

/**
 * What is seen and played of a recording: from start to end, in its seconds.
 * @typedef {{start: number, end: number, audio: Sound, file: File}} Clip
 */

const LEAST_SECONDS = 6;
const LEAST_MARGIN = 1;
const MOST_SECONDS = 30;
const MOST_AROUND = 30; // as far as there are scores
export const STEP_SECONDS = 5;

/**
 * The span of a recording that is shown of a place. before, after: seconds more than at first.
 * @param {Item} item
 * @param {{before: number, after: number}} more
 */
export function spanOf(item, { before, after }) {
  const margin = Math.max(LEAST_MARGIN, (LEAST_SECONDS - (item.end - item.start)) / 2);
  const first = Math.max(0, item.start - margin);
  const last = Math.min(item.end + margin, first + MOST_SECONDS);
  const end = last + Math.min(after, MOST_AROUND);
  return {
    start: Math.max(0, first - Math.min(before, MOST_AROUND)),
    end: item.duration > item.start ? Math.min(end, item.duration) : end,
  };
}

/**
 * Throws a ServerProblem where it cannot be had.
 * @param {ReviewServer} server
 * @param {Item} item
 * @param {{before: number, after: number}} more
 * @returns {Promise<Clip>}
 */
export async function fetchClip(server, item, more) {
  const { start, end } = spanOf(item, more);
  const bytes = await server.sound(item.id, start, end);
  const wav = readWav(bytes);
  if (wav === null) throw new TypeError("the server sent no WAV");
  const audio = new WholeAudio(wav.sampleRateHz);
  audio.push(wav.mono());
  const file = new File([bytes], "clip.wav", { type: "audio/wav" });
  return { start, end: start + wav.frames / wav.sampleRateHz, audio, file };
}
