/** The tests of algorithms at registration: Debian's own pass them. */
import { expect, it } from 'vitest';
import { procCrypto } from '../../src/systems/linux/crypto/registry.ts';
import { describeModules, type RealModules } from './linux-use.ts';

/** Modules with algorithms of every kind that there is data for. */
const NAMES = (
  'aesni-intel blake2b_generic cast5_generic chacha_generic crc32c_generic des_generic lz4hc michael_mic serpent_generic ' +
  'sha256-ssse3 sha3_generic twofish-x86_64-3way zstd'
).split(' ');

function passes(modules: RealModules, name: string): void {
  modules.with(name, ({ k }) => {
    expect(k.log.records.map(({ text }) => text).filter((text) => text.startsWith('alg: '))).toEqual([]);
    expect(k.taint & 512).toBe(0);
    expect(procCrypto(k)).not.toMatch(/selftest +: unknown/);
  });
}

describeModules('the kernel’s tests of its own algorithms', (modules) => {
  it.each(NAMES.filter((name) => modules.has(name)))('%s', (name) => passes(modules, name));
});
