// SPDX-License-Identifier: Apache-2.0

/*
 * The network, in a worker of its own: LiteRT.js, one window after the other.
 *
 * in:  {id, prepare: true}         fetches the runtime, which `open` wants anyway
 *      {id, open: {bytes, inputShape, windowSamples, hopSamples, outputs, nOutputs}}
 *      {id, hear: waveform}       Float32Array of some neighbouring windows
 * out: {id, result, spent}  or  {id, error: {kind, message}}; a result of `hear` is an array, for each
 *      output, of the Float32Array(N · size) of its N windows; spent: its waveform, to be used again.
 *      {fetched: {bytes, build}}   of the runtime, so far
 */

import { counted } from "./counted.js";
import { messageOf } from "./errors.js";
import { alone } from "./once.js";
import { loadLiteRt, supportsFeature, Tensor } from "../vendor/litert.js";

const VENDOR = new URL("../vendor/", import.meta.url);

/* TypeScript knows `self` as that of any worker. */
const scope = /** @type {DedicatedWorkerGlobalScope} */ (/** @type {unknown} */ (self));

/**
 * @typedef {{number: number, size: number, names: string[]}} Output
 *
 * @typedef {{inputShape: number[], windowSamples: number, hopSamples: number}} Input
 *
 * @typedef {Input & {bytes: Uint8Array, outputs: Output[], nOutputs: number}} Opening
 */

/** @type {(Input & {model: import("../vendor/litert.js").CompiledModel, columns: number[]}) | null} */
let network = null;

scope.addEventListener("message", async ({ data }) => {
  try {
    const result = await answer(data);
    const spent = data.hear ?? null;
    scope.postMessage({ id: data.id, result, spent }, transferable(result, spent));
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    scope.postMessage({ id: data.id, error: { kind: "RuntimeError", message } });
  }
});

/** @param {{prepare?: boolean, open?: Opening, hear?: Float32Array}} request */
async function answer({ prepare, open: opening, hear: waveform }) {
  if (prepare) return { build: (await runtime()).build };
  return opening ? await open(opening) : await hear(/** @type {Float32Array} */ (waveform));
}

/** @param {Opening} opening */
async function open({ bytes, inputShape, windowSamples, hopSamples, outputs, nOutputs }) {
  const { liteRt, build } = await runtime();
  const model = await liteRt.loadAndCompile(bytes, { accelerator: "wasm" });
  const details = model.getOutputDetails();
  const columns = outputs.map((output) => columnOf(output, details, nOutputs));
  network = { model, inputShape, windowSamples, hopSamples, columns };
  // The first window is slower than all others: it is heard now, not when somebody waits for it.
  await hear(new Float32Array(windowSamples));
  return { build };
}

/**
 * Outputs are known to the runtime by name, and may come in another order than the file's.
 * @param {Output} output
 * @param {import("../vendor/litert.js").OutputDetails[]} details
 * @param {number} nOutputs
 */
function columnOf(output, details, nOutputs) {
  const found = details.findIndex(({ name }) => output.names.includes(name));
  if (found >= 0) return found;
  if (details.length === nOutputs && details[output.number].shape.at(-1) === output.size) return output.number;
  throw new Error(`the runtime does not know the output ${output.names[0]}`);
}

/** @param {Float32Array} waveform */
async function hear(waveform) {
  if (network === null) throw new Error("no model was opened");
  const { model, inputShape, windowSamples, hopSamples, columns } = network;
  const windows = 1 + Math.floor((waveform.length - windowSamples) / hopSamples);
  const heard = columns.map(() => /** @type {Float32Array[]} */ ([]));
  for (let window = 0; window < windows; window++) {
    const start = window * hopSamples;
    const input = new Tensor(waveform.subarray(start, start + windowSamples), inputShape);
    const outputs = await model.run([input]);
    input.delete();
    columns.forEach((column, index) => heard[index].push(outputs[column].toTypedArray()));
    for (const output of outputs) output.delete();
  }
  return heard.map(concatenated);
}

/** @type {ReturnType<typeof loadRuntime> | null} */
let loading = null;

/** The runtime; it is loaded once. */
function runtime() {
  loading ??= loadRuntime();
  return loading;
}

/**
 * LiteRT.js, in the build that this browser can run. Its own loader knows scripts only, and a module
 * worker takes none: so the build is imported as a module, and the loader finds it there.
 */
async function loadRuntime() {
  const hasRelaxedSimd = await supportsFeature("relaxedSimd");
  const name = hasRelaxedSimd ? "litert_wasm_internal" : "litert_wasm_compat_internal";
  const script = new URL(`${name}.js`, VENDOR).href;
  const { default: factory } = await alone(script, () => import(script));
  self.importScripts = () => {};
  // It would ask for a GPU that these networks are not run on.
  Object.defineProperty(self.navigator, "gpu", { value: undefined });
  self.ModuleFactory = factory;
  const silent = () => {};
  const { instantiateWasm, failed } = instantiating(`${name}.wasm`, hasRelaxedSimd ? "relaxed" : "compat");
  self.Module = { locateFile: (file) => new URL(file, VENDOR).href, print: silent, printErr: silent, instantiateWasm };
  const { warn } = console;
  console.warn = silent; // of the GPU, which was just taken from it
  try {
    return { liteRt: await Promise.race([loadLiteRt(VENDOR.href), failed]), build: name };
  } finally {
    console.warn = warn;
  }
}

/**
 * What Emscripten calls to have the module, here fetched so that its progress is known. It never asks whether that
 * failed: `failed` rejects then.
 * @param {string} file
 * @param {string} build
 */
function instantiating(file, build) {
  /** @type {(reason: unknown) => void} */
  let fail = () => {};
  /** @type {Promise<never>} */
  const failed = new Promise((_, reject) => (fail = reject));
  /** @type {(imports: WebAssembly.Imports, done: (instance: WebAssembly.Instance, module: WebAssembly.Module) => void) => object} */
  const instantiateWasm = (imports, done) => {
    const url = new URL(file, VENDOR);
    const onBytes = (/** @type {number} */ bytes) => scope.postMessage({ fetched: { bytes, build } });
    alone(url, async () => WebAssembly.instantiateStreaming(wasm(counted(await fetch(url), onBytes)), imports))
      .then(({ instance, module }) => done(instance, module))
      .catch((error) => fail(new Error(`${file}: ${messageOf(error)}`)));
    return {};
  };
  return { instantiateWasm, failed };
}

/** @param {ReadableStream} body of a server that may know nothing of this type */
function wasm(body) {
  return new Response(body, { headers: { "Content-Type": "application/wasm" } });
}

/** @param {Float32Array[]} arrays */
function concatenated(arrays) {
  const all = new Float32Array(arrays.reduce((sum, array) => sum + array.length, 0));
  let at = 0;
  for (const array of arrays) {
    all.set(array, at);
    at += array.length;
  }
  return all;
}

/**
 * @param {{build: string} | Float32Array<ArrayBuffer>[]} result
 * @param {Float32Array<ArrayBuffer> | null} spent
 */
function transferable(result, spent) {
  return [...(Array.isArray(result) ? result : []), ...(spent ? [spent] : [])].map((array) => array.buffer);
}
