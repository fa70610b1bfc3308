// SPDX-License-Identifier: Apache-2.0

/* Which model hears, and where: on this device or on the server. */

import { OidoError, kindOf } from "../core/errors.js";
import { openServer } from "../engines/server.js";
import { byId } from "./elements.js";
import { onLanguage, setTranslations, t } from "./language.js";
import { recall, recallToken, remember, rememberToken } from "./memory.js";

/** @import { Choice, Engine, ListedModel, Model, OwnModel, PageFacts, Place } from "../types.js" */

const BASE = new URL("./", document.baseURI);

const select = byId("model", HTMLSelectElement);
/** @type {NodeListOf<HTMLInputElement>} */
const radios = document.querySelectorAll('input[name="where"]');
const modelField = select.closest("div") ?? select;
const tokenForm = byId("token-form");

export class Choices {
  /** @type {PageFacts | null} */
  #page = null;
  /** @type {ListedModel[]} */
  #models = [];
  /** @type {OwnModel | null} */
  #own = null;
  /** What was chosen, also while a model cannot. @type {Place} */
  #wanted = recall("where") === "server" ? "server" : "device";
  /** @type {Place} */
  #where = "device";
  /** The last that was opened here. @type {{model: Model, opening: Promise<Engine>} | null} */
  #device = null;
  /** @type {Promise<boolean> | null} */
  #loading = null;
  #onChange;
  #onTrouble;

  /**
   * onChange(): another model or place; onTrouble(error): nothing can be chosen from; null: that is over.
   * @param {{onChange: () => void, onTrouble: (error: unknown) => void}} handlers
   */
  constructor({ onChange, onTrouble }) {
    this.#onChange = onChange;
    this.#onTrouble = onTrouble;
    select.addEventListener("change", () => this.#choose());
    for (const radio of radios) {
      radio.addEventListener("change", () => {
        remember("where", radio.value);
        this.#wanted = placeOf(radio);
        this.#choose();
      });
    }
    tokenForm.addEventListener("submit", async (event) => {
      event.preventDefault();
      rememberToken(byId("token", HTMLInputElement).value);
      if (await this.load()) this.#onChange();
    });
    const ownFile = byId("own-model-file", HTMLInputElement);
    byId("own-model").addEventListener("click", () => ownFile.click());
    ownFile.addEventListener("change", () => {
      const [file] = ownFile.files ?? [];
      if (file) this.useOwn(file);
      ownFile.value = "";
    });
    onLanguage(() => this.#render());
  }

  /** Reads what there is to choose from. Gives whether it could. */
  load() {
    this.#loading = this.#load();
    return this.#loading;
  }

  /** A promise of the end of the last `load`. */
  get loaded() {
    return this.#loading;
  }

  get language() {
    return this.#page?.locale ?? null;
  }

  get isReady() {
    return this.#models.length > 0 || this.#own !== null;
  }

  /** Whether what is opened or listened to now goes to the server. */
  get isSending() {
    return this.isReady && this.#where === "server";
  }

  /** What is chosen, once `isReady`. @returns {Choice} */
  get choice() {
    const model = this.#model;
    if (model === null) throw new OidoError("OptionError", "there is no model to choose");
    return { where: this.#where, model };
  }

  /**
   * Whether an earlier choice is what is chosen now.
   * @param {Choice} choice
   */
  isChosen({ where, model }) {
    return where === this.#where && isSame(model, this.#model);
  }

  /** Who gets the audio, as the badge calls it. */
  get serverName() {
    return BASE.host;
  }

  /**
   * A model that somebody dropped: it is heard on this device.
   * @param {File} file
   */
  async useOwn(file) {
    await this.#loading;
    if (!this.#hasDevice) {
      this.#onTrouble(new OidoError("DeviceError", ""));
      return;
    }
    /** @type {OwnModel} */
    const own = { name: file.name, file, calibrated: null };
    this.#own = own;
    this.#fill();
    select.value = file.name;
    this.#choose(); // at once: what is pressed next must not go to the server
    own.calibrated = await isCalibrated(file);
    this.#render();
  }

  /**
   * The engine for a choice. On this device the last one stays open until another is wanted, and is closed
   * then, so what it hears must be over or given up. onProgress: 0..1
   * @param {Choice} choice
   * @param {(share: number) => void} [onProgress]
   * @returns {Promise<Engine>}
   */
  async engine({ where, model }, onProgress = () => {}) {
    if (where === "server" && !model.file) {
      this.#close();
      return openServer({ model, base: BASE, token: recallToken() });
    }
    if (this.#device === null || !isSame(this.#device.model, model)) {
      this.#close();
      this.#device = { model, opening: this.#openDevice(model, onProgress) };
    }
    const device = this.#device;
    try {
      return await device.opening;
    } catch (error) {
      if (this.#device === device) this.#device = null;
      throw error;
    }
  }

  /** The server takes no audio without the token. */
  refused() {
    this.#askToken();
    this.#onTrouble(new OidoError("AccessError", recallToken() ? "a wrong token" : "no token"));
  }

  /** @returns {Model | null} */
  get #model() {
    if (this.#own && select.value === this.#own.name) return this.#own;
    return this.#models.find((model) => model.name === select.value) ?? this.#models[0] ?? null;
  }

  /** Whether this installation has what hears on the device; an exported page always has. */
  get #hasDevice() {
    return this.#page !== null && (this.#page.mode === "device" || this.#page.device === true);
  }

  /** @param {Place} where */
  #can(where) {
    const model = this.#model;
    if (where === "server") return this.#page?.mode === "server" && !model?.file;
    return this.#hasDevice && Boolean(model?.file || model?.url);
  }

  async #load() {
    try {
      const page = await fetched("page.json");
      this.#page = page;
      await loadNames(page);
      this.#models = await listed(page);
    } catch (error) {
      if (kindOf(error) === "AccessError") {
        this.#models = [];
        this.#askToken();
      }
      this.#onTrouble(error);
      return false;
    }
    tokenForm.hidden = true;
    this.#fill();
    this.#settle();
    this.#render();
    this.#onTrouble(null);
    return true;
  }

  /** The place that was chosen, where the model allows it, or else the other. */
  #settle() {
    /** @type {Place[]} */
    const places = [this.#wanted, "device", "server"];
    this.#where = places.find((where) => this.#can(where)) ?? "device";
  }

  #choose() {
    this.#settle();
    const model = this.#model;
    if (model && !model.file) remember("model", model.name);
    this.#render();
    this.#onChange();
  }

