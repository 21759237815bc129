/** All flat operations, in the order of their numbers. */
import { aluOps } from './alu.ts';
import { bitOps } from './bits.ts';
import { branchOps } from './branch.ts';
import type { OpDefinition } from './define.ts';
import { moveOps } from './move.ts';
import { multiplyOps } from './multiply.ts';
import { shiftOps } from './shift.ts';
import { simdOps } from './simd.ts';
import { simdFloatOps } from './simd-float.ts';
import { stringOps } from './string.ts';
import { systemOps } from './system.ts';
import { vectorOps } from './vector.ts';

export const operations: readonly OpDefinition[] = [
  ...moveOps,
  ...aluOps,
  ...branchOps,
  ...shiftOps,
  ...bitOps,
  ...multiplyOps,
  ...stringOps,
  ...systemOps,
  ...vectorOps,
  ...simdOps,
  ...simdFloatOps,
];

const numbers = new Map(operations.map((definition, index) => [definition.name, index]));
if (numbers.size !== operations.length) throw new Error('two operations have the same name');

/** Number of an operation. @throws Error for a name that is not in the table */
export function opcode(name: string): number {
  const number = numbers.get(name);
  if (number === undefined) throw new Error(`no operation is called ${name}`);
  return number;
}

export const hasOpcode = (name: string): boolean => numbers.has(name);
