// SPDX-License-Identifier: Apache-2.0

/*
 * Examples of sounds that somebody teaches, kept in this browser until they are taken away. A browser that keeps none,
 * as in a private window, has them as long as the page is open.
 */

const NAME = "oido-taught";
const STORE = "examples";

/**
 * id: when it was made, milliseconds; no two have the same. label: null of what is none of the sounds. base: the model
 * whose embeddings `rows` are, one of each window; weights: how much of each is sound.
 * @typedef {{id: number, label: string | null, sampleRateHz: number, samples: Int16Array<ArrayBuffer>,
 *   base: string, rows: Float32Array[], weights: number[]}} Example
 */

/** @type {Promise<IDBDatabase> | null} */
let opening = null;

function database() {
  opening ??= new Promise((resolve, reject) => {
    const request = indexedDB.open(NAME, 1);
    request.onupgradeneeded = () => request.result.createObjectStore(STORE, { keyPath: "id" });
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
  return opening;
}

/**
 * @template T
 * @param {IDBTransactionMode} mode
 * @param {(store: IDBObjectStore) => IDBRequest<T>} step
 * @returns {Promise<T | null>} null: this browser does not keep it
 */
async function transaction(mode, step) {
  try {
    const open = await database();
    return await new Promise((resolve, reject) => {
      const made = open.transaction(STORE, mode);
      const request = step(made.objectStore(STORE));
      made.oncomplete = () => resolve(request.result);
      made.onabort = made.onerror = () => reject(made.error ?? request.error);
    });
  } catch {
    return null;
  }
}

/** Oldest first; null: none are kept here. @returns {Promise<Example[] | null>} */
export async function keptExamples() {
  return await transaction("readonly", (store) => store.getAll());
}

/**
 * Gives whether it is there after a reload.
 * @param {Example} example
 */
export async function keepExample(example) {
  return (await transaction("readwrite", (store) => store.put(example))) !== null;
}

/** @param {Example} example */
export async function forgetExample({ id }) {
  await transaction("readwrite", (store) => store.delete(id));
}
