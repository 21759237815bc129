import type { VarArgs } from '../../../../abi/convention.ts';
import type { Sink } from '../../../../kernel/text/sink.ts';
import type { Spec } from '../../../../kernel/text/spec.ts';
import type { Address } from '../../../../memory/space.ts';
import type { Linux } from '../../linux.ts';

/** Formats a nested %pV. */
export type Nested = (format: string, args: VarArgs) => string;

/** One %p conversion whose pointer is good: what it points to, the letters behind the p, where the text goes. */
export interface Target {
  readonly k: Linux;
  readonly out: Sink;
  readonly at: Address;
  readonly letters: string;
  readonly spec: Spec;
  readonly nested: Nested;
}
