// SPDX-License-Identifier: Apache-2.0

/*
 * How well a head would do, said by clips that it did not learn: each is left out once, and judged by a head of the
 * others; of many, some at a time. Of few clips that says little, and of very few nothing.
 */

import { fitHead, headScores } from "./head_fit.js";

/** @import { LearntClip, LinearHead } from "./head_fit.js" */

/** What a window needs to be told as a sound that was taught: more than all else together. */
export const TAUGHT_THRESHOLD = 0.5;
/** Heads that are fitted to judge: more clips than these are left out some at a time. */
const MOST_HEADS = 20;
/** Examples of each sound, and of what is none of them, below which nothing can be said. */
export const FEWEST = 5;

/**
 * Of all sounds: how many left-out examples were found, and how many moments of nothing were taken for one of them.
 * isTooFew: there are not enough of either to believe that.
 * @typedef {{nFound: number, nExamples: number, nMistaken: number, nOther: number, isTooFew: boolean}} Judgement
 */

/**
 * The last class is what is none of the sounds. always: clips that are learnt each time, and not judged. Between two
 * heads it waits, so that the page stays alive; null: it was given up. isStale: whether nobody waits for it any more.
 * @param {LearntClip[]} clips
 * @param {number} nClasses
 * @param {{always?: LearntClip[], isStale?: () => boolean}} [options]
 * @returns {Promise<Judgement | null>}
 */
export async function judgeHead(clips, nClasses, { always = [], isStale = () => false } = {}) {
  const other = nClasses - 1;
  const judgement = { nFound: 0, nExamples: 0, nMistaken: 0, nOther: 0, isTooFew: isTooFew(clips, nClasses) };
  for (const left of leftOut(clips, nClasses)) {
    await new Promise((resolve) => setTimeout(resolve));
    if (isStale()) return null;
    const rest = clips.filter((clip) => !left.includes(clip));
    const known = left.filter((clip) => rest.some(({ label }) => label === clip.label)); // of others nobody could know
    if (known.length === 0) continue;
    const head = fitHead([...rest, ...always], nClasses, null, { isRough: true });
    for (const clip of known) {
      const found = foundIn(head, clip);
      if (clip.label === other) {
        judgement.nOther += 1;
        if (found !== null) judgement.nMistaken += 1;
      } else {
        judgement.nExamples += 1;
        if (found === clip.label) judgement.nFound += 1;
      }
    }
  }
  return judgement;
}

/**
 * Groups of clips, at most so many as heads are fitted; each has of every class as many as the others, or one less.
 * @param {LearntClip[]} clips
 * @param {number} nClasses
 */
function leftOut(clips, nClasses) {
  const byClass = Array.from({ length: nClasses }, (_, c) => clips.filter(({ label }) => label === c)).flat();
  const count = Math.min(byClass.length, MOST_HEADS);
  return Array.from({ length: count }, (_, number) => byClass.filter((...[, at]) => at % count === number));
}

/**
 * The sound that a clip is told as: the one that is highest in any of its windows; null for none.
 * @param {LinearHead} head
 * @param {LearntClip} clip
 */
function foundIn(head, { rows }) {
  let best = TAUGHT_THRESHOLD;
  let found = null;
  for (const row of rows) {
    const scores = headScores(head, row);
    for (let label = 0; label < scores.length - 1; label++) {
      if (scores[label] >= best) [best, found] = [scores[label], label];
    }
  }
  return found;
}

/**
 * @param {LearntClip[]} clips
 * @param {number} nClasses
 */
function isTooFew(clips, nClasses) {
  const counts = new Array(nClasses).fill(0);
  for (const { label } of clips) counts[label] += 1;
  return counts.some((count) => count < FEWEST);
}
