// SPDX-License-Identifier: Apache-2.0

import { byId } from "./elements.js";

/**
 * Calls onFiles with the files that are dropped anywhere on the page, onPaste with those that are pasted.
 * @param {(files: File[]) => void} onFiles
 * @param {(files: File[]) => void} onPaste
 */
export function onDrop(onFiles, onPaste) {
  const veil = byId("drop");
  const hasFile = (/** @type {DragEvent} */ event) => [...(event.dataTransfer?.types ?? [])].includes("Files");
  addEventListener("dragover", (event) => {
    if (!hasFile(event)) return;
    event.preventDefault();
    veil.hidden = false;
  });
  addEventListener("dragleave", (event) => {
    if (event.relatedTarget === null) veil.hidden = true;
  });
  addEventListener("drop", (event) => {
    if (!hasFile(event)) return;
    event.preventDefault();
    veil.hidden = true;
    const files = [...(event.dataTransfer?.files ?? [])];
    if (files.length) onFiles(files);
  });
  addEventListener("paste", (event) => {
    const files = [...(event.clipboardData?.files ?? [])];
    if (files.length) onPaste(files);
  });
}

/**
 * Calls onFiles with the files that are chosen in the dialog of the button, and what it promised when the dialog was
 * opened: whether they are sent. (Files may come without the dialog: then it promised nothing.)
 * @param {() => boolean} isSending
 * @param {(files: File[], isSending?: boolean) => void} onFiles
 */
export function onOpen(isSending, onFiles) {
  const input = byId("file", HTMLInputElement);
  /** @type {boolean | undefined} */
  let promised;
  byId("open").addEventListener("click", () => {
    promised = isSending();
    input.click();
  });
  input.addEventListener("change", () => {
    const files = [...(input.files ?? [])];
    if (files.length) onFiles(files, promised);
    promised = undefined;
    input.value = "";
  });
}
