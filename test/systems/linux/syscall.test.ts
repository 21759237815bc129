/** The two gates into the kernel: syscall of 64-bit code, int 0x80 of i386, which 64-bit kernels have too. */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { Perm } from '../../../src/memory/space.ts';
import { bootLinux } from '../../../src/systems/linux/bootkernel.ts';
import { lookupName } from '../../../src/systems/linux/functions/kprobes.ts';
import type { KernelFile } from '../../../src/systems/linux/kernelfile/kernelfile.ts';
import { readKernel } from '../../../src/systems/linux/kernelfile/open.ts';
import type { Linux } from '../../../src/systems/linux/linux.ts';
import { systemCall } from '../../../src/systems/linux/syscall.ts';
import { builtinKernel } from './kernel.ts';

const narrowBytes = readFileSync(new URL('../../../profiles/debian-6.1-686.kernel', import.meta.url));
const wide = (): Linux => bootLinux(builtinKernel());
const narrow = (): Linux => bootLinux(readKernel(narrowBytes));

/** The same kernel before calls went through a switch (6.1.85). */
const older = (file: KernelFile): KernelFile =>
  new Proxy(file, {
    get: (of, name) => {
      if (name === 'banner') return of.banner.replace(/Debian 6\.1\.\d+/, 'Debian 6.1.76');
      const value: unknown = Reflect.get(of, name, of);
      return typeof value === 'function' ? value.bind(of) : value;
    },
  });

const ENOSYS = -38;

/** What machine code leaves in the result register. */
function run(k: Linux, ...code: number[]): number {
  const at = k.mapPages(k.vmallocArea, 1, Perm.R | Perm.X, 'code');
  k.memory.poke(at, Uint8Array.from([...code, 0xc3]));
  let result = 0;
  k.runTask(
    'test',
    (function* () {
      result = Number(yield* k.call(at)) | 0;
    })(),
  );
  return result;
}

function call(k: Linux, number: number, ...args: number[]): number {
  let result = 0;
  k.runTask(
    'test',
    (function* () {
      result = yield* systemCall(k, number, args);
    })(),
  );
  return result;
}

/** mov eax, n; int 0x80 */
const int80 = (number: number): number[] => [0xb8, number, 0, 0, 0, 0xcd, 0x80];

describe('int 0x80', () => {
  const [GETPID, GETUID16, SETSID] = [20, 24, 66];

  it.each([
    ['i386', narrow],
    ['x86-64', wide],
  ])('is served by the numbers of i386 (%s)', (_, boot) => {
    const k = boot();
    const pid = run(k, ...int80(GETPID));
    expect(pid).toBeGreaterThan(0);
    expect(run(k, ...int80(GETUID16))).toBe(0);
    expect(run(k, ...int80(SETSID))).toBe(ENOSYS);
    // A negative number.
    expect(run(k, 0x83, 0xc8, 0xff, 0xcd, 0x80)).toBe(ENOSYS);
  });

  it('leaves what it does not return', () => {
    // push ebx; mov ebx, 7; mov eax, 20; int 0x80; mov eax, ebx; pop ebx
    expect(run(narrow(), 0x53, 0xbb, 7, 0, 0, 0, ...int80(GETPID), 0x89, 0xd8, 0x5b)).toBe(7);
  });

  it('is another gate than syscall of 64-bit code', () => {
    const k = wide();
    // mov eax, 39; syscall
    expect(run(k, 0xb8, 39, 0, 0, 0, 0x0f, 0x05)).toBeGreaterThan(0);
    expect(run(k, ...int80(39))).toBe(ENOSYS);
  });
});

describe('sysenter on i386', () => {
  const SYSENTER = [0x0f, 0x34];

  it('is the gate of its own numbers', () => {
    // push ebp; mov ebp, esp; mov eax, 20; sysenter; pop ebp
    expect(run(narrow(), 0x55, 0x89, 0xe5, 0xb8, 20, 0, 0, 0, ...SYSENTER, 0x5d)).toBeGreaterThan(0);
  });

  it('gives the sixth argument, which lay on the stack, back', () => {
    // movl $77,(%ebp) before; xchg %eax,%ebp after
    const code = [0x55, 0x55, 0x89, 0xe5, 0xc7, 0x45, 0, 77, 0, 0, 0, 0xb8, 20, 0, 0, 0, ...SYSENTER];
    expect(run(narrow(), ...code, 0x95, 0x5d, 0x5d)).toBe(77);
  });

  it('refuses a stack that is not there', () => {
    // push ebp; mov ebp, 16; mov eax, 20; sysenter; pop ebp
    expect(run(narrow(), 0x55, 0xbd, 16, 0, 0, 0, 0xb8, 20, 0, 0, 0, ...SYSENTER, 0x5d)).toBe(-14);
  });
});

describe('a program on i386', () => {
  it('calls by its own numbers, whose user and group numbers have sixteen bits or thirty-two', () => {
    const k = narrow();
    expect(call(k, 39)).toBe(ENOSYS);
    expect([24, 47, 49, 50, 199, 200, 201, 202].map((number) => call(k, number))).toEqual(Array(8).fill(0));
    // delete_module of no name
    expect(call(k, 129, 0, 0)).toBe(-14);
  });
});

describe('the tables', () => {
  it('are found where kernels have them', () => {
    for (const k of [wide(), narrow()]) {
      expect(lookupName(k, 'sys_call_table')).not.toBe(0);
      expect(lookupName(k, 'ia32_sys_call_table')).toBe(0);
      expect(lookupName(k, 'ia32_sys_call')).not.toBe(0);
      expect(lookupName(k, 'x64_sys_call') !== 0).toBe(k.word === 8);
      expect(lookupName(k, '__x64_sys_getpid') !== 0).toBe(k.word === 8);
      expect(lookupName(k, '__ia32_sys_getpid')).not.toBe(0);
    }
    const before = bootLinux(older(builtinKernel()));
    expect(lookupName(before, 'ia32_sys_call_table')).not.toBe(0);
    expect(lookupName(before, 'ia32_sys_call')).toBe(0);
  });

  it.each([
    ['i386', () => readKernel(narrowBytes), 'sys_call_table', 4],
    ['x86-64', builtinKernel, 'ia32_sys_call_table', 8],
  ] as const)('are what calls go through before 6.1.85 (%s)', (_, file, name, word) => {
    const k = bootLinux(older(file()));
    const table = lookupName(k, name);
    const entry = (number: number): number => table + number * word;
    expect(k.memory.ptr(entry(20))).toBe(lookupName(k, '__ia32_sys_getpid'));
    const pointer = new Uint8Array(word);
    new DataView(pointer.buffer).setInt32(0, lookupName(k, '__ia32_sys_getuid') | 0, true);
    if (word === 8) new DataView(pointer.buffer).setInt32(4, -1, true);
    // What a module does once it has lifted the protection.
    k.memory.poke(entry(66), pointer);
    expect(run(k, ...int80(66))).toBe(0);
    expect(run(k, ...int80(67))).toBe(ENOSYS);
  });
});
