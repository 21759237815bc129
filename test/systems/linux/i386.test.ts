/** The same modules for both kinds of x86: the base kernel says the same of each, but for the width of a word. */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { bootLinux } from '../../../src/systems/linux/bootkernel.ts';
import type { KernelFile } from '../../../src/systems/linux/kernelfile/kernelfile.ts';
import { readKernel } from '../../../src/systems/linux/kernelfile/open.ts';
import type { Linux } from '../../../src/systems/linux/linux.ts';
import { insmod, rmmod } from '../../../src/systems/linux/loader.ts';
import { builtinKernel, fixture } from './kernel.ts';

const root = new URL('../../../', import.meta.url);
const read = (path: string): Uint8Array => new Uint8Array(readFileSync(new URL(path, root)));

const narrow: KernelFile = readKernel(read('profiles/debian-6.1-686.kernel'));
const narrowFixture = (name: string): Uint8Array => read(`fixtures/linux/built-686/${name}.ko`);

/** Loads with these parameters, unloads, and gives the kernel with what it said. */
function use(kernel: KernelFile, bytes: Uint8Array, name: string, args: string, engine?: 'wasm'): Linux {
  const k = bootLinux(kernel, { engine });
  const loaded = insmod(k, bytes, args);
  if (loaded.outcome !== 'loaded') throw new Error(`${name}: ${JSON.stringify(loaded)}`);
  expect(rmmod(k, name).outcome).toBe('unloaded');
  expect(k.heap.allocationsOf(loaded.module)).toEqual([]);
  return k;
}

const texts = (k: Linux): string[] => k.log.records.map(({ level, text }) => `<${level}>${text}`);

/** What they say the same of, word for word. */
const ALIKE: readonly (readonly [string, string])[] = [
  ['chardev', ''],
  ['containers', ''],
  ['hashing', ''],
  ['hello', 'whom=Ada count=3'],
  ['locking', ''],
  ['memories', ''],
  ['params', ''],
  ['percpus', ''],
  ['procfile', ''],
  ['statickey', ''],
  ['staticcall', ''],
  ['sysattr', ''],
  ['threads', ''],
  ['timers', ''],
  ['tinyfs', ''],
  ['works', ''],
];

describe('a kernel of i386', () => {
  it('has pointers of four bytes, and addresses that are unsigned numbers', () => {
    const k = bootLinux(narrow);
    expect(k.word).toBe(4);
    expect(k.sizeof('list_head')).toBe(8);
    expect(k.field('module.kp').size).toBe(4);
    expect(k.file.exports.find('_printk')?.address).toBeGreaterThan(0xc1000000);
    const at = k.heap.allocate(64);
    expect(at).toBeGreaterThan(0xc0000000);
    k.memory.setPtr(at, -1);
    expect(k.memory.ptr(at)).toBe(0xffffffff);
    expect(k.memory.long(at)).toBe(-1);
  });

  it.each(ALIKE)('%s says what it says on x86-64, in both engines', (name, args) => {
    const wide = texts(use(builtinKernel(), fixture(name), name, args));
    expect(wide.length).toBeGreaterThan(2);
    expect(texts(use(narrow, narrowFixture(name), name, args))).toEqual(wide);
    expect(texts(use(narrow, narrowFixture(name), name, args, 'wasm'))).toEqual(wide);
  });

  it('prints pointers with eight digits', () => {
    const wide = texts(use(builtinKernel(), fixture('formats'), 'formats', ''));
    const lines = texts(use(narrow, narrowFixture('formats'), 'formats', ''));
    const shorter = (line: string): string =>
      line.replace(/\b0{8}(?=0{8}\b)/g, '').replace('/0xffb ', '/0xfff ');
    expect(lines).toEqual(wide.map(shorter));
  });

  it('finds exports of one module in another', () => {
    const k = bootLinux(narrow);
    expect(insmod(k, narrowFixture('exporter')).outcome).toBe('loaded');
    expect(insmod(k, narrowFixture('importer_gpl')).outcome).toBe('loaded');
    expect(rmmod(k, 'exporter').outcome).toBe('refused');
    expect(rmmod(k, 'importer_gpl').outcome).toBe('unloaded');
    expect(rmmod(k, 'exporter').outcome).toBe('unloaded');
  });

  it('reports a fault in its own form', () => {
    const k = bootLinux(narrow);
    const result = insmod(k, narrowFixture('oops_init'));
    expect(result.outcome).toBe('killed');
    const lines = k.log.records.map(({ text }) => text);
    expect(lines).toContain('BUG: kernel NULL pointer dereference, address: 00000000');
    expect(lines.some((line) => /^EIP: oops_init_init\+0x\w+\/0x1000 \[oops_init\]$/.test(line))).toBe(true);
    expect(
      lines.some((line) =>
        /^EAX: [0-9a-f]{8} EBX: [0-9a-f]{8} ECX: [0-9a-f]{8} EDX: [0-9a-f]{8}$/.test(line),
      ),
    ).toBe(true);
    expect(lines.some((line) => /RAX|RIP/.test(line))).toBe(false);
  });

  it('writes a long as wide as it is, and divides what has no instruction', () => {
    const k = bootLinux(narrow);
    const text = k.heap.allocate(32);
    const out = text + 16;
    const call = (name: string, ...args: (number | bigint)[]): number =>
      k.runTask('test', k.callWide(k.addressOf(name), ...args));
    k.memory.write(text, new TextEncoder().encode('-17\0'));
    k.memory.fill(out, 16, 0x55);
    expect(call('_kstrtol', text, 10, out) | 0).toBe(0);
    expect([k.memory.i32(out), k.memory.u32(out + 4)]).toEqual([-17, 0x55555555]);
    k.memory.write(text, new TextEncoder().encode('99999999999\0'));
    expect(call('_kstrtol', text, 10, out) | 0).toBe(-34);
    expect(call('div64_s64', -1_000_000_000_007n, 1_000_000_000n)).toBe(-1000);
    expect(call('div64_u64_rem', 1_000_000_000_007n, 1_000_000_000n, out)).toBe(1000);
    expect(k.memory.u64(out)).toBe(7n);
    expect(call('div_s64_rem', -1_000_000_000_007n, 10, out)).toBe(-100_000_000_000);
    expect([k.memory.i32(out), k.memory.u32(out + 4)]).toEqual([-7, 0]);
    expect(call('int_sqrt64', 2n ** 40n + 5n) % 2 ** 32).toBe(2 ** 20);
    expect(() => call('div64_u64', 1n, 0n)).toThrow('divide error');
  });

  it('takes no module of another machine, nor gives its own away', () => {
    const wrong = insmod(bootLinux(narrow), fixture('hello'));
    expect(wrong.outcome === 'refused' && wrong.refusal.message).toContain('this kernel runs on i386 (3)');
    const other = insmod(bootLinux(builtinKernel()), narrowFixture('hello'));
    expect(other.outcome === 'refused' && other.refusal.message).toContain('this kernel runs on x86-64 (62)');
  });

  it('bounds what a damaged module can do', () => {
    const good = narrowFixture('hello');
    for (let seed = 1; seed <= 300; seed++) {
      const bytes = good.slice();
      let state = seed;
      for (let n = 0; n < 1 + (seed % 5); n++) {
        state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
        bytes[state % bytes.length] = (state >>> 24) ^ n;
      }
      const k = bootLinux(narrow, { ramMiB: 8 });
      expect(['loaded', 'refused', 'killed', 'missing'], `seed ${seed}`).toContain(insmod(k, bytes).outcome);
    }
  });
});