  #close() {
    this.#device?.opening.then((engine) => engine.close()).catch(() => {});
    this.#device = null;
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
    const known = model.file ? {} : { imageSamples: model.imageSamples, kinship: model.kinship };
    const engine = await openDevice({ ...source, ...known, name: model.name, onProgress });
    // Of a model of somebody's own no more is known than of one with the same labels.
    if (model.file) engine.info.kinship = this.#kinshipOf(engine.info.labels);
    return engine;
  }

  /** @param {string[]} labels */
  #kinshipOf(labels) {
    return this.#models.find((model) => model.labels.join("\n") === labels.join("\n"))?.kinship ?? null;
  }

  /**
   * Where the device has the model from; one behind a token is fetched here.
   * @param {Model} model
   * @returns {Promise<{modelBytes: ArrayBuffer} | {modelUrl: string}>}
   */
  async #source(model) {
    if (model.file) return { modelBytes: await model.file.arrayBuffer() };
    if (!model.url) throw new OidoError("ModelFetchError", `${model.name} has no file for a browser`);
    const url = new URL(model.url, BASE);
    if (!this.#page?.token) return { modelUrl: url.href };
    const response = await fetch(url, { headers: bearer() });
    if (!response.ok) throw new OidoError("ModelFetchError", `${model.name}: ${response.status}`);
    return { modelBytes: await response.arrayBuffer() };
  }

  #askToken() {
    tokenForm.hidden = false;
    this.#render();
    byId("token").focus();
  }

  #fill() {
    const before = [select.value, recall("model") ?? ""];
    const names = this.#models.map((model) => model.name);
    if (this.#own) names.push(this.#own.name);
    select.replaceChildren(...names.map((name) => new Option(name, name)));
    const name = before.find((each) => names.includes(each));
    if (name !== undefined) select.value = name;
  }

  #render() {
    const { isReady } = this;
    for (const id of ["where", "model-about"]) byId(id).hidden = !isReady;
    modelField.hidden = !isReady;
    byId("own-model").hidden = !isReady || !this.#hasDevice;
    if (!isReady) return;
    byId("where").hidden = this.#page?.mode !== "server";
    for (const radio of radios) {
      radio.checked = radio.value === this.#where;
      radio.disabled = !this.#can(placeOf(radio));
    }
    byId("model-about").textContent = this.#about();
  }

  #about() {
    const model = this.#model;
    if (model === null || model.calibrated === null) return "";
    const kind = t(model.calibrated ? "aboutCalibrated" : "about");
    if (this.#page?.mode === "server" && !this.#hasDevice) return `${t("deviceMissing")} ${kind}`;
    if (!this.#can("device")) return `${t("deviceNoFile", { model: model.name })} ${kind}`;
    return kind;
  }
}

/**
 * The same model, also after the list was read again.
 * @param {Model | null} one
 * @param {Model | null} other
 */
function isSame(one, other) {
  return one?.name === other?.name && one?.file === other?.file && one?.url === other?.url;
}

/** @param {HTMLInputElement} radio */
function placeOf(radio) {
  return radio.value === "server" ? "server" : "device";
}

/**
 * Whether a model's results are probabilities; null where its metadata cannot be read, which opening it explains.
 * @param {File} file
 */
async function isCalibrated(file) {
  try {
    const { readModel } = await import("../core/model.js");
    const { head } = await readModel(new Uint8Array(await file.arrayBuffer()));
    return head.calibration !== null;
  } catch {
    return null;
  }
}

/**
 * The models of a page.
 * @param {PageFacts} page
 * @returns {Promise<ListedModel[]>}
 */
async function listed(page) {
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
async function loadNames(page) {
  /** @type {Record<string, Record<string, string>>} */
  const names = {};
  for (const [language, url] of Object.entries(page.names ?? {})) names[language] = await fetched(url);
  setTranslations(names);
}

function bearer() {
  const token = recallToken();
  return new Headers(token ? { Authorization: `Bearer ${token}` } : {});
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
