// SPDX-License-Identifier: Apache-2.0

/*
 * The shapes that several modules of the page share, for their JSDoc. Only the type check reads this file; it is
 * not served.
 */

import type { Calibrator } from "./core/calibration.js";
import type { Kinship } from "./core/choice.js";
import type { OidoError } from "./core/errors.js";

export interface WindowSizes {
  sampleRateHz: number;
  windowSamples: number;
  hopSamples: number;
  repeatPauseSamples?: number | null;
}

/** What a model says of its results. calibrated: they are probabilities. */
export interface EngineInfo extends WindowSizes {
  name: string;
  labels: string[];
  displayNames?: string[];
  calibrated: boolean;
  /** One for each label, or null where the model has none of its own. */
  thresholds: Float32Array | null;
  /** Of each window, whose scores it gives beside those of the window; 0: it gives none. */
  columns: number;
  /** What the columns cover together, from a window's start on. */
  imageSamples: number;
  kinship: Kinship | null;
  /** To what was taught; below it is unknown. null of a model that does not tell. */
  leastSimilarity: number | null;
}

/** Arrays of a value for each label; probabilities is null where the model is not calibrated. */
export interface WindowScores {
  index: number;
  startTime: number;
  endTime: number;
  scores: Float32Array;
  probabilities: Float32Array | null;
  /** How near it is to what was taught. */
  novelty?: number | null;
  /** The scores of its columns, or of all of it where it has none; null: as `scores`. */
  columns?: Float32Array[] | null;
  /** Something before it was never heard. */
  isAfterGap?: boolean;
}

/**
 * nSamples: the recording's length at the model's rate. levels: of its sound. isDamaged: whether some of it
 * could not be heard.
 */
export type WindowList = WindowScores[] & { nSamples?: number; levels?: Float32Array; isDamaged?: boolean };

/** The server is asked again in so many seconds, and why: the kind of an OidoError. */
export interface Waiting {
  why: string;
  seconds: number;
}

export interface StreamState {
  dropped: number;
  behindSeconds: number;
  hopSamples: number;
  waiting?: Waiting | null;
  /** After it nothing more comes. */
  failure?: OidoError | null;
}

export interface StreamEnd {
  nSamples: number;
  nWindows: number;
  dropped: number;
}

export interface StreamHandlers {
  onWindow: (window: WindowScores) => void;
  onState?: (state: StreamState) => void;
}

export interface Stream {
  readonly nSamples: number;
  push(samples: Float32Array<ArrayBuffer>): void;
  end(): Promise<StreamEnd>;
}

/** Of a recording: all, or in pieces as they are decoded. */
export type Samples = Float32Array<ArrayBuffer> | AsyncIterable<Float32Array<ArrayBuffer>>;

export interface HearOptions {
  signal?: AbortSignal | null;
  onProgress?: (share: number) => void;
  /** For a server: the recording as it is. */
  file?: File | null;
  /** Of a server; null: it answers. */
  onWait?: (waiting: Waiting | null) => void;
  /** Told each window as it is known; those of a server's answer to a whole file come as a list. */
  onWindow?: ((window: WindowScores) => void) | null;
}

/** What runs a model: this device or a server, the same for the page. */
export interface Engine {
  readonly info: EngineInfo;
  readonly calibrator: Calibrator | null;
  /** Of a server: scores below it are not asked for, and stand as 0. */
  readonly floor?: number;
  hear(samples: Samples | null, options?: HearOptions): Promise<WindowList>;
  stream(handlers: StreamHandlers): Stream;
  close(): void;
}

/** A label's value in one window. */
export interface Category {
  labelIndex: number;
  score: number;
  probability: number | null;
}

/** Times are seconds. */
export interface SoundEvent extends Category {
  label: string;
  displayName: string;
  startTime: number;
  endTime: number;
  /** Labels that it stands for. */
  also: string[];
  /** It still goes on: all of it may be otherwise when it is over, and it may not be told then. */
  isOngoing?: boolean;
}

/** threshold: the common one, which counts where thresholds is null. */
export interface Limits {
  threshold: number;
  thresholds: Float32Array | null;
}

/** Samples to see and to play, from `first` up to `nSamples`. */
export interface Sound {
  readonly sampleRateHz: number;
  readonly first: number;
  readonly nSamples: number;
  /** The n samples from start on; null where any of them is not here. Throws where its file cannot be read any more. */
  read(start: number, n: number): Promise<Float32Array<ArrayBuffer> | null>;
  /** All of them, in order. */
  pieces(): AsyncIterable<Int16Array<ArrayBuffer>>;
}

/** A model of the server or of the exported page: describe_model in oido.server.device_model. */
export interface ListedModel {
  name: string;
  summary: string;
  licence: string;
  attribution: string;
  /** Its file for a browser; null: only the server can run it. */
  url: string | null;
  bytes: number | null;
  sha256: string | null;
  sampleRateHz: number;
  windowSamples: number;
  hopSamples: number;
  imageSamples: number;
  columns: number;
  leastSimilarity: number | null;
  heads: string[];
  calibrated: boolean;
  calibration: { text: string; transformation: number; defaultScore: number } | null;
  classes: number;
  labels: string[];
  thresholds: number[] | null;
  kinship: Kinship | null;
  file?: undefined;
}

/** A .tflite that somebody opened. calibrated: null until its metadata are read, or if they cannot be. */
export interface OwnModel {
  name: string;
  file: File;
  calibrated: boolean | null;
  labels?: string[];
  url?: undefined;
}

export type Model = ListedModel | OwnModel;

export type Place = "device" | "server";

export interface Choice {
  where: Place;
  model: Model;
}

/** page.json. device: this installation can hear on the device. token: the server wants one. */
export interface PageFacts {
  oido: string;
  mode: Place;
  device?: boolean;
  token?: boolean;
  /** Of each build. */
  runtimeBytes?: Record<string, number>;
  models: ListedModel[];
  names: Record<string, string>;
  /** Recordings to try it with. */
  examples?: string[];
  /** Where the family of each label is. */
  families?: string;
}
