import { describe, expect, it } from 'vitest';
import { FormatError } from '../../../src/bytes/errors.ts';
import { readPe } from '../../../src/formats/pe/read.ts';
import { readHive } from '../../../src/formats/regf/read.ts';
import { describeDriver } from '../../../src/systems/windows/describe.ts';
import { readRegFile, writeRegFile } from '../../../src/systems/windows/regfile.ts';
import { Registry } from '../../../src/systems/windows/registry.ts';
import { readCatalog } from '../../../src/systems/windows/signature/catalog.ts';
import { windows } from '../../../src/tools/windows/native.ts';
import type { WindowsSession } from '../../../src/tools/windows/session.ts';
import { buildHive } from '../../formats/regf/build.ts';
import { fixture } from './fixtures.ts';

/** LKM_MUTATIONS=20000 for a long run. */
const COUNT = Number(process.env['LKM_MUTATIONS'] ?? 150);
const SEED = Number(process.env['LKM_SEED'] ?? 1);

/** mulberry32 */
function random(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

const EXTREMES = [0, 0xff, 0x7f, 0x80, 1];

function mutate(bytes: Uint8Array, next: () => number): Uint8Array {
  const out = bytes.slice(0, next() < 0.2 ? Math.floor(next() * bytes.length) : bytes.length);
  for (let n = 1 + Math.floor(next() * 4); n > 0 && out.length > 0; n--) {
    // Headers and tables are in front: most changes go there.
    const at = Math.floor(next() ** 3 * out.length);
    const value = next() < 0.5 ? EXTREMES[Math.floor(next() * EXTREMES.length)] : Math.floor(next() * 256);
    for (let i = 0; i < (next() < 0.3 ? 4 : 1) && at + i < out.length; i++) out[at + i] = value;
  }
  return out;
}

const registry = new Registry();
registry.services.create('x').setText('ImagePath', 'x.sys', 2);
const dword = Uint8Array.of(1, 0, 0, 0);
const hive = buildHive({
  name: 'ROOT',
  values: [{ name: 'a', type: 3, data: new Uint8Array(20000) }],
  keys: [{ name: 'Select', keys: [], values: [{ name: 'Current', type: 4, data: dword }] }],
}).slice();

/** The data directory of signatures. */
const SECURITY = 4;
const signed = fixture('signed-ec.sys');
const signature = readPe(signed).directory(SECURITY);

/** A mutated signature in a file that is as it was. */
function withSignature(bytes: Uint8Array): Uint8Array {
  const out = signed.slice();
  out.set(bytes.subarray(0, signature.size), signature.address);
  return out;
}

const READERS: readonly (readonly [string, Uint8Array, (bytes: Uint8Array) => unknown])[] = [
  ['a signed driver', fixture('signed-ec.sys'), describeDriver],
  ['a driver with exports', fixture('kdll.sys'), describeDriver],
  ['a 32-bit driver', fixture('kmdf-x86.sys'), describeDriver],
  [
    'a signature',
    signed.slice(signature.address, signature.address + signature.size),
    (bytes) => describeDriver(withSignature(bytes)),
  ],
  ['a catalog', fixture('hello.cat'), readCatalog],
  ['a hive', hive, readHive],
  ['a .reg file', writeRegFile(registry.services), readRegFile],
];

describe(`damaged files (seed ${SEED})`, () => {
  it.each(READERS)('%s: read, or refused in clear words', (_name, bytes, read) => {
    const next = random(SEED);
    for (let i = 0; i < COUNT; i++) {
      try {
        read(mutate(bytes, next));
      } catch (error) {
        if (!(error instanceof FormatError))
          throw new Error(`mutation ${i}: ${String(error)}`, { cause: error });
      }
    }
    expect(next()).toBeGreaterThanOrEqual(0);
  });

  it.each(['hello.sys', 'hello-x86.sys'])(
    '%s that is loaded all the same: an end that can be named',
    async (name) => {
      const next = random(SEED);
      const machine = name.includes('x86') ? 'x86' : 'x64';
      for (let i = 0; i < Math.ceil(COUNT / 10); i++) {
        const bytes = mutate(fixture(name), next);
        // What the header says of its sum would end nearly every load before it begins.
        if (bytes.length > 0xdc) bytes.fill(0, 0xd8, 0xdc);
        const files = { read: () => bytes, list: () => undefined, stat: () => undefined };
        const session = (await windows.start({
          files,
          settings: new Map([['machine', machine]]),
          user: 'root',
        })) as WindowsSession;
        session.kernel.scheduler.instructionBudget = 2_000_000;
        const { code, out, err } = session.load('m.sys', []);
        expect({ i, said: code === 0 || `${out}${err}` !== '' }).toEqual({ i, said: true });
        if (code === 0) session.unload('m');
      }
    },
  );
});
