import type { Gen } from '../gen.ts';
import type { Code } from '../wasm/encoder.ts';

/** One flat operation: its meaning, written once for every engine. */
export interface OpDefinition {
  readonly name: string;
  readonly emit: (g: Gen) => Code;
  /** Control never reaches the operation after it. */
  readonly ends?: boolean;
  /** Kept out of the interpreter's switch, in a function of its own that is compiled when the first of these runs. */
  readonly apart?: boolean;
}

export const op = (name: string, emit: (g: Gen) => Code): OpDefinition => ({ name, emit });
/** An operation that few modules have: it does not jump, and only its helper faults. */
export const apart = (name: string, emit: (g: Gen) => Code): OpDefinition => ({ name, emit, apart: true });
export const ending = (name: string, emit: (g: Gen) => Code): OpDefinition => ({ name, emit, ends: true });

/** All combinations, flattened: `each(SIZES, (size) => [...])`. */
export function each<T>(values: readonly T[], make: (value: T) => readonly OpDefinition[]): OpDefinition[] {
  return values.flatMap(make);
}
