// SPDX-License-Identifier: Apache-2.0

/*
 * Models that somebody brought, kept on this device (the origin private file system) until they are taken away. A
 * browser without it, or a page that is not on https, keeps them as long as the page is open.
 */

import { OidoError } from "../core/errors.js";

/** @import { OwnModel } from "../types.js" */

const FOLDER = "models";

/** What the model is called that is made of the sounds that are taught here. */
export const TAUGHT_MODEL = "my-sounds.tflite";

/**
 * The folder, or null where this browser has none for us.
 * @returns {Promise<FileSystemDirectoryHandle | null>}
 */
async function folder() {
  try {
    const root = await navigator.storage.getDirectory();
    return await root.getDirectoryHandle(FOLDER, { create: true });
  } catch {
    return null;
  }
}

/**
 * Those that were kept, by name.
 * @returns {Promise<OwnModel[]>}
 */
export async function keptModels() {
  const files = await folder();
  /** @type {OwnModel[]} */
  const models = [];
  if (files === null) return models;
  try {
    for await (const [name, handle] of files.entries()) {
      if (handle.kind !== "file") continue;
      const file = await /** @type {FileSystemFileHandle} */ (handle).getFile();
      if (file.size > 0) models.push({ name, file, calibrated: null });
    }
  } catch {
    return models; // what could be read
  }
  return models.sort((a, b) => (a.name < b.name ? -1 : 1));
}

/**
 * Keeps one; gives whether it could.
 * @param {OwnModel} model
 */
export async function keepModel({ name, file }) {
  const files = await folder();
  if (files === null) return false;
  try {
    const handle = await files.getFileHandle(name, { create: true });
    const stream = await handle.createWritable();
    await stream.write(file);
    await stream.close();
    return true;
  } catch {
    // The disk is full, or the browser writes no such files here; an empty one is none.
    await files.removeEntry(name).catch(() => {});
    return false;
  }
}

/**
 * The bytes of one. The file that was brought may have been written anew since then: what was kept of it is the same.
 * Throws ModelNotFoundError where neither is there, as where another tab took it away.
 * @param {{name: string, file: File}} model
 */
export async function bytesOfModel({ name, file }) {
  try {
    return await file.arrayBuffer();
  } catch {
    const kept = (await keptModels()).find((each) => each.name === name);
    const bytes = await kept?.file.arrayBuffer().catch(() => undefined);
    if (bytes) return bytes;
    throw new OidoError("ModelNotFoundError", `${name} cannot be read any more`);
  }
}

/** @param {string} name */
export async function forgetModel(name) {
  const files = await folder();
  await files?.removeEntry(name).catch(() => {});
}

/**
 * What a model's metadata tell of its head; null where they cannot be read, which opening it explains.
 * @param {{name: string, file: File}} model
 */
export async function headOf(model) {
  try {
    const { readModel } = await import("../core/model.js");
    const { head } = await readModel(new Uint8Array(await bytesOfModel(model)));
    return head;
  } catch {
    return null;
  }
}
