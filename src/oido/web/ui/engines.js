// SPDX-License-Identifier: Apache-2.0

/*
 * What runs the models: the server, and those that are open on this device. One of these stays open as long as
 * somebody hears by it, and the last of them until another is wanted.
 */

import { OidoError } from "../core/errors.js";
import { recallToken } from "./memory.js";
import { bytesOfModel } from "./own_models.js";

/** @import { openDevice } from "../core/device_engine.js" */
/** @import { Choice, Engine, ListedModel, Model, PageFacts } from "../types.js" */

const BASE = new URL("./", document.baseURI);

/** release: it is not heard by any more. @typedef {{engine: Engine, release: () => void}} Lease */

/** @typedef {{model: Model, opening: Promise<Engine>, users: number}} Open */

export class Engines {
  /** The last is the one that was wanted last. @type {Open[]} */
  #open = [];
  #facts;

  /**
   * facts: what the page knows of its models, at any time.
   * @param {() => {page: PageFacts | null, models: ListedModel[]}} facts
   */
  constructor(facts) {
    this.#facts = facts;
  }

  /**
   * The engine for a choice, open. onProgress: 0..1
   * @param {Choice} choice
   * @param {(share: number) => void} [onProgress]
   * @returns {Promise<Lease>}
   */
  async lease({ where, model }, onProgress = () => {}) {
    if (where === "server" && !model.file) {
      const { openServer } = await import("../engines/server.js");
      return { engine: await openServer({ model, base: BASE, token: recallToken() }), release: () => {} };
    }
    const known = this.#open.find((each) => isSameModel(each.model, model));
    const one = known ?? { model, opening: this.#openDevice(model, onProgress), users: 0 };
    this.#open = [...this.#open.filter((each) => each !== one), one];
    one.users += 1;
    this.#tidy();
    let isUsed = true;
    const release = () => {
      if (isUsed) one.users -= 1;
      isUsed = false;
      this.#tidy();
    };
    try {
      return { engine: await one.opening, release };
    } catch (error) {
      this.#open = this.#open.filter((each) => each !== one);
      throw naming(error, model);
    }
  }

  /** Closes what nobody hears by, but not the last. */
  #tidy() {
    const last = this.#open.at(-1);
    for (const one of this.#open) {
      if (one.users === 0 && one !== last) one.opening.then((engine) => engine.close()).catch(() => {});
    }
    this.#open = this.#open.filter((one) => one.users > 0 || one === last);
  }

  /**
   * @param {Model} model
   * @param {(share: number) => void} onProgress
   * @returns {Promise<Engine>}
   */
  async #openDevice(model, onProgress) {
    if (typeof WebAssembly !== "object") throw new OidoError("NoWebAssembly", "no WebAssembly");
    const { openDevice } = await import("../core/device_engine.js");
    const source = await this.#source(model);
    const known = model.file
      ? {}
      : { imageSamples: model.imageSamples, kinship: model.kinship, modelLength: model.bytes };
    const runtimeLengths = this.#facts().page?.runtimeBytes ?? null;
    const engine = await openDevice({ ...source, ...known, name: model.name, runtimeLengths, onProgress });
    if (model.file) this.#compare(engine);
    return engine;
  }

  /**
   * Of a model of somebody's own no more is known than of one with the same labels, or with the first of them, behind
   * which others were taught here.
   * @param {Awaited<ReturnType<typeof openDevice>>} engine
   */
  #compare({ info, ownColumns }) {
    const begins = (/** @type {ListedModel} */ { labels }) => labels.every((label, at) => label === info.labels[at]);
    const base = this.#facts().models.filter(begins).sort((a, b) => b.labels.length - a.labels.length)[0];
    if (!base) return;
    const more = info.labels.slice(base.labels.length).map(() => []);
    const { kinship, imageSamples } = base;
    info.kinship = kinship && { ancestors: [...kinship.ancestors, ...more], parents: [...kinship.parents, ...more] };
    if (more.length === 0 || ownColumns === 0) return;
    info.columns = ownColumns;
    info.imageSamples = imageSamples;
  }

  /**
   * The file of a model, to teach it more.
   * @param {Model} model
   */
  async bytesOf(model) {
    const source = await this.#source(model);
    if ("modelBytes" in source) return new Uint8Array(source.modelBytes);
    const response = await fetch(source.modelUrl).catch(() => null);
    if (!response?.ok) throw naming(new OidoError("ModelFetchError", `${model.name} could not be fetched`), model);
    return new Uint8Array(await response.arrayBuffer());
  }

  /**
   * Where the device has the model from; one behind a token is fetched here.
   * @param {Model} model
   * @returns {Promise<{modelBytes: ArrayBuffer} | {modelUrl: string}>}
   */
  async #source(model) {
    if (model.file) return { modelBytes: await bytesOfModel({ name: model.name, file: model.file }) };
    if (!model.url) throw new OidoError("ModelFetchError", `${model.name} has no file for a browser`);
    const url = new URL(model.url, BASE);
    if (!this.#facts().page?.token) return { modelUrl: url.href };
    const response = await fetch(url, { headers: bearer() });
    if (!response.ok) throw new OidoError("ModelFetchError", `${model.name}: ${response.status}`);
    return { modelBytes: await response.arrayBuffer() };
  }
}

/**
 * An error, with the name of its model.
 * @param {unknown} error
 * @param {Model} model
 */
function naming(error, { name }) {
  if (error instanceof OidoError) error.about = name;
  return error;
}

/** What a server with a token wants with each request. */
export function bearer() {
  const token = recallToken();
  return new Headers(token ? { Authorization: `Bearer ${token}` } : {});
}

/**
 * The same model, also after the list was read again.
 * @param {Model | null} one
 * @param {Model | null} other
 */
export function isSameModel(one, other) {
  return one?.name === other?.name && one?.file === other?.file && one?.url === other?.url;
}
