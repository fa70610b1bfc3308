// SPDX-License-Identifier: Apache-2.0
// The texts of the review: its own beside those of the other page, and before them.

import * as language from "../ui/language.js";
import { WORDS } from "../ui/words.js";
import { REVIEW_WORDS } from "./words.js";

/** @typedef {keyof typeof WORDS.en | keyof typeof REVIEW_WORDS.en} ReviewKey of a text */

Object.assign(WORDS.en, REVIEW_WORDS.en);
Object.assign(WORDS.es, REVIEW_WORDS.es);

/** A text by its key, its values filled in. */
export const t = /** @type {(key: ReviewKey, values?: language.Values) => string} */ (
  /** @type {unknown} */ (language.t)
);
