// SPDX-License-Identifier: Apache-2.0

/* Which model hears, and where: on this device or on the server. */

import { openServer } from "../engines/server.js";
import { OidoError } from "../core/errors.js";
import { onLanguage, setTranslations, t } from "./language.js";
import { recall, recallToken, remember, rememberToken } from "./memory.js";

const BASE = new URL("./", document.baseURI);

const byId = (id) => document.getElementById(id);
const select = byId("model");
const radios = [...document.querySelectorAll('input[name="where"]')];
const tokenForm = byId("token-form");

export class Choices {
  #page = null; // page.json
  #models = [];
  #own = null; // {name, file} of the user
  #wanted = recall("where") === "server" ? "server" : "device"; // what was chosen, also while a model cannot
  #where = "device";
  #device = null; // {model, opening: a promise of its engine}: the last that was opened here
  #loading = null;
  #onChange;
  #onTrouble;

  /** onChange(): another model or place; onTrouble(error): nothing can be chosen from; null: that is over. */
  constructor({ onChange, onTrouble }) {
    this.#onChange = onChange;
    this.#onTrouble = onTrouble;
    select.addEventListener("change", () => this.#choose());
    for (const radio of radios) {
      radio.addEventListener("change", () => {
        remember("where", radio.value);
        this.#wanted = radio.value;
        this.#choose();
      });
    }
    tokenForm.addEventListener("submit", async (event) => {
      event.preventDefault();
      rememberToken(byId("token").value);
      if (await this.load()) this.#onChange();
    });
    byId("own-model").addEventListener("click", () => byId("own-model-file").click());
    byId("own-model-file").addEventListener("change", ({ target }) => {
      if (target.files.length) this.useOwn(target.files[0]);
      target.value = "";
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

  /** What is chosen: {where: "device" or "server", model}. */
  get choice() {
    return { where: this.#where, model: this.#model };
  }

  /** Whether an earlier choice is what is chosen now. */
  isChosen({ where, model }) {
    return where === this.#where && isSame(model, this.#model);
  }

  /** Who gets the audio, as the badge calls it. */
  get serverName() {
    return BASE.host;
  }

  /** A model that somebody dropped: it is heard on this device. */
  async useOwn(file) {
    await this.#loading;
    if (!this.#hasDevice) {
      this.#onTrouble(new OidoError("DeviceError", "", {}));
      return;
    }
    this.#own = { name: file.name, file };
    this.#fill();
    select.value = file.name;
    this.#choose();
  }

  /**
   * The engine for a choice. On this device the last one stays open until another is wanted, and is closed
   * then, so what it hears must be over or given up. onProgress: 0..1
   */
  async engine({ where, model }, onProgress = () => {}) {
    if (where === "server") {
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

  get #model() {
    if (this.#own && select.value === this.#own.name) return this.#own;
    return this.#models.find((model) => model.name === select.value) ?? this.#models[0];
  }

  /** Whether this installation has what hears on the device; an exported page always has. */
  get #hasDevice() {
    return this.#page !== null && (this.#page.mode === "device" || this.#page.device === true);
  }

  #can(where) {
    const model = this.#model;
    if (where === "server") return this.#page?.mode === "server" && !model?.file;
    return this.#hasDevice && Boolean(model?.file || model?.url);
  }

  async #load() {
    try {
      this.#page = await fetched("page.json");
      await this.#loadNames();
      this.#models = await this.#listed();
    } catch (error) {
      if (error.kind === "AccessError") {
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
    this.#where = [this.#wanted, "device", "server"].find((where) => this.#can(where)) ?? "device";
  }

  #choose() {
    this.#settle();
    if (!this.#model.file) remember("model", this.#model.name);
    this.#render();
    this.#onChange();
  }

  #close() {
    this.#device?.opening.then((engine) => engine.close()).catch(() => {});
    this.#device = null;
  }

  async #openDevice(model, onProgress) {
    if (typeof WebAssembly !== "object") throw new OidoError("NoWebAssembly", "no WebAssembly");
    const { openDevice } = await import("../core/device_engine.js");
    const source = await this.#source(model);
    const engine = await openDevice({ ...source, name: model.name, onProgress });
    if (source.modelUrl) import("../core/register.js").then(({ keepModel }) => keepModel(source.modelUrl));
    return engine;
  }

  /** Where the device has the model from; one behind a token is fetched here. */
  async #source(model) {
    if (model.file) return { modelBytes: await model.file.arrayBuffer() };
    const url = new URL(model.url, BASE);
    if (!this.#page.token) return { modelUrl: url.href };
    const response = await fetch(url, { headers: bearer() });
    if (!response.ok) throw new OidoError("ModelFetchError", `${model.name}: ${response.status}`);
    return { modelBytes: await response.arrayBuffer() };
  }

  async #listed() {
    if (this.#page.mode !== "server") return this.#page.models;
    if (this.#page.token && !recallToken()) throw new OidoError("AccessError", "no token");
    try {
      return (await fetched("web/models.json", bearer())).models;
    } catch (error) {
      // Without a network, what this device has is still there.
      if (error.kind === "AccessError" || !this.#page.models.length) throw error;
      return this.#page.models;
    }
  }

  async #loadNames() {
    const names = {};
    for (const [language, url] of Object.entries(this.#page.names ?? {})) names[language] = await fetched(url);
    setTranslations(names);
  }

  #askToken() {
    tokenForm.hidden = false;
    this.#render();
    byId("token").focus();
  }

  #fill() {
    const before = [select.value, recall("model")];
    const names = this.#models.map((model) => model.name);
    if (this.#own) names.push(this.#own.name);
    select.replaceChildren(...names.map((name) => new Option(name, name)));
    const name = before.find((each) => names.includes(each));
    if (name !== undefined) select.value = name;
  }

  #render() {
    const { isReady } = this;
    for (const id of ["where", "model-about"]) byId(id).hidden = !isReady;
    select.closest(".field").hidden = !isReady;
    byId("own-model").hidden = !isReady || !this.#hasDevice;
    if (!isReady) return;
    byId("where").hidden = this.#page.mode !== "server";
    for (const radio of radios) {
      radio.checked = radio.value === this.#where;
      radio.disabled = !this.#can(radio.value);
    }
    byId("model-about").textContent = this.#about();
  }

  #about() {
    const model = this.#model;
    if (this.#page.mode === "server" && !this.#hasDevice) return t("deviceMissing");
    if (!this.#can("device")) return t("deviceNoFile", { model: model.name });
    return t(model.calibrated ? "aboutCalibrated" : "about");
  }
}

/** The same model, also after the list was read again. */
function isSame(one, other) {
  return one?.name === other?.name && one?.file === other?.file && one?.url === other?.url;
}

function bearer() {
  const token = recallToken();
  return token ? { Authorization: `Bearer ${token}` } : {};
}

async function fetched(url, headers = {}) {
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
