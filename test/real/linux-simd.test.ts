/** Debian's modules with vector instructions: they load because CPUID names what they use, and give OpenSSL's answers. */
import { createCipheriv, createHash } from 'node:crypto';
import { crc32 } from 'node:zlib';
import { expect, it } from 'vitest';
import { addPreempt, preemptCount } from '../../src/systems/linux/functions/sched.ts';
import { mixed } from '../../src/targets/mixed-bytes.ts';
import { ascii, bytes, describeModules, hex, type Live } from './linux-use.ts';

const MESSAGES = [0, 1, 3, 63, 64, 65, 111, 127, 128, 1000, 70_000].map((length) =>
  mixed(length, length + 7),
);
const CHECK = ascii('123456789');

/** A function of a module by name, exported or not. */
function local(live: Live, name: string): number {
  for (const module of live.k.modules) {
    const found = live.k.symbols.find(name, module.name);
    if (found !== undefined) return found;
  }
  throw new Error(`no module has ${name}`);
}

const invoke = (live: Live, name: string, ...args: number[]): number =>
  live.run(live.k.callInt(local(live, name), ...args));

/** A schedule of keys, which AES instructions want on sixteen bytes. */
function schedule(live: Live, key: Uint8Array): number {
  const context = live.memory(528);
  const at = context + ((16 - (context & 15)) & 15);
  invoke(live, 'aesni_set_key', at, live.memory(key), key.length);
  return at;
}

