// SPDX-License-Identifier: Apache-2.0

/*
 * Recordings that come from outside of the page, where it is installed: a voice memo that another program shares with
 * it (sw.js keeps it until it is read here), or a file that the system opens by it.
 */

const SHARED = "oido-shared"; // the cache of sw.js
const SIGN = "shared"; // in the address, when something was shared

/**
 * What the system opens; in no standard yet, so lib.dom does not know it.
 * @typedef {{setConsumer: (consume: (launched: {files?: FileSystemFileHandle[]}) => void) => void}} LaunchQueue
 */

/**
 * Calls back with recordings that arrive.
 * @param {(files: File[]) => void} onFiles
 */
export async function onArriving(onFiles) {
  const queue = /** @type {{launchQueue?: LaunchQueue}} */ (/** @type {unknown} */ (window)).launchQueue;
  queue?.setConsumer(async ({ files = [] }) => {
    if (files.length) onFiles(await Promise.all(files.map((file) => file.getFile())));
  });
  const address = new URL(location.href);
  if (!address.searchParams.has(SIGN)) return;
  address.searchParams.delete(SIGN);
  history.replaceState(null, "", address); // a reload does not bring it again
  const files = await sharedFiles();
  if (files.length) onFiles(files);
}

/** Those that wait; they do so no longer. */
async function sharedFiles() {
  if (!("caches" in window)) return [];
  const cache = await caches.open(SHARED);
  const files = [];
  for (const request of await cache.keys()) {
    const response = await cache.match(request);
    if (response === undefined) continue;
    const name = decodeURIComponent(response.headers.get("X-Name") ?? "");
    const blob = await response.blob();
    files.push(new File([blob], name || "recording", { type: blob.type }));
  }
  await caches.delete(SHARED);
  return files;
}
