// SPDX-License-Identifier: Apache-2.0

/* node export_in_node.mjs CORE BASE HEAD OUT: writes the .tflite of a head (JSON) behind a base; prints what is wrong. */

import { readFile, writeFile } from "node:fs/promises";
import { pathToFileURL } from "node:url";

const [core, base, described, out] = process.argv.slice(2);
const { taughtModel } = await import(pathToFileURL(`${core}/head_export.js`).href);
const { weights, bias, squareRoot, ...options } = JSON.parse(await readFile(described, "utf8"));
const head = { weights: weights.map((row) => Float32Array.from(row)), bias: Float32Array.from(bias), squareRoot };
try {
  await writeFile(out, await taughtModel(new Uint8Array(await readFile(base)), { head, ...options }));
} catch (error) {
  console.log(`${error.kind}: ${error.message}`);
}