describeModules('modules with vector instructions', (modules) => {
  const hashes = [
    ['sha1-ssse3', 'sha1-ssse3', 'sha1'],
    ['sha1-ssse3', 'sha1-ni', 'sha1'],
    ['sha256-ssse3', 'sha256-ssse3', 'sha256'],
    ['sha256-ssse3', 'sha256-ni', 'sha256'],
    ['sha256-ssse3', 'sha224-ni', 'sha224'],
    ['sha512-ssse3', 'sha512-ssse3', 'sha512'],
    ['sha512-ssse3', 'sha384-ssse3', 'sha384'],
  ] as const;

  it.each(hashes.filter(([module]) => modules.has(module)))('%s: %s', (module, driver, name) => {
    const { leaks } = modules.with(module, (live) => {
      for (const message of MESSAGES)
        expect(live.digest(driver, message)).toBe(createHash(name).update(message).digest('hex'));
    });
    expect(leaks).toBe(0);
  });

  it('sums by crc32 and by products without carries', () => {
    const value = (module: string, driver: string, message: Uint8Array, key?: Uint8Array) =>
      modules.with(module, (live) => live.digest(driver, message, key)).result;
    const crc32c = Buffer.from(value('crc32c-intel', 'crc32c-intel', CHECK), 'hex');
    expect(crc32c.readUInt32LE()).toBe(0xe3069283);
    if (modules.has('crct10dif-pclmul')) {
      const t10 = Buffer.from(value('crct10dif-pclmul', 'crct10dif-pclmul', CHECK), 'hex');
      expect(t10.readUInt16LE()).toBe(0xd0db);
    }
    for (const message of MESSAGES) {
      const digest = Buffer.from(value('crc32-pclmul', 'crc32-pclmul', message, bytes('ffffffff')), 'hex');
      expect(~digest.readUInt32LE() >>> 0).toBe(crc32(message));
      const long = Buffer.from(value('crc32c-intel', 'crc32c-intel', message), 'hex').readUInt32LE();
      const plain = Buffer.from(value('crc32c_generic', 'crc32c-generic', message), 'hex').readUInt32LE();
      expect(long).toBe(plain);
    }
  });

  it('opens sections for vector registers that do not nest, with MXCSR as kernels have it', () => {
    modules.with('aesni-intel', (live) => {
      const { k } = live;
      const call = (name: string, ...args: number[]) => live.run(k.callInt(k.addressOf(name), ...args));
      const usable = () => call('irq_fpu_usable') & 0xff;
      const [count, [MXCSR, COPROCESSOR]] = [preemptCount(k), [2, 1]];
      expect(usable()).toBe(1);
      call('kernel_fpu_begin_mask', 0);
      expect(usable()).toBe(0);
      expect(preemptCount(k)).toBe(count + 1);
      call('kernel_fpu_end');
      expect([usable(), preemptCount(k)]).toEqual([1, count]);
      const section = (what: number): [number, number] => {
        const steps = function* () {
          k.cpu.mxcsr = 0x7f80;
          k.cpu.initialiseCoprocessor();
          yield* k.callInt(k.addressOf('kernel_fpu_begin_mask'), what);
          yield* k.callInt(k.addressOf('kernel_fpu_end'));
          return k.cpu.mxcsr;
        };
        return [what, live.run(steps())];
      };
      expect(section(0)).toEqual([0, 0x7f80]);
      expect(section(MXCSR)).toEqual([MXCSR, 0x1f80]);
      expect(section(COPROCESSOR)).toEqual([COPROCESSOR, 0x7f80]);
      addPreempt(k, 0x10000);
      expect(usable()).toBe(1);
      addPreempt(k, 0x100);
      expect(usable()).toBe(0);
      addPreempt(k, -0x10000);
      expect(usable()).toBe(1);
      addPreempt(k, -0x100);
    });
  });

  it.each([16, 24, 32])('aesni-intel, keys of %d bytes: blocks, chains and counters', (length) => {
    modules.with('aesni-intel', (live) => {
      const key = mixed(length, length);
      const block = mixed(16, 6);
      const one = createCipheriv(`aes-${length * 8}-ecb`, key, null)
        .setAutoPadding(false)
        .update(block);
      expect(live.encrypt('aes-aesni', key, block)).toBe(one.toString('hex'));
      expect(live.decrypt('aes-aesni', key, new Uint8Array(one))).toBe(hex(block));
      // Those written in assembly take their arguments from the stack in 32-bit code.
      if (live.k.word === 4) return;
      const plain = mixed(16 * 37, 5);
      const from = live.memory(plain);
      const to = live.memory(plain.length);
      const context = schedule(live, key);
      const both = (mode: string, encrypt: string, decrypt: string | undefined, iv?: Uint8Array) => {
        const vector = iv === undefined ? [] : [live.memory(iv)];
        const expected = createCipheriv(`aes-${length * 8}-${mode}`, key, iv ?? null)
          .setAutoPadding(false)
          .update(plain);
        invoke(live, encrypt, context, to, from, plain.length, ...vector);
        expect(hex(live.read(to, plain.length))).toBe(expected.toString('hex'));
        if (decrypt === undefined) return;
        const again = iv === undefined ? [] : [live.memory(iv)];
        invoke(live, decrypt, context, to, to, plain.length, ...again);
        expect(hex(live.read(to, plain.length))).toBe(hex(plain));
      };
      both('ecb', 'aesni_ecb_enc', 'aesni_ecb_dec');
      both('cbc', 'aesni_cbc_enc', 'aesni_cbc_dec', mixed(16, 77));
      both('ctr', 'aesni_ctr_enc', undefined, mixed(16, 78));
    });
  });

  const streams = ['chacha-x86_64'].filter((name) => modules.has(name));
  it.each(streams)('%s has the key stream of OpenSSL', () => {
    modules.with('chacha-x86_64', (live) => {
      const key = mixed(32, 3);
      const nonce = mixed(16, 4);
      const words = new Uint8Array(64);
      words.set(ascii('expand 32-byte k'));
      words.set(key, 16);
      words.set(nonce, 48);
      for (const length of [1, 64, 65, 256, 1000]) {
        const plain = mixed(length, length);
        const [state, to] = [live.memory(words), live.memory(length)];
        live.call('chacha_init_arch', state, live.memory(key), live.memory(nonce));
        live.call('chacha_crypt_arch', state, to, live.memory(plain), length, 20);
        const expected = createCipheriv('chacha20', key, nonce).update(plain).toString('hex');
        expect(hex(live.read(to, length))).toBe(expected);
      }
    });
  });
});
