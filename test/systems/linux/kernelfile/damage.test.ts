/** Kernels, lists and certificates that somebody damaged: words of this project, or an answer, and nothing else. */
import { readFileSync } from 'node:fs';
import { gzipSync } from 'fflate';
import { describe, expect, it } from 'vitest';
import { FormatError } from '../../../../src/bytes/errors.ts';
import { CTypeError } from '../../../../src/ctypes/error.ts';
import { readCertificates } from '../../../../src/formats/pki/pem.ts';
import { parseConfig } from '../../../../src/systems/linux/kernelfile/config.ts';
import { readKernel } from '../../../../src/systems/linux/kernelfile/open.ts';
import {
  readStableList,
  readSymvers,
  readSystemMap,
} from '../../../../src/systems/linux/kernelfile/symvers.ts';
import { mutations } from '../../../real/mutate.ts';
import { testSeed } from '../../../real/random.ts';
import { makeKey } from '../keys.ts';
import { smallKernel } from './small-kernel.ts';

/** Everything, or what takes a moment. */
const share = (all: number): number => (process.env.LKM_FULL === '1' ? all : Math.ceil(all / 100));

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const textOf = (read: (text: string) => unknown) => (file: Uint8Array) =>
  read(new TextDecoder('latin1').decode(file));

const SYMVERS = Array.from(
  { length: 60 },
  (_, i) => `0x${(i * 0x1234567).toString(16).padStart(8, '0')}\tname_${i}\tfs/mod\tEXPORT_SYMBOL_GPL\tNS\n`,
).join('');
const MAP = Array.from(
  { length: 60 },
  (_, i) =>
    `ffffffff81${(i * 64).toString(16).padStart(6, '0')} T f_${i}\nffffffff82000000 r __ksymtab_f_${i}\n`,
).join('');
const CONFIG = 'CONFIG_A=y\n# CONFIG_B is not set\nCONFIG_C="text \\" more"\nCONFIG_D=0x10\n'.repeat(20);

/** Everything that is read on demand, too. */
function whole(file: Uint8Array): void {
  const kernel = readKernel(file);
  for (const symbol of kernel.exports) kernel.nearest(symbol.address);
  for (const name of kernel.types.names('struct')) kernel.types.layout(`struct ${name}`);
}

const KINDS: readonly (readonly [
  name: string,
  file: Uint8Array,
  read: (file: Uint8Array) => unknown,
  all: number,
])[] = [
  ['an unpacked kernel', smallKernel(), whole, 20_000],
  ['a packed kernel', gzipSync(smallKernel()), whole, 5000],
  ['a saved kernel', new Uint8Array(readFileSync('profiles/debian-6.1.kernel')), readKernel, 2000],
  ['Module.symvers', bytes(SYMVERS), textOf(readSymvers), 20_000],
  ['System.map', bytes(MAP), textOf(readSystemMap), 20_000],
  ['a list of stable symbols', bytes(SYMVERS), textOf(readStableList), 20_000],
  ['a configuration', bytes(CONFIG), textOf(parseConfig), 20_000],
  ['a certificate', makeKey('rsa').certificate.der, readCertificates, 20_000],
  ['a certificate of curves', makeKey('P-256').certificate.der, readCertificates, 20_000],
];

describe.each(KINDS)('%s', (_, file, read, all) => {
  const seed = testSeed();

  /** Damage the answer may survive; what it may not be is an error of another kind. */
  function attempt(damaged: Uint8Array, what: string): boolean {
    try {
      read(damaged);
      return true;
    } catch (error) {
      if (!(error instanceof FormatError) && !(error instanceof CTypeError))
        throw new Error(`${what}: ${error}`, { cause: error });
      expect(error.message.length, what).toBeGreaterThan(10);
      return false;
    }
  }

  it('is read as it is', () => {
    expect(attempt(file, 'undamaged')).toBe(true);
  });

  it(`cut short is told (seed ${seed})`, { timeout: 3_600_000 }, () => {
    const step = Math.max(1, Math.floor(file.length / share(4000)));
    for (let length = 0; length < file.length; length += step)
      attempt(file.slice(0, length), `cut to ${length} bytes`);
  });

  it(`damaged is told (seed ${seed})`, { timeout: 3_600_000 }, () => {
    for (const mutant of mutations(file, seed, { count: share(all) })) attempt(mutant.bytes, mutant.what);
  });
});
