// SPDX-License-Identifier: Apache-2.0

/**
 * The body of a response, whose bytes are counted as they come. onBytes: told how many came so far. Throws an Error
 * for an answer that is none.
 * @param {Response} response
 * @param {(bytes: number) => void} onBytes
 * @returns {ReadableStream<Uint8Array<ArrayBuffer>>}
 */
export function counted(response, onBytes) {
  if (!response.ok || response.body === null) throw new Error(`${response.status} ${response.statusText}`);
  let bytes = 0;
  /** @type {Transformer<Uint8Array<ArrayBuffer>, Uint8Array<ArrayBuffer>>} */
  const counter = {
    transform(chunk, controller) {
      bytes += chunk.length;
      onBytes(bytes);
      controller.enqueue(chunk);
    },
  };
  return response.body.pipeThrough(new TransformStream(counter));
}
