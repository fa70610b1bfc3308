// SPDX-License-Identifier: Apache-2.0

/*
 * Where the examples of a sound point, seen from the middle of what a model was taught: what is like them is not unknown
 * to it. As oido.training.novelty does it for the classes of a model, whose middle and threshold stay.
 */

/** @import { LearntClip } from "./head_fit.js" */

/**
 * Of each class but the last, which is none of the sounds, f32[E] of length 1: the mean of its clips, each being the mean
 * of its windows by their share of sound. [] where the model tells of nothing that it is unknown.
 * @param {LearntClip[]} clips
 * @param {number} nClasses
 */
export function directionsOf(clips, nClasses) {
  const learnt = clips.filter(({ directions }) => directions !== null);
  if (learnt.length === 0) return [];
  return Array.from({ length: nClasses - 1 }, (_, label) => {
    const ofClips = learnt.filter((clip) => clip.label === label).map((clip) => mean(clip.directions ?? [], clip.weights));
    const all = mean(ofClips, ofClips.map(() => 1));
    const length = Math.sqrt(all.reduce((sum, value) => sum + value * value, 0));
    return Float32Array.from(all, (value) => value / Math.max(length, Number.MIN_VALUE));
  });
}

/**
 * By weights, or where these are all 0, of all alike.
 * @param {ArrayLike<number>[]} rows
 * @param {number[]} weights
 */
function mean(rows, weights) {
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  const values = new Float64Array(rows[0].length);
  rows.forEach((row, n) => {
    const share = total > 0 ? weights[n] / total : 1 / rows.length;
    for (let d = 0; d < values.length; d++) values[d] += share * row[d];
  });
  return values;
}
