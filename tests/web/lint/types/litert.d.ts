// SPDX-License-Identifier: Apache-2.0
/** What the page uses of @litertjs/core, which `make web` fetches; the checks need not have it. */

declare module "*/vendor/litert.js" {
  class Tensor {
    constructor(data: Float32Array, shape: number[]);
    toTypedArray(): Float32Array<ArrayBuffer>;
    delete(): void;
  }

  interface OutputDetails {
    name: string;
    shape: Int32Array;
  }

  interface CompiledModel {
    getOutputDetails(): OutputDetails[];
    run(inputs: Tensor[]): Promise<Tensor[]>;
  }

  interface LiteRt {
    loadAndCompile(model: Uint8Array, options: { accelerator: "wasm" }): Promise<CompiledModel>;
  }

  function loadLiteRt(folder: string): Promise<LiteRt>;
  function supportsFeature(name: "relaxedSimd"): Promise<boolean>;
}
