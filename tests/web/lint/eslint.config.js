// SPDX-License-Identifier: Apache-2.0
/* The style of src/oido/web, run from the repository's root: `make lint-web`. */

import js from "@eslint/js";
import globals from "globals";

const WEB = "src/oido/web";

/** No import from these folders of web/. */
const without = (...folders) => [
  "error",
  { patterns: folders.map((folder) => ({ group: [`**/${folder}/**`], message: `a lower layer knows no ${folder}/` })) },
];

export default [
  { ignores: [`${WEB}/vendor/`] },
  js.configs.recommended,
  {
    files: [`${WEB}/**/*.js`],
    languageOptions: { ecmaVersion: 2024, sourceType: "module", globals: globals.browser },
    linterOptions: { reportUnusedDisableDirectives: "error" },
    rules: {
      "no-unused-vars": "error",
      eqeqeq: ["error", "always", { null: "ignore" }],
      "prefer-const": "error",
      "no-var": "error",
      "no-shadow": ["error", { builtinGlobals: false }],
      "no-implicit-globals": "error",
    },
  },
  { files: [`${WEB}/core/**/*.js`], rules: { "no-restricted-imports": without("engines", "ui") } },
  { files: [`${WEB}/engines/**/*.js`], rules: { "no-restricted-imports": without("ui") } },
  { files: [`${WEB}/core/network_worker.js`], languageOptions: { globals: globals.worker } },
  {
    files: [`${WEB}/core/microphone_worklet.js`],
    languageOptions: { globals: { AudioWorkletProcessor: "readonly", registerProcessor: "readonly" } },
  },
  {
    files: [`${WEB}/sw.js`],
    languageOptions: { sourceType: "script", globals: globals.serviceworker },
    rules: { "no-implicit-globals": "off" },
  },
];
