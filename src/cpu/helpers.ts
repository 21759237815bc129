/** Rare instructions, in TypeScript. Register and memory state is final when a helper returns. */
import { type HelperFunction, type HelperHost, Vector } from './helper-host.ts';
import { arithmeticHelpers } from './helpers-arithmetic.ts';
import { legacyHelpers } from './helpers-legacy.ts';
import { mmxHelpers } from './helpers-mmx.ts';
import { stringHelpers } from './helpers-string.ts';
import { systemHelpers } from './helpers-system.ts';
import { coprocessorHelpers } from './helpers-x87.ts';
import { OP } from './state.ts';
import { vectorHelpers } from './vector-helpers.ts';

export type { HelperHost } from './helper-host.ts';

const helpers: HelperFunction[] = [];
for (const table of [
  systemHelpers,
  legacyHelpers,
  coprocessorHelpers,
  arithmeticHelpers,
  stringHelpers,
  vectorHelpers,
  mmxHelpers,
]) {
  for (const [id, run] of table) helpers[id] = run;
}

export function runHelper(host: HelperHost, ip: number): number {
  const { view } = host;
  const id = view.getUint8(ip + OP.AUX);
  const run = helpers[id];
  if (run === undefined) return host.raise(Vector.UD, 0, 'unsupported');
  const a = view.getUint8(ip + OP.A);
  const outcome = run({
    host,
    ip,
    id,
    size: view.getUint8(ip + OP.D),
    a: a >> 3,
    b: view.getUint8(ip + OP.B) >> 3,
    imm: view.getInt32(ip + OP.IMM + 4, true) * 4294967296 + view.getUint32(ip + OP.IMM, true),
    scale: view.getUint8(ip + OP.SCALE),
    highByte: (a & 1) !== 0,
  });
  return typeof outcome === 'number' ? outcome : 0;
}
