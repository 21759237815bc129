/** Rare instructions, in TypeScript. Register and memory state is final when a helper returns. */
import type { HelperFunction, HelperHost } from './helper-host.ts';
import { arithmeticHelpers } from './helpers-arithmetic.ts';
import { stringHelpers } from './helpers-string.ts';
import { systemHelpers } from './helpers-system.ts';
import { OP } from './state.ts';
import { vectorHelpers } from './vector-helpers.ts';

export type { HelperHost } from './helper-host.ts';

const helpers: HelperFunction[] = [];
for (const table of [systemHelpers, arithmeticHelpers, stringHelpers, vectorHelpers]) {
  for (const [id, run] of table) helpers[id] = run;
}

export function runHelper(host: HelperHost, ip: number): number {
  const data = new DataView(host.memory.wasm.buffer, ip, 24);
  const id = data.getUint8(OP.AUX);
  const run = helpers[id];
  if (run === undefined) return host.raise(6);
  const outcome = run({
    host,
    ip,
    id,
    size: data.getUint8(OP.D),
    a: data.getUint8(OP.A) >> 3,
    b: data.getUint8(OP.B) >> 3,
    imm: data.getInt32(OP.IMM + 4, true) * 4294967296 + data.getUint32(OP.IMM, true),
    scale: data.getUint8(OP.SCALE),
    highByte: (data.getUint8(OP.A) & 1) !== 0,
    next: host.instructionAt(ip) + data.getUint8(OP.X),
  });
  return typeof outcome === 'number' ? outcome : 0;
}
