// SPDX-License-Identifier: Apache-2.0

/* node rules_in_node.mjs CORE VECTORS: prints what differs, as JSON. */

import { readFile } from "node:fs/promises";
import { pathToFileURL } from "node:url";

import { FILES, NAMES, differences } from "./rules.mjs";

const [core, vectors] = process.argv.slice(2);
const loaded = await Promise.all(FILES.map((file) => import(pathToFileURL(`${core}/${file}.js`).href)));
const texts = await Promise.all(NAMES.map((name) => readFile(`${vectors}/${name}.json`, "utf8")));
const examples = Object.fromEntries(NAMES.map((name, index) => [name, JSON.parse(texts[index])]));
console.log(JSON.stringify(differences({ modules: Object.assign({}, ...loaded), examples })));
