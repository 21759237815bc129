import { describe, expect, it } from 'vitest';
import { insmod, rmmod } from '../../../src/systems/linux/loader.ts';
import { seenFile } from '../../../src/systems/linux/seen-files.ts';
import { boot, builtinKernel, fixture } from './kernel.ts';
import { makeKey, signed } from './keys.ts';

const hello = fixture('hello');
const key = makeKey('rsa');
const strict = () => boot({ certificates: [key.certificate.der], commandLine: 'module.sig_enforce=1' });

describe('files that were seen before', () => {
  it('are known by their bytes alone, wherever these lie', () => {
    const kernel = builtinKernel();
    const seen = seenFile(kernel, hello);
    expect(seenFile(kernel, hello.slice())).toBe(seen);
    const shifted = new Uint8Array(hello.length + 1).subarray(1);
    shifted.set(hello);
    expect(seenFile(kernel, shifted)).toBe(seen);
    for (const at of [0, 999, hello.length - 1]) {
      const other = hello.slice();
      other[at] ^= 1;
      const found = seenFile(kernel, other);
      expect(found).not.toBe(seen);
      expect(found.bytes).toEqual(other);
    }
  });

  it('are copies: what becomes of the bytes that were given changes nothing', () => {
    const given = hello.slice();
    const seen = seenFile(builtinKernel(), given);
    given.fill(0);
    expect(seen.bytes).toEqual(hello);
  });

  it('do not grow without end', () => {
    const kernel = { ...builtinKernel() };
    const big = new Uint8Array(4 << 20);
    const first = seenFile(kernel, big);
    for (let i = 1; i <= 8; i++) {
      big[0] = i;
      seenFile(kernel, big);
    }
    big[0] = 0;
    expect(seenFile(kernel, big) === first).toBe(false);
  });

  it('lose their signature when a byte of them changes in place', () => {
    const k = strict();
    const bytes = signed(hello, key);
    expect(insmod(k, bytes).outcome).toBe('loaded');
    expect(rmmod(k, 'hello').outcome).toBe('unloaded');
    // The last bytes of the contents are names of sections or symbols.
    const at = hello.length - 2;
    bytes[at] ^= 1;
    const result = insmod(k, bytes);
    expect(result.outcome === 'refused' && result.refusal.errno).toBe(129);
    bytes[at] ^= 1;
    expect(insmod(k, bytes).outcome).toBe('loaded');
  });
});

describe('a kernel on the memory of one that was closed', () => {
  it('comes to the same state', () => {
    const life = (close: boolean) => {
      const k = boot({ seed: 5 });
      insmod(k, fixture('hello'), 'whom=Ada');
      rmmod(k, 'hello');
      const ram = new Uint32Array(k.memory.wasm.buffer, k.memory.ramBase, k.memory.frames.total * 1024);
      const sum = ram.reduce(
        (hash, word, i) => (word === 0 ? hash : Math.imul(hash ^ word ^ i, 0x01000193)),
        1,
      );
      const state = { log: [...k.log.records], retired: k.cpu.retired, sum };
      const { wasm } = k.memory;
      if (close) k.close();
      return { state, wasm };
    };
    const first = life(true);
    const second = life(true);
    expect(second.wasm).toBe(first.wasm);
    expect(second.state).toEqual(first.state);
    const fresh = life(false);
    expect(fresh.state).toEqual(first.state);
  });

  it('cannot be run any more', () => {
    const k = boot();
    k.close();
    expect(() => k.cpu.run(1)).toThrow(/given back/);
  });
});
