// SPDX-License-Identifier: Apache-2.0

/* The page as an app: kept for use without a network, renewed when somebody wants it, and installed by a button. */

import { onInstallable, registerOffline } from "../core/register.js";
import { byId } from "./elements.js";
import { lastingNotice } from "./notices.js";

const QUIET_MS = 2000; // until the page is kept

/**
 * ready(): a promise of what the page needs itself; isBusy(): somebody waits for something. The same files are kept
 * after that, so that nothing is fetched that somebody waits for.
 * @param {{ready: () => Promise<unknown> | null, isBusy: () => boolean}} page
 */
export async function startInstalling({ ready, isBusy }) {
  onInstallable((install) => {
    const button = byId("install");
    button.hidden = install === null;
    button.onclick = install;
  });
  await ready();
  do await new Promise((resolve) => setTimeout(resolve, QUIET_MS));
  while (isBusy());
  registerOffline({ onUpdate: (change) => lastingNotice("update", "update", {}, { key: "reload", run: change }) });
}
