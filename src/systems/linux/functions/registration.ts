/** Makes pairs of kernel functions that register a structure nobody here can invoke, and take it back. */
import type { FunctionTable, KernelFunction } from '../../../kernel/functions.ts';
import { prototypeName } from '../../../kernel/functions.ts';
import type { Address } from '../../../memory/space.ts';
import type { Linux } from '../linux.ts';
import { type Rule, register, unregister } from '../registered.ts';

export interface Pair extends Rule {
  /** The kind in words. */
  readonly what: string;
  /** C prototypes. The structure is the first argument of both unless `at` says otherwise. */
  readonly add: string;
  readonly remove: string;
  /** Which argument of `add` is the structure. */
  readonly at?: number;
  /** Field that holds its name; the address stands in where there is none. */
  readonly name?: string;
  /** What `remove` answers when it was not registered (functions that return int); 0 by default. */
  readonly absent?: number;
}

export function nameAt(k: Linux, at: Address, field: string | undefined): string {
  if (field !== undefined && k.types.has(field)) return k.readString(field, at);
  return `0x${BigInt.asUintN(64, BigInt(at)).toString(16)}`;
}

function entry(
  prototype: string,
  handler: (k: Linux, ...args: number[]) => number,
): [string, KernelFunction<Linux>] {
  return [prototypeName(prototype), { prototype, handler: handler as KernelFunction<Linux>['handler'] }];
}

/** The functions of all pairs. */
export function registrationPairs(pairs: readonly Pair[]): FunctionTable<Linux> {
  return new Map(
    pairs.flatMap((pair) => [
      entry(pair.add, (k, ...args) => {
        const at = args[pair.at ?? 0];
        return register(k, pair.what, at, nameAt(k, at, pair.name), pair);
      }),
      entry(pair.remove, (k, at) => (unregister(k, pair.what, at) ? 0 : (pair.absent ?? 0))),
    ]),
  );
}
