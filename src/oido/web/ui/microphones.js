// SPDX-License-Identifier: Apache-2.0

/* Which microphone is heard, where there are several. Browsers tell their names once one was allowed. */

import { byId } from "./elements.js";
import { onLanguage, t } from "./language.js";

const panel = byId("settings-panel", HTMLDetailsElement);
const field = byId("microphone-field");
const select = byId("microphone", HTMLSelectElement);

export class Microphones {
  /** @type {MediaDeviceInfo[]} */
  #devices = [];

  /**
   * onChoose(deviceId): "" for the browser's choice.
   * @param {(deviceId: string) => void} onChoose
   */
  constructor(onChoose) {
    select.addEventListener("change", () => onChoose(select.value));
    navigator.mediaDevices?.addEventListener("devicechange", () => this.refresh());
    onLanguage(() => this.#render());
    // Browsers are asked when somebody looks: it takes them a while.
    panel.addEventListener("toggle", () => panel.open && this.refresh());
    if (panel.open) this.refresh();
    else this.#render();
  }

  /** Asks anew which there are. */
  async refresh() {
    try {
      const all = (await navigator.mediaDevices?.enumerateDevices()) ?? [];
      this.#devices = all.filter(({ kind, deviceId, label }) => kind === "audioinput" && deviceId && label);
    } catch {
      this.#devices = [];
    }
    this.#render();
  }

  #render() {
    const chosen = select.value;
    const named = this.#devices.filter(({ deviceId }) => deviceId !== "default" && deviceId !== "communications");
    const options = named.map(({ label, deviceId }) => new Option(label, deviceId));
    select.replaceChildren(new Option(t("microphoneDefault"), ""), ...options);
    select.value = named.some(({ deviceId }) => deviceId === chosen) ? chosen : "";
    field.hidden = named.length < 2;
  }
}
