// SPDX-License-Identifier: Apache-2.0

/* Which model hears, and where: on this device or on the server. */

import { OidoError, kindOf } from "../core/errors.js";
import { byId } from "./elements.js";
import { Engines, isSameModel } from "./engines.js";
import { onLanguage, t } from "./language.js";
import { recall, recallToken, remember, rememberToken } from "./memory.js";
import { TAUGHT_MODEL, bytesOfModel, forgetModel, headOf, keepModel, keptModels } from "./own_models.js";
import { listedModels, loadNames, pageFacts } from "./page_facts.js";

/** @import { Choice, ListedModel, Model, OwnModel, PageFacts, Place } from "../types.js" */

const BASE = new URL("./", document.baseURI);

/** @type {string[]} */
const NO_LABELS = [];

const select = byId("model", HTMLSelectElement);
/** @type {NodeListOf<HTMLInputElement>} */
const radios = document.querySelectorAll('input[name="where"]');
const modelField = select.closest("div") ?? select;
const tokenForm = byId("token-form");

/**
 * error: it cannot be heard by, and is not there. isKept: whether it is there after a reload. undo: it was taken away;
 * null: for good.
 * @typedef {{name: string, error?: unknown, isKept?: boolean,
 *   undo?: (() => void) | null}} OwnNews
 */

