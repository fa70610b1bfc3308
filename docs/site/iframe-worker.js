// SPDX-License-Identifier: Apache-2.0
// The site's search runs in a worker, which browsers refuse to pages that were opened as files.
// There, and only there, a worker is a hidden frame, in which the worker's script runs. The search
// looks for a class of this name in the page around it, to find its own files.
if (location.protocol === "file:") {
  window.IFrameWorker = class IFrameWorker extends EventTarget {
    constructor(address) {
      super();
      const frame = document.createElement("iframe");
      frame.hidden = true;
      frame.srcdoc = "<!doctype html><title>search</title><body>";
      this.loaded = new Promise((resolve) => frame.addEventListener("load", resolve)).then(() => {
        const inside = frame.contentWindow;
        inside.postMessage = (data) => this.dispatchEvent(new MessageEvent("message", { data }));
        inside.importScripts = async (...addresses) => {
          for (const each of addresses) await loadScript(inside.document, each);
        };
        return loadScript(inside.document, new URL(address, location.href).href).then(() => inside);
      });
      document.body.append(frame);
    }

    postMessage(data) {
      this.loaded.then((inside) => inside.dispatchEvent(new MessageEvent("message", { data })));
    }
  };

  window.Worker = window.IFrameWorker;
}

function loadScript(inDocument, address) {
  return new Promise((resolve, reject) => {
    const script = inDocument.createElement("script");
    script.src = address;
    script.onload = resolve;
    script.onerror = reject;
    inDocument.body.append(script);
  });
}
