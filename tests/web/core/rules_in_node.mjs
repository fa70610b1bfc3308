// SPDX-License-Identifier: Apache-2.0

/* node rules_in_node.mjs VECTORS CORE...: prints what differs in each of the folders, as JSON. */

import { readFile } from "node:fs/promises";
import { pathToFileURL } from "node:url";

import { FILES, NAMES, differences } from "./rules.mjs";

const [vectors, ...folders] = process.argv.slice(2);
const texts = await Promise.all(NAMES.map((name) => readFile(`${vectors}/${name}.json`, "utf8")));
const examples = Object.fromEntries(NAMES.map((name, index) => [name, JSON.parse(texts[index])]));
const found = [];
for (const core of folders) {
  const loaded = await Promise.all(FILES.map((file) => import(pathToFileURL(`${core}/${file}.js`).href)));
  found.push(differences({ modules: Object.assign({}, ...loaded), examples }));
}
console.log(JSON.stringify(found));
