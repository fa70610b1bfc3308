// SPDX-License-Identifier: Apache-2.0

/* Starts a worker in a browser without relaxed SIMD: modules with it do not compile. */

const { instantiate } = WebAssembly;
WebAssembly.instantiate = (bytes, imports) =>
  bytes.byteLength < 100 ? Promise.reject(new WebAssembly.CompileError("relaxed SIMD")) : instantiate(bytes, imports);

const waiting = [];
const wait = (event) => waiting.push(event.data);
self.addEventListener("message", wait);
await import(new URL(self.location).search.slice(1));
self.removeEventListener("message", wait);
for (const data of waiting) self.dispatchEvent(new MessageEvent("message", { data }));
