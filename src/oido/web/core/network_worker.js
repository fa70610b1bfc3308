// SPDX-License-Identifier: Apache-2.0

/*
 * The network, in a worker of its own: LiteRT.js, one window after the other.
 *
 * in:  {id, open: {bytes, inputShape, windowSamples, hopSamples, outputs, nOutputs}}
 *      {id, hear: waveform}       Float32Array of some neighbouring windows
 * out: {id, result}  or  {id, error: {kind, message}}; a result of `hear` is an array, for each
 *      output, of the Float32Array(N · size) of its N windows.
 */

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
    const result = data.open ? await open(data.open) : await hear(data.hear);
    scope.postMessage({ id: data.id, result }, transferable(result));
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    scope.postMessage({ id: data.id, error: { kind: "RuntimeError", message } });
  }
});

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
    const input = new Tensor(waveform.slice(start, start + windowSamples), inputShape);
    const outputs = await model.run([input]);
    input.delete();
    columns.forEach((column, index) => heard[index].push(outputs[column].toTypedArray()));
    for (const output of outputs) output.delete();
  }
  return heard.map(concatenated);
}

/**
 * LiteRT.js, in the build that this browser can run. Its own loader knows scripts only, and a module
 * worker takes none: so the build is imported as a module, and the loader finds it there.
 */
async function runtime() {
  const build = (await supportsFeature("relaxedSimd")) ? "litert_wasm_internal" : "litert_wasm_compat_internal";
  const { default: factory } = await import(new URL(`${build}.js`, VENDOR).href);
  self.importScripts = () => {};
  // It would ask for a GPU that these networks are not run on.
  Object.defineProperty(self.navigator, "gpu", { value: undefined });
  self.ModuleFactory = factory;
  const silent = () => {};
  self.Module = { locateFile: (file) => new URL(file, VENDOR).href, print: silent, printErr: silent };
  const { warn } = console;
  console.warn = silent; // of the GPU, which was just taken from it
  try {
    return { liteRt: await loadLiteRt(VENDOR.href), build };
  } finally {
    console.warn = warn;
  }
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

/** @param {{build: string} | Float32Array<ArrayBuffer>[]} result */
function transferable(result) {
  return Array.isArray(result) ? result.map((array) => array.buffer) : [];
}
