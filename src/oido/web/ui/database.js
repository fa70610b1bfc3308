// SPDX-License-Identifier: Apache-2.0

/* A database of this browser with one store of records, each under its own "id". */

/**
 * Steps in a database, which is made at the first one.
 * @param {string} name
 * @param {string} store
 */
export function openDatabase(name, store) {
  /** @type {Promise<IDBDatabase> | null} */
  let opening = null;

  function database() {
    opening ??= new Promise((resolve, reject) => {
      const request = indexedDB.open(name, 1);
      request.onupgradeneeded = () => request.result.createObjectStore(store, { keyPath: "id" });
      request.onsuccess = () => resolve(request.result);
      request.onerror = () => reject(request.error);
    });
    return opening;
  }

  /**
   * One step; its result, when it is done for good.
   * @template T
   * @param {IDBTransactionMode} mode
   * @param {(store: IDBObjectStore) => IDBRequest<T>} step
   * @returns {Promise<T>}
   */
  return async function transaction(mode, step) {
    const open = await database();
    return new Promise((resolve, reject) => {
      const made = open.transaction(store, mode);
      const request = step(made.objectStore(store));
      made.oncomplete = () => resolve(request.result);
      made.onabort = made.onerror = () => reject(made.error ?? request.error);
    });
  };
}
