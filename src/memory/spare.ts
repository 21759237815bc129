/**
 * Linear memory of kernels that are no more, for the next: to the host every one is tens of megabytes of garbage, whatever of
 * it was touched, and collecting garbage that often costs more than loading a module.
 */
export class SpareMemories {
  #spare: WebAssembly.Memory | undefined;

  /** One of so many units of 64 KiB, all zero but for the room of translated operations. */
  take(units: number): WebAssembly.Memory {
    const spare = this.#spare;
    this.#spare = undefined;
    if (spare !== undefined && spare.buffer.byteLength === units * 65536) return spare;
    return new WebAssembly.Memory({ initial: units, maximum: units });
  }

  /** Nobody else may use it from now on. */
  give(memory: WebAssembly.Memory): void {
    this.#spare = memory;
  }
}
