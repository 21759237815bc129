/** What an operation reads, writes and can do. */
import type { Form } from '../gen.ts';
import { Reg } from '../ir.ts';
import { effectTable } from './effect-table.ts';

/** Effects by operand field (bits: d 1, a 2, b 4, x 8) and by fixed register; what is written may also be left as it was. */
export interface Effects {
  readonly reads: number;
  readonly writes: number;
  /** Written whole, whatever happens. */
  readonly kills: number;
  /** Bits of general registers. */
  readonly fixedReads: number;
  readonly fixedWrites: number;
  readonly readsFlags: boolean;
  readonly writesFlags: boolean;
  readonly killsFlags: boolean;
  /** Can end with a fault: the state before it is then wanted. */
  readonly faults: boolean;
  /** Writes memory, which may be code. */
  readonly stores: boolean;
  /** Calls a helper, always or on some path. */
  readonly helper: 'never' | 'maybe' | 'always';
  readonly jumps: boolean;
  /** How the memory operand is addressed, if there is one. */
  readonly addresses: Form | undefined;
  /** Bytes of its access, 0 without one. */
  readonly width: number;
}

const HELPER = ['never', 'maybe', 'always'] as const;
const ADDRESSES: readonly (Form | undefined)[] = [undefined, 'b', 'x', 'i'];
const known: (Effects | undefined)[] = [];
let table: readonly number[] | undefined;

/** Effects of an operation by number. */
export function effectsOf(number: number): Effects {
  table ??= effectTable();
  known[number] ??= unpack(table, number * 3);
  return known[number];
}

function unpack(numbers: readonly number[], at: number): Effects {
  const packed = numbers[at];
  const bit = (n: number): boolean => ((packed >>> n) & 1) !== 0;
  return {
    reads: packed & 15,
    writes: (packed >>> 4) & 15,
    kills: (packed >>> 8) & 15,
    fixedReads: numbers[at + 1],
    fixedWrites: numbers[at + 2],
    readsFlags: bit(12),
    writesFlags: bit(13),
    killsFlags: bit(14),
    faults: bit(15),
    stores: bit(16),
    jumps: bit(17),
    helper: HELPER[(packed >>> 18) & 3],
    addresses: ADDRESSES[(packed >>> 20) & 3],
    width: packed >>> 22,
  };
}

/** Registers that live only inside one instruction. */
export const TEMPORARIES = 0xff << Reg.S0;
