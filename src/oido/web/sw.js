// SPDX-License-Identifier: Apache-2.0

/*
 * Serves the page from this device. What belongs to it, precache.js tells: its files with their hashes, so
 * that a version is whole or not there at all, and a new one arrives when one byte of any file differs.
 * Requests that are not in that list are let through, and nothing of them is kept. Recordings that other programs
 * share with the page wait here, on this device, until the page has read them (ui/arriving.js).
 */

importScripts("precache.js");

/* TypeScript knows `self` as that of any worker. */
const scope = /** @type {ServiceWorkerGlobalScope} */ (/** @type {unknown} */ (self));

const { version, files, models } = self.OIDO_PRECACHE;
const PAGE_CACHE = `oido-page-${version}`;
const MODEL_CACHE = "oido-models";
const SHARED_CACHE = "oido-shared";

/* A module with one relaxed SIMD instruction (i8x16.relaxed_swizzle): not every browser takes it. */
const RELAXED_SIMD = [
  [0, 0x61, 0x73, 0x6d, 1, 0, 0, 0], // magic, version
  [1, 5, 1, 0x60, 0, 1, 0x7b], // type: () -> v128
  [3, 2, 1, 0], // function of that type
  [10, 15, 1, 13, 0, 0x41, 1, 0xfd, 15, 0x41, 2, 0xfd, 15, 0xfd, 0x80, 2, 11], // code
].flat();

const hasRelaxedSimd = WebAssembly.validate(new Uint8Array(RELAXED_SIMD));
const unwanted = hasRelaxedSimd ? "compat" : "relaxed";
/** @type {(url: string) => string} */
const absolute = (url) => new URL(url, scope.registration.scope).href;
const kept = new Map(files.filter(({ build }) => build !== unwanted).map((file) => [absolute(file.url), file]));
const known = new Map(models.map((model) => [absolute(model.url), model]));

scope.addEventListener("install", (event) => event.waitUntil(install()));
scope.addEventListener("activate", (event) => event.waitUntil(activate()));
scope.addEventListener("message", (event) => {
  if (event.data?.type === "take over") scope.skipWaiting();
  if (event.data?.type === "keep") event.waitUntil(keep(event.data.url, event.ports[0]));
});

scope.addEventListener("fetch", (event) => {
  const { request } = event;
  const url = new URL(request.url);
  url.hash = url.search = "";
  if (request.method === "POST" && url.href === absolute("share")) event.respondWith(shared(request));
  if (request.method !== "GET") return;
  if (url.href === absolute("index.html")) url.href = absolute("./");
  const [file, model] = [kept.get(url.href), known.get(url.href)];
  if (file) event.respondWith(ofPage(url.href, file, request));
  else if (model) event.respondWith(ofModels(url.href, model));
});

async function install() {
  const cache = await caches.open(PAGE_CACHE);
  await Promise.all(
    [...kept].map(async ([url, file]) => {
      if (file.onDemand || (await cache.match(url))) return;
      await alone(url, async () => cache.put(url, await unchanged(url, file)));
    }),
  );
  const wanted = [...known].filter(([, model]) => model.precached);
  await Promise.all(wanted.map(([url, model]) => alone(url, () => ofModels(url, model))));
}

async function activate() {
  for (const name of await caches.keys()) {
    if (name.startsWith("oido-page-") && name !== PAGE_CACHE) await caches.delete(name);
  }
  const cache = await caches.open(MODEL_CACHE);
  const current = new Set([...known].map(([url, model]) => modelKey(url, model)));
  for (const request of await cache.keys()) {
    if (!current.has(request.url)) await cache.delete(request);
  }
  await scope.clients.claim();
}

/**
 * @param {string} url
 * @param {PrecachedFile} file
 * @param {Request} request
 */
async function ofPage(url, file, request) {
  const cache = await caches.open(PAGE_CACHE);
  if (file.fresh) return fetch(request).catch(async () => (await cache.match(url)) ?? Response.error());
  const before = await cache.match(url);
  if (before || !file.onDemand) return before ?? fetch(request);
  const response = await unchanged(url, file);
  await cache.put(url, response.clone());
  return response;
}

/**
 * What manifest.webmanifest's share_target sends: the page opens, and finds it.
 * @param {Request} request
 */
async function shared(request) {
  const recordings = (await request.formData()).getAll("audio").filter((part) => part instanceof File);
  const cache = await caches.open(SHARED_CACHE);
  for (const [number, file] of recordings.entries()) {
    const headers = { "Content-Type": file.type || "application/octet-stream", "X-Name": encodeURIComponent(file.name) };
    await cache.put(absolute(`shared/${Date.now()}-${number}`), new Response(file, { headers }));
  }
  return Response.redirect(absolute("./?shared"), 303);
}

/**
 * Takes no lock: who asks from the page holds it already, and would wait for itself.
 * @param {string} url
 * @param {PrecachedModel} model
 */
async function ofModels(url, model) {
  const cache = await caches.open(MODEL_CACHE);
  const key = modelKey(url, model);
  const before = await cache.match(key);
  if (before) return before;
  const response = await unchanged(url, model);
  await cache.put(key, response.clone());
  return response;
}

/**
 * While no other part of the page fetches the same (core/once.js).
 * @template T
 * @param {string} url
 * @param {() => Promise<T>} run
 * @returns {Promise<T>}
 */
async function alone(url, run) {
  return navigator.locks ? await navigator.locks.request(url, run) : await run();
}

/**
 * Models of all versions are in one cache: each under its address and its hash.
 * @param {string} url
 * @param {{integrity: string}} model
 */
function modelKey(url, { integrity }) {
  return `${url}?${encodeURIComponent(integrity)}`;
}

/**
 * Fetches what has this hash; rejects anything else. What the page has fetched already is in the browser's own
 * cache, and does not come over the network a second time; where that is another version, it is asked for anew.
 * @param {string} url
 * @param {{integrity: string}} file
 */
async function unchanged(url, { integrity }) {
  try {
    return await fetched(url, integrity, "force-cache");
  } catch {
    return await fetched(url, integrity, "reload");
  }
}

/**
 * @param {string} url
 * @param {string} integrity
 * @param {RequestCache} cache
 */
async function fetched(url, integrity, cache) {
  const response = await fetch(url, { cache, integrity });
  if (!response.ok) throw new TypeError(`${url}: ${response.status}`);
  return response;
}

/**
 * @param {string} url
 * @param {MessagePort} [port]
 */
async function keep(url, port) {
  let isKept = false;
  try {
    const model = known.get(url);
    if (model) isKept = (await alone(url, () => ofModels(url, model))).ok;
  } finally {
    port?.postMessage({ kept: isKept });
  }
}
