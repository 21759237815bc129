/**
 * A piece of machine code of our own is run and translated before the guest's. JavaScript is compiled when it is first
 * called, and what decodes and translates guest code is much of it: the time of that belongs to the start of the process
 * and not to the guest's first loop.
 */

import { GuestMemory, PAGE_SIZE, Perm } from '../memory/space.ts';
import type { Sample } from './ir.ts';

/** What runs it. */
export interface Rehearsing {
  rip: number;
  setGpr(register: number, value: number): void;
  addHostEntry(va: number, id: number): void;
  run(budget: number): number;
}

/** Frames, by what they hold; as the guest's own data, the sample's lies in the direct map. */
const FRAME = { CODE: 1, BYTES: 2, WORDS: 3, NODE: 4, STACK: 5 } as const;
const FRAMES = 6;
const DIRECT = -0x7780_0000_0000;
const CODE = 0x10000;
const STACK = 0x20000;
const RETURN = 0x30000;
/** Far more than it takes. */
const BUDGET = 100_000;

/** @param make gives a processor over that memory, which translates at once and is given up afterwards */
export function rehearse(
  { code, called, parameters }: Sample,
  stackPointer: number,
  make: (memory: GuestMemory) => Rehearsing,
): void {
  const memory = new GuestMemory({ ramBytes: FRAMES * PAGE_SIZE, directMap: DIRECT, codeCacheBytes: 0 });
  memory.map(CODE, FRAME.CODE, 1, Perm.R | Perm.X, 'code');
  memory.map(STACK, FRAME.STACK, 1, Perm.R | Perm.W, 'stack');
  memory.poke(CODE, code);
  const cpu = make(memory);
  const node = memory.directMap(FRAME.NODE);
  memory.setPtr(node, node);
  memory.setPtr(node + memory.pointerBytes, CODE + called);
  const values = [memory.directMap(FRAME.BYTES), memory.directMap(FRAME.WORDS), node];
  parameters.forEach((register, n) => {
    cpu.setGpr(register, values[n]);
  });
  const top = STACK + PAGE_SIZE / 2;
  memory.setPtr(top, RETURN);
  cpu.addHostEntry(RETURN, 1);
  cpu.setGpr(stackPointer, top);
  cpu.rip = CODE;
  cpu.run(BUDGET);
}
