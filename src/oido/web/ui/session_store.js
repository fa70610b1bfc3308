// SPDX-License-Identifier: Apache-2.0

/* What was heard, in this browser's own database: whole records, by the number of their entry. */

import { openDatabase } from "./database.js";

/** @import { SessionRecord } from "./session_record.js" */

const transaction = openDatabase("oido", "sessions");

/** @param {SessionRecord} record */
export async function storeRecord(record) {
  const { file, audio } = record;
  try {
    await transaction("readwrite", (store) => store.put(record));
  } catch (error) {
    // A private window of Safari keeps no files, but it keeps bytes.
    if (file === null && audio === null) throw error;
    const plainFile = file && { name: file.name, type: file.type, bytes: await file.arrayBuffer() };
    const plainAudio = audio && { first: audio.first, samples: await audio.samples.arrayBuffer() };
    await transaction("readwrite", (store) => store.put({ ...record, file: plainFile, audio: plainAudio }));
  }
}

/** @returns {Promise<SessionRecord[]>} in the order of their numbers */
export async function storedRecords() {
  const records = await transaction("readonly", (store) => store.getAll());
  return records.map(({ file, audio, ...record }) => ({ ...record, file: fileOf(file), audio: audioOf(audio) }));
}

/**
 * The sound, also of records that have it as it is: of a browser that keeps no files, and of an earlier oido.
 * @param {{first: number, samples: Blob | ArrayBuffer | Int16Array<ArrayBuffer>} | null} kept
 */
function audioOf(kept) {
  if (kept === null) return null;
  const { first, samples } = kept;
  return { first, samples: samples instanceof Blob ? samples : new Blob([samples]) };
}

/**
 * The file, or what was made of it where none can be kept.
 * @param {File | {name: string, type: string, bytes: ArrayBuffer} | null} kept
 * @returns {File | null}
 */
function fileOf(kept) {
  if (kept === null || kept instanceof File) return kept;
  const { name, type, bytes } = kept;
  return new File([bytes], name, { type });
}

/** @param {number} id */
export function deleteRecord(id) {
  return transaction("readwrite", (store) => store.delete(id));
}

export function deleteRecords() {
  return transaction("readwrite", (store) => store.clear());
}