export class Choices {
  /** @type {PageFacts | null} */
  #page = null;
  /** @type {ListedModel[]} */
  #models = [];
  /** @type {OwnModel[]} */
  #own = [];
  /** The one that is being opened, to see whether it can be heard by. @type {OwnModel | null} */
  #tried = null;
  /** What was chosen, also while a model cannot. @type {Place} */
  #wanted = recall("where") === "server" ? "server" : "device";
  /** @type {Place} */
  #where = "device";
  /** @type {Promise<boolean> | null} */
  #loading = null;
  #onChange;
  #onTrouble;
  #onOwn;
  engines = new Engines(() => ({ page: this.#page, models: this.#models }));

  /**
   * onChange(): another model or place; onTrouble(error): nothing can be chosen from; null: that is over. onOwn: what
   * became of a model that was brought, or taken away.
   * @param {{onChange: () => void, onTrouble: (error: unknown) => void, onOwn: (told: OwnNews) => void}} handlers
   */
  constructor({ onChange, onTrouble, onOwn }) {
    this.#onChange = onChange;
    this.#onTrouble = onTrouble;
    this.#onOwn = onOwn;
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
    byId("own-remove").addEventListener("click", () => {
      const model = this.#model;
      if (model?.file) this.#removeOwn(model);
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

  get isReady() {
    return this.#models.length > 0 || this.#own.length > 0;
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
   * A model that can be chosen, or null.
   * @param {string} name
   * @returns {Model | null}
   */
  named(name) {
    return [...this.#own, ...this.#models].find((model) => model.name === name) ?? null;
  }

  /**
   * The model that sounds are taught to: the chosen one, or of the one that was made so, what it was made of; or else the
   * first that has a file for this device.
   * @returns {Model | null}
   */
  get teachable() {
    if (!this.#hasDevice) return null;
    const chosen = this.#model;
    const model = chosen?.name === TAUGHT_MODEL ? this.named(recall("taughtOn") ?? "") : chosen;
    if (model && (model.file || model.url)) return model;
    return this.#models.find(({ url }) => url) ?? null;
  }

  /** What sounds are taught to, and its file, whose key no other has. */
  async teachableBase() {
    const model = this.teachable;
    if (model === null) throw new OidoError("ModelFetchError", "there is no model to teach");
    remember("taughtOn", model.name);
    const { name, file } = model;
    const key = file ? `${name} ${file.size} ${file.lastModified}` : (model.url ?? name);
    return { name, key, bytes: await this.engines.bytesOf(model) };
  }

  /**
   * Takes a model of somebody's own away, if it is there.
   * @param {string} name
   */
  forgetOwn(name) {
    const model = this.#own.find((each) => each.name === name);
    if (model) this.#removeOwn(model);
  }

  /** Of the model that is chosen; none of one of somebody's own that was not opened yet. */
  get labels() {
    const model = this.#model;
    return model?.labels ?? NO_LABELS;
  }

  /** Recordings that come with the page, by their addresses. */
  get examples() {
    return this.isReady ? (this.#page?.examples ?? []) : [];
  }

  /** What is true of the choice: for the first screen. */
  get promise() {
    const isHere = this.isReady && this.#where === "device";
    const isKept = this.#page?.models.some(({ url }) => url && url === this.#model?.url) === true;
    const isOffline = isHere && "serviceWorker" in navigator && (isKept || this.#model?.file !== undefined);
    return { nSounds: this.isReady ? this.labels.length : 0, isOffline, isHere };
  }

  /**
   * Whether an earlier choice is what is chosen now.
   * @param {Choice} choice
   */
  isChosen({ where, model }) {
    return where === this.#where && isSameModel(model, this.#model);
  }

  /** Who gets the audio, as the badge calls it. */
  get serverName() {
    return BASE.host;
  }

  /**
   * A model that somebody dropped: it is heard on this device, if it can be. One that cannot is refused at once, and
   * what was chosen before stays.
   * @param {File} file
   * @returns {Promise<unknown>} why it is refused; undefined: it is not
   */
  async useOwn(file) {
    await this.#loading;
    if (!this.#hasDevice) {
      this.#onTrouble(new OidoError("DeviceError", ""));
      return undefined;
    }
    const before = { own: this.#own, name: select.value };
    /** @type {OwnModel} */
    const own = { name: this.#ownName(file.name), file, calibrated: null };
    this.#own = [...this.#own.filter(({ name }) => name !== own.name), own];
    this.#tried = own;
    this.#fill();
    select.value = own.name;
    this.#settle(); // at once: what is pressed next must not go to the server
    this.#render();
    try {
      const { engine, release } = await this.engines.lease({ where: "device", model: own });
      own.calibrated = engine.info.calibrated;
      own.labels = engine.info.labels;
      release();
    } catch (error) {
      const isChosen = select.value === own.name;
      this.#tried = null;
      this.#own = before.own;
      this.#fill();
      if (isChosen) select.value = before.name;
      this.#settle();
      this.#render();
      this.#onOwn({ name: own.name, error });
      return error;
    }
    this.#tried = null;
    this.#choose();
    this.#onOwn({ name: own.name, isKept: await keepModel(own) });
    return undefined;
  }

  /**
   * A model of the page's own may have that name already.
   * @param {string} name
   */
  #ownName(name) {
    return this.#models.some((model) => model.name === name) ? `${name} (2)` : name;
  }

  /**
   * What brings it back is read before it is forgotten: a file that was kept is gone with what kept it.
   * @param {OwnModel} model
   */
  #removeOwn(model) {
    const { name } = model;
    const reading = bytesOfModel(model).catch(() => {
      this.#onOwn({ name, undo: null }); // nothing of it is there to bring back
    });
    const forgetting = reading.then(() => forgetModel(name));
    this.#own = this.#own.filter((each) => each !== model);
    this.#fill();
    this.#choose();
    const undo = async () => {
      await forgetting;
      const bytes = await reading;
      if (bytes) this.useOwn(new File([bytes], name));
    };
    this.#onOwn({ name, undo });
  }

  /** The server takes no audio without the token. */
  refused() {
    this.#askToken();
    this.#onTrouble(new OidoError("AccessError", recallToken() ? "a wrong token" : "no token"));
  }

  /** @returns {Model | null} */
  get #model() {
    const own = this.#own.find(({ name }) => name === select.value);
    if (own) return own;
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
      const page = await pageFacts();
      this.#page = page;
      await loadNames(page);
      await this.#readKept();
      this.#models = await listedModels(page);
    } catch (error) {
      if (kindOf(error) === "AccessError") {
        this.#models = [];
        this.#askToken();
      }
      // A model of one's own needs no list.
      this.#fill();
      this.#settle();
      this.#render();
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

  /** Models of one's own from another visit, once. */
  async #readKept() {
    if (!this.#hasDevice || this.#own.length) return;
    this.#own = await keptModels();
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
    if (model) remember("model", model.name);
    this.#render();
    this.#onChange();
  }

  #askToken() {
    tokenForm.hidden = false;
    this.#render();
    byId("token").focus();
  }

  #fill() {
    const before = [select.value, recall("model") ?? ""];
    const names = this.#models.map((model) => model.name);
    names.push(...this.#own.map((model) => model.name));
    select.replaceChildren(...names.map((name) => new Option(name, name)));
    const name = before.find((each) => names.includes(each));
    if (name !== undefined) select.value = name;
  }

  #render() {
    const { isReady } = this;
    for (const id of ["where", "model-about"]) byId(id).hidden = !isReady;
    modelField.hidden = !isReady;
    byId("own-model").hidden = !isReady || !this.#hasDevice;
    byId("own-remove").hidden = !this.#model?.file;
    if (!isReady) return;
    byId("where").hidden = this.#page?.mode !== "server";
    for (const radio of radios) {
      radio.checked = radio.value === this.#where;
      radio.disabled = !this.#can(placeOf(radio));
    }
    byId("model-about").textContent = this.#about();
    const place = t(this.#where);
    byId("settings-line").textContent = t("settingsLine", { model: this.#model?.name ?? "", place });
  }

  /**
   * Of one that was kept, when it is chosen.
   * @param {OwnModel} model
   */
  async #readCalibration(model) {
    const head = await headOf(model);
    model.calibrated = head && head.calibration !== null;
    model.labels = head?.labels ?? NO_LABELS;
    if (model.calibrated === null || this.#model !== model) return;
    this.#render();
    this.#onChange();
  }

  #about() {
    const model = this.#model;
    if (model?.file && model.calibrated === null && model !== this.#tried) this.#readCalibration(model);
    if (model === null || model.calibrated === null) return "";
    const kind = t(model.calibrated ? "aboutCalibrated" : "about");
    if (this.#page?.mode === "server" && !this.#hasDevice) return `${t("deviceMissing")} ${kind}`;
    if (!this.#can("device")) return `${t("deviceNoFile", { model: model.name })} ${kind}`;
    return kind;
  }
}

/** @param {HTMLInputElement} radio */
function placeOf(radio) {
  return radio.value === "server" ? "server" : "device";
}
