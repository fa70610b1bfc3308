// SPDX-License-Identifier: Apache-2.0

/* The page as an app: works without a network, can be installed, and gets its updates. */

/**
 * Chromium's event, which is in no standard.
 * @typedef {Event & {prompt: () => Promise<void>, userChoice: Promise<{outcome: string}>}} InstallPrompt
 */

const SCRIPT = new URL("../sw.js", import.meta.url);

/**
 * Registers the service worker. onReady: called when the page works offline; onUpdate: when a new
 * version is there, told a function that changes to it (and reloads the page).
 *
 * Gives whether it could: browsers want https or localhost.
 * @param {{onReady?: () => void, onUpdate?: (change: () => void) => void}} [handlers]
 */
export async function registerOffline({ onReady = () => {}, onUpdate = () => {} } = {}) {
  if (!("serviceWorker" in navigator)) return false;
  const { serviceWorker } = navigator;
  let registration;
  try {
    registration = await serviceWorker.register(SCRIPT, { updateViaCache: "none" });
  } catch {
    return false;
  }
  const offer = () => {
    const { waiting } = registration;
    if (!waiting || !registration.active) return;
    onUpdate(() => {
      serviceWorker.addEventListener("controllerchange", () => location.reload(), { once: true });
      waiting.postMessage({ type: "take over" });
    });
  };
  registration.addEventListener("updatefound", () => {
    registration.installing?.addEventListener("statechange", offer);
  });
  offer();
  serviceWorker.ready.then(onReady);
  return true;
}

/**
 * Keeps a model of this server (or of the exported page) for use without a network. Gives whether it
 * is kept: only the page's own models are.
 * @param {string} url
 * @returns {Promise<boolean>}
 */
export async function keepModel(url) {
  if (!("serviceWorker" in navigator)) return false;
  // The page registers its service worker only after what it needs itself was fetched.
  const registration = (await navigator.serviceWorker.getRegistration(SCRIPT)) ?? (await navigator.serviceWorker.ready);
  const worker = registration.active ?? (await navigator.serviceWorker.ready).active;
  if (worker === null) return false;
  return await new Promise((resolve) => {
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = ({ data }) => resolve(data.kept);
    worker.postMessage({ type: "keep", url: new URL(url, document.baseURI).href }, [port2]);
  });
}

/**
 * Calls back with a function that asks the user to install the page, each time the browser would; and
 * with null once that is no longer possible. iOS never does: there it is the share menu.
 * @param {(install: (() => Promise<boolean>) | null) => void} callback
 */
export function onInstallable(callback) {
  addEventListener("beforeinstallprompt", (prompted) => {
    const event = /** @type {InstallPrompt} */ (prompted); // the name says so; lib.dom does not know it
    event.preventDefault();
    callback(async () => {
      await event.prompt();
      const { outcome } = await event.userChoice;
      callback(null);
      return outcome === "accepted";
    });
  });
  addEventListener("appinstalled", () => callback(null));
}
