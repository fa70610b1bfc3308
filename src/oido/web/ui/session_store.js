// SPDX-License-Identifier: Apache-2.0

/* What was heard, in this browser's own database: whole records, by the number of their entry. */

import { openDatabase } from "./database.js";

/** @import { SessionRecord } from "./session_record.js" */

const transaction = openDatabase("oido", "sessions");

/** @param {SessionRecord} record */
export async function storeRecord(record) {
  const { file } = record;
  try {
    await transaction("readwrite", (store) => store.put(record));
  } catch (error) {
    // A private window of Safari keeps no files, but it keeps bytes.
    if (file === null) throw error;
    const plain = { name: file.name, type: file.type, bytes: await file.arrayBuffer() };
    await transaction("readwrite", (store) => store.put({ ...record, file: plain }));
  }
}

/** @returns {Promise<SessionRecord[]>} in the order of their numbers */
export async function storedRecords() {
  const records = await transaction("readonly", (store) => store.getAll());
  return records.map(({ file, ...record }) => ({ ...record, file: file?.bytes ? fileOf(file) : file }));
}

/** @param {{name: string, type: string, bytes: ArrayBuffer}} plain */
function fileOf({ name, type, bytes }) {
  return new File([bytes], name, { type });
}

/** @param {number} id */
export function deleteRecord(id) {
  return transaction("readwrite", (store) => store.delete(id));
}

export function deleteRecords() {
  return transaction("readwrite", (store) => store.clear());
}
