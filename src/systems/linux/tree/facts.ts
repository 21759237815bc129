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
