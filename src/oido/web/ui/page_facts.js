// SPDX-License-Identifier: Apache-2.0

/* What the page knows of itself, and of what it can hear by: page.json, and what that names. */

import { OidoError, kindOf } from "../core/errors.js";
import { bearer } from "./engines.js";
import { setFamilies } from "./families.js";
import { setTranslations } from "./language.js";
import { recallToken } from "./memory.js";

/** @import { ListedModel, PageFacts } from "../types.js" */

const BASE = new URL("./", document.baseURI);

/** @returns {Promise<PageFacts>} */
export function pageFacts() {
  return fetched("page.json");
}

/**
 * The models of a page.
 * @param {PageFacts} page
 * @returns {Promise<ListedModel[]>}
 */
export async function listedModels(page) {
  if (page.mode !== "server") return page.models;
  if (page.token && !recallToken()) throw new OidoError("AccessError", "no token");
  try {
    return (await fetched("web/models.json", bearer())).models;
  } catch (error) {
    // Without a network, what this device has is still there.
    if (kindOf(error) === "AccessError" || !page.models.length) throw error;
    return page.models;
  }
}

/** @param {PageFacts} page */
export async function loadNames(page) {
  /** @type {Record<string, Record<string, string>>} */
  const names = {};
  for (const [language, url] of Object.entries(page.names ?? {})) names[language] = await fetched(url);
  setTranslations(names);
  if (page.families) setFamilies(await fetched(page.families));
}

/**
 * JSON of this server, of a shape that its caller knows.
 * @param {string} url
 * @param {Headers} [headers]
 */
async function fetched(url, headers = new Headers()) {
  let response;
  try {
    response = await fetch(new URL(url, BASE), { headers });
  } catch (error) {
    throw new OidoError("GoneError", "the server does not answer", { cause: error });
  }
  if (response.status === 401) throw new OidoError("AccessError", "a wrong token");
  if (!response.ok) throw new OidoError("GoneError", `${url}: ${response.status}`);
  return response.json();
}
