/**
 * What depmod keeps of many modules: columns of numbers and bytes, which threads can hand over and a file can hold, and
 * which leave nothing for the garbage collector (measured: it took an eighth of the time of a run).
 */
import { ByteSink, IntSink } from '../../../bytes/sink.ts';
import type { NameTable } from './name-table.ts';

/** One row for each module that was read; `xEnds` say where a row's part of `x` ends. */
export interface Facts {
  /** What the reader calls the row's module: its position in the list of files. */
  readonly modules: Int32Array;
  readonly needEnds: Int32Array;
  readonly exportEnds: Int32Array;
  readonly infoEnds: Int32Array;
  /** Number of the name * 2, plus 1 for a weak reference. */
  readonly needs: Int32Array;
  /** Numbers of names. */
  readonly exports: Int32Array;
  /** Versions, in the order of `needs` and `exports`; empty unless they were asked for. */
  readonly needCrcs: Float64Array;
  readonly exportCrcs: Float64Array;
  /** `alias=`, `softdep=` and `weakdep=` strings of .modinfo, a NUL after each. */
  readonly info: Uint8Array;
  /** What is said about a row's file, each with its line feed. */
  readonly errors: readonly (readonly [row: number, texts: readonly string[]])[];
  /** The names in the order of their numbers, a NUL after each. */
  readonly names: Uint8Array;
}

export class FactTable {
  readonly names: NameTable;
  readonly needs = new IntSink(1 << 14);
  readonly exports = new IntSink(1 << 12);
  readonly needCrcs: number[] = [];
  readonly exportCrcs: number[] = [];
  readonly info = new ByteSink(1 << 16);
  private readonly modules = new IntSink();
  private readonly needEnds = new IntSink();
  private readonly exportEnds = new IntSink();
  private readonly infoEnds = new IntSink();
  private readonly errors: (readonly [number, readonly string[]])[] = [];

  constructor(names: NameTable) {
    this.names = names;
  }

  /** Ends a module's row: what was added since the last one is its own. */
  end(module: number, errors: readonly string[]): void {
    if (errors.length > 0) this.errors.push([this.modules.length, errors]);
    this.modules.push(module);
    this.needEnds.push(this.needs.length);
    this.exportEnds.push(this.exports.length);
    this.infoEnds.push(this.info.length);
  }

  /**
   * Adds rows [from, to) of other facts, as modules from `module` on; nothing is said of them. `numbers`: what the names'
   * numbers are here, where they are others. Versions are left behind.
   */
  copyRows(facts: Facts, from: number, to: number, module: number, numbers: Int32Array | undefined): void {
    const { needs, exports, info } = this;
    const [need, offer] = [startOf(facts.needEnds, from), startOf(facts.exportEnds, from)];
    const [needAt, exportAt, infoAt] = [needs.length, exports.length, info.length];
    const text = startOf(facts.infoEnds, from);
    const newNeeds = facts.needs.subarray(need, facts.needEnds[to - 1]);
    const newExports = facts.exports.subarray(offer, facts.exportEnds[to - 1]);
    needs.append(numbers === undefined ? newNeeds : newNeeds.map((n) => numbers[n >> 1] * 2 + (n & 1)));
    exports.append(numbers === undefined ? newExports : newExports.map((n) => numbers[n]));
    info.copy(facts.info, text, facts.infoEnds[to - 1]);
    for (let row = from; row < to; row++) {
      this.modules.push(module + row - from);
      this.needEnds.push(needAt + facts.needEnds[row] - need);
      this.exportEnds.push(exportAt + facts.exportEnds[row] - offer);
      this.infoEnds.push(infoAt + facts.infoEnds[row] - text);
    }
  }

  /** Notes what is said of a row. */
  say(row: number, errors: readonly string[]): void {
    this.errors.push([row, errors]);
  }

  /** Forgets what was added to an unfinished row but its .modinfo. */
  dropSymbols(): void {
    this.needs.length = last(this.needEnds);
    this.exports.length = last(this.exportEnds);
    if (this.needCrcs.length > this.needs.length) this.needCrcs.length = this.needs.length;
    if (this.exportCrcs.length > this.exports.length) this.exportCrcs.length = this.exports.length;
  }

  dropInfo(): void {
    this.info.length = last(this.infoEnds);
  }

  facts(): Facts {
    return {
      modules: this.modules.take(),
      needEnds: this.needEnds.take(),
      exportEnds: this.exportEnds.take(),
      infoEnds: this.infoEnds.take(),
      needs: this.needs.take(),
      exports: this.exports.take(),
      needCrcs: Float64Array.from(this.needCrcs),
      exportCrcs: Float64Array.from(this.exportCrcs),
      info: this.info.view().slice(),
      errors: this.errors,
      names: this.names.text.slice(),
    };
  }
}

const last = (ends: IntSink): number => (ends.length === 0 ? 0 : ends.values[ends.length - 1]);

/** Where a row's part begins. */
export const startOf = (ends: Int32Array, row: number): number => (row === 0 ? 0 : ends[row - 1]);
