// SPDX-License-Identifier: Apache-2.0
/** Globals of the page's workers that TypeScript's own libraries leave out. */

interface PrecachedFile {
  url: string;
  integrity: string;
  build?: "relaxed" | "compat";
  fresh?: boolean;
  onDemand?: boolean;
}

interface PrecachedModel {
  url: string;
  integrity: string;
  precached: boolean;
}

/** Of precache.js, which oido.server.page_files makes. */
declare var OIDO_PRECACHE: { version: string; files: PrecachedFile[]; models: PrecachedModel[] };

/** What LiteRT.js's loader reads: the build of the runtime, and how it starts. */
declare var ModuleFactory: unknown;
declare var Module: {
  locateFile(file: string): string;
  print(text: string): void;
  printErr(text: string): void;
  instantiateWasm: Function;
};

declare class AudioWorkletProcessor {
  readonly port: MessagePort;
}

declare function registerProcessor(name: string, processor: new () => AudioWorkletProcessor): void;
