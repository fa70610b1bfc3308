// SPDX-License-Identifier: Apache-2.0

/**
 * Does a fetch of the page's own, and reads what comes, while no other part of the page fetches the same: it finds it
 * in the browser's cache then. The service worker, which imports nothing, does it by the same lock.
 * @template T
 * @param {URL | string} url
 * @param {() => Promise<T>} run
 * @returns {Promise<T>}
 */
export async function alone(url, run) {
  if (!navigator.locks) return await run();
  return await navigator.locks.request(new URL(url, location.href).href, run);
}
