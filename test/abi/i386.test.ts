/** The 32-bit conventions against a compiler's idea of them. */
import { describe, expect, it } from 'vitest';
import {
  type Argument,
  type CallKind,
  callKindOf,
  type Signature,
  type VarArgs,
} from '../../src/abi/convention.ts';
import { I386 } from '../../src/abi/i386.ts';
import { Exit } from '../../src/cpu/cpu.ts';
import { buildNative, nativeCompiler } from '../cpu/x86/native.ts';
import { Program } from '../cpu/x86/program.ts';
import { describeWith } from '../real/require.ts';

const FLAT = [
  ...[
    '-m32',
    '-w',
    '-ffreestanding',
    '-fno-pic',
    '-fno-pie',
    '-no-pie',
    '-fno-stack-protector',
    '-nostdlib',
    '-static',
  ],
  ...['-mgeneral-regs-only', '-Wl,-Ttext=0x20000000', '-Wl,-e,variadic_sum', '-Wl,--build-id=none'],
];
const KINDS: readonly CallKind[] = ['cdecl', 'stdcall', 'fastcall', 'thiscall', 'regparm3'];
const LEVELS = ['-O0', '-O2'];
const BACK = 0x10001000;
const RETURN_TO = 0x10000000;
const STACK = 0x4000f000;

const MIXED: Signature['parameters'] = ['u32', 'u8', 'u64', 'i16', 'u64', 'u32'];
const mask = (value: bigint): bigint => BigInt.asUintN(64, value);
const mixed = (a: number, b: number, c: bigint, d: number, e: bigint, f: number): bigint =>
  mask((BigInt(a) << 32n) + BigInt(b) * 1000003n + c * 31n + BigInt(d) * 17n + e * 7n + BigInt(f));

function load(kind: CallKind, level: string, structs: 'registers' | 'memory' = 'registers') {
  const regparm = kind === 'regparm3' ? ['-mregparm=3', '-DALL_REGPARM'] : [];
  const returning = structs === 'registers' ? '-freg-struct-return' : '-fpcc-struct-return';
  const program = new Program(buildNative('conventions.c', [level, ...FLAT, ...regparm, returning]));
  const abi = new I386(program.memory, kind, { smallStructs: structs });
  program.cpu.addHostEntry(BACK, 2);
  return { program, abi };
}

type Loaded = ReturnType<typeof load>;

/** Calls `name` with the address of a host entry; each call of that is answered by `back`. */
function callOut(
  { program, abi }: Loaded,
  name: string,
  signature: Signature,
  back: (args: Argument[]) => unknown,
  outer: CallKind,
): bigint {
  const { cpu, memory } = program;
  const caller = new I386(memory, outer);
  const entry = program.symbols.get(name);
  if (entry === undefined) throw new Error(`no symbol ${name}`);
  cpu.setGpr(4, STACK);
  const mark = caller.enterFunction(cpu, entry, [BACK], RETURN_TO);
  for (;;) {
    const exit = cpu.run(10_000);
    if (exit !== Exit.Host) throw new Error(`exit ${exit} at 0x${cpu.rip.toString(16)}`);
    if (cpu.exitHostId === 1) break;
    abi.finish(cpu, signature, back(abi.readArguments(cpu, signature)));
  }
  // Whoever had to took the arguments off: the stack is where it was before the call, rounded down for its argument.
  expect(cpu.gpr(4)).toBe(outer === 'cdecl' ? STACK - 16 : STACK);
  const result = caller.resultBig(cpu);
  caller.leaveFunction(cpu, mark);
  return result;
}

