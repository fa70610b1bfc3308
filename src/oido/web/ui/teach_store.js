// SPDX-License-Identifier: Apache-2.0

/*
 * Examples of sounds that somebody teaches, kept in this browser until they are taken away. A browser that keeps none,
 * as in a private window, has them as long as the page is open.
 */

import { openDatabase } from "./database.js";

const transaction = openDatabase("oido-taught", "examples");

/**
 * id: when it was made, milliseconds; no two have the same. label: null of what is none of the sounds. base: the model
 * whose embeddings `rows` are, one of each window; directions: where these point; weights: how much of each is sound.
 * @typedef {{id: number, label: string | null, sampleRateHz: number, samples: Int16Array<ArrayBuffer>,
 *   base: string, rows: Float32Array[], directions?: Float32Array[] | null, weights: number[]}} Example
 */

/**
 * What the database answers; null: this browser does not keep it.
 * @template T
 * @param {Promise<T>} answer
 * @returns {Promise<T | null>}
 */
async function orNull(answer) {
  return await answer.catch(() => null);
}

/** Oldest first; null: none are kept here. @returns {Promise<Example[] | null>} */
export async function keptExamples() {
  return await orNull(transaction("readonly", (store) => store.getAll()));
}

/**
 * Gives whether it is there after a reload.
 * @param {Example} example
 */
export async function keepExample(example) {
  return (await orNull(transaction("readwrite", (store) => store.put(example)))) !== null;
}

/** @param {Example} example */
export async function forgetExample({ id }) {
  await orNull(transaction("readwrite", (store) => store.delete(id)));
}