describeWith(nativeCompiler(), '32-bit calls', () => {
  for (const kind of KINDS) {
    // The functions that take the pointer are compiled with the default convention of their file.
    const outer: CallKind = kind === 'regparm3' ? 'regparm3' : 'cdecl';
    const signature = (parameters: Signature['parameters'], returns: Signature['returns']): Signature => ({
      name: 'back',
      returns,
      parameters,
      variadic: false,
    });

    for (const level of LEVELS) {
      it(`${kind} ${level}: into the guest`, () => {
        const { program, abi } = load(kind, level);
        const call = (name: string, args: readonly (number | bigint)[]): bigint => {
          const { cpu } = program;
          cpu.setGpr(4, STACK);
          abi.enterFunction(cpu, program.symbols.get(name) ?? 0, args, RETURN_TO);
          expect(cpu.run(10_000)).toBe(Exit.Host);
          return abi.resultBig(cpu);
        };
        const args = [0xfedcba98, 0x1ff, 0x1122334455667788n, 0x8000, -3n, 5] as const;
        const wanted = mixed(0xfedcba98, 0xff, 0x1122334455667788n, -0x8000, mask(-3n), 5);
        expect(call(`${kind}_mixed`, args)).toBe(wanted);
        expect(Number(call(`${kind}_three`, [100, 7, 11]) & 0xffffffffn)).toBe(100 - 14 + 33);
      });

      it(`${kind} ${level}: out of the guest`, () => {
        const loaded = load(kind, level);
        let seen: Argument[] = [];
        const result = callOut(
          loaded,
          `${kind}_out`,
          signature(MIXED, 'u64'),
          (args) => {
            seen = args;
            return 0xffff_ffff_0000_0001n;
          },
          outer,
        );
        expect(seen).toEqual([0x11223344, 0x55, 0x0102030405060708n, -5, 0xfffffffffffffff0n, 9]);
        expect(result).toBe(0xffff_ffff_0000_0002n);
        const calls: Argument[][] = [];
        const plain = callOut(
          loaded,
          `${kind}_void`,
          signature(['u32', 'u64'], 'void'),
          (args) => {
            calls.push(args);
          },
          outer,
        );
        expect(calls).toEqual([
          [7, 8n],
          [9, 10n],
        ]);
        expect(Number(plain & 0xffffffffn)).toBe(77);
      });

      it(`${kind} ${level}: structures`, () => {
        for (const structs of ['registers', 'memory'] as const) {
          const loaded = load(kind, level, structs);
          const small = { ...signature(['u32'], 'struct'), returnBytes: 8 };
          const answer = callOut(
            loaded,
            `${kind}_small`,
            small,
            ([a]) => [BigInt(a as number) | (3n << 32n)],
            outer,
          );
          expect(Number(answer & 0xffffffffn)).toBe(53);
          if (structs === 'registers') continue;
          const large = { ...signature(['u32', 'u32'], 'struct'), returnBytes: 20 };
          const pieces = [1n | (2n << 32n), 3n | (4n << 32n), 5n];
          const sum = callOut(loaded, `${kind}_large`, large, () => pieces, outer);
          expect(Number(sum & 0xffffffffn)).toBe(1 + 4 + 9 + 16 + 25);
        }
      });
    }
  }

  for (const kind of ['cdecl', 'regparm3'] as const) {
    it(`${kind}: variable arguments`, () => {
      const loaded = load(kind, '-O2');
      const { program } = loaded;
      const { cpu } = program;
      cpu.setGpr(4, STACK);
      new I386(program.memory, 'cdecl').enterFunction(
        cpu,
        program.symbols.get('variadic_sum') ?? 0,
        [3, 5, 0x100000000n, 7],
        RETURN_TO,
      );
      expect(cpu.run(10_000)).toBe(Exit.Host);
      expect(loaded.abi.resultBig(cpu)).toBe((5n * 3n + 0x100000000n) * 3n + 7n);

      const variadic: Signature = { name: 'back', returns: 'u32', parameters: ['pointer'], variadic: true };
      const got: unknown[] = [];
      const read = (args: Argument[]): number => {
        const [text, more] = args as [number, VarArgs];
        const again = more.copy();
        got.push(program.memory.cstring(text), more.i32(), more.u64(), more.i32(), again.u32());
        return 41;
      };
      expect(Number(callOut(loaded, 'variadic_out', variadic, read, kind) & 0xffffffffn)).toBe(42);
      expect(got).toEqual(['text', 1, 0x100000002n, -3, 1]);

      const list: Signature = {
        name: 'back',
        returns: 'u32',
        parameters: ['i32', 'valist'],
        variadic: false,
      };
      const sum = callOut(
        loaded,
        'list_out',
        list,
        (args) => {
          const [count, words] = args as [number, VarArgs];
          return count + words.i32() + Number(words.u64() & 0xffn) + words.long();
        },
        kind,
      );
      expect(Number(sum & 0xffffffffn)).toBe(3 + 10 + 3 + 30);
    });
  }
});

describe('a declaration', () => {
  it('names its convention before the parameters', () => {
    expect(callKindOf('NTSTATUS NTAPI f(int a)')).toBe('stdcall');
    expect(callKindOf('LONG __fastcall f(int a)')).toBe('fastcall');
    expect(callKindOf('asmlinkage int printk(const char *text, ...)')).toBe('cdecl');
    expect(callKindOf('int f(void (__stdcall *g)(int))')).toBeUndefined();
  });
});
