import { describe, expect, it } from 'vitest';
import { Unwinder } from '../../../src/cpu/x86/unwind.ts';

const CODE = 0x1000;
const STACK = 0x8000;

/** A memory of code and eightbytes of stack. */
function machine(code: readonly number[], stack: Readonly<Record<number, number>>) {
  return (address: number, length: number): Uint8Array => {
    if (address >= STACK - 0x1000) {
      const bytes = new Uint8Array(8);
      new DataView(bytes.buffer).setBigInt64(0, BigInt(stack[address] ?? 0), true);
      return bytes;
    }
    return Uint8Array.from(code).subarray(address - CODE, address - CODE + length);
  };
}

describe('callers without unwind tables', () => {
  // push %rbp; push %rbx; sub $0x18,%rsp; test %edi,%edi; je +7; add $0x18,%rsp; pop %rbx; pop %rbp; ret; nop ...
  const code = [
    0x55, 0x53, 0x48, 0x83, 0xec, 0x18, 0x85, 0xff, 0x74, 0x07, 0x48, 0x83, 0xc4, 0x18, 0x5b, 0x5d, 0xc3,
    0x90, 0x48, 0x83, 0xc4, 0x18, 0x5b, 0x5d, 0xc3,
  ];
  const top = STACK + 0x40;
  const peek = machine(code, { [top]: 0x4242, [top - 8]: 0x7777 });
  const at = (offset: number, pushed: number) =>
    new Unwinder(64).caller(peek, CODE, { ip: CODE + offset, sp: top - pushed, fp: 0x9999 });

  it('counts what was pushed, at every instruction', () => {
    const through: [number, number][] = [
      [0, 0],
      [1, 8],
      [2, 16],
      [6, 40],
      [10, 40],
      [14, 16],
      [15, 8],
      [16, 0],
    ];
    for (const [offset, pushed] of through)
      expect(at(offset, pushed), `at ${offset}`).toMatchObject({ ip: 0x4242, sp: top + 8 });
  });

  it('gives the caller its frame pointer back', () => {
    expect(at(0, 0)?.fp).toBe(0x9999);
    expect(at(6, 40)?.fp).toBe(0x7777);
  });

  it('follows the branch that leads there, not the code between', () => {
    expect(at(18, 40)).toMatchObject({ ip: 0x4242 });
    expect(at(24, 0)).toMatchObject({ ip: 0x4242 });
  });

  it('uses the frame pointer after the stack was aligned', () => {
    // push %rbp; mov %rsp,%rbp; and $-16,%rsp; sub $0x20,%rsp; nop
    const aligned = [0x55, 0x48, 0x89, 0xe5, 0x48, 0x83, 0xe4, 0xf0, 0x48, 0x83, 0xec, 0x20, 0x90];
    const frame = { ip: CODE + 12, sp: STACK, fp: top - 8 };
    expect(
      new Unwinder(64).caller(machine(aligned, { [top]: 0x4242, [top - 8]: 0x7777 }), CODE, frame),
    ).toEqual({
      ip: 0x4242,
      sp: top + 8,
      fp: 0x7777,
    });
  });

  it('says so when it cannot tell', () => {
    expect(
      new Unwinder(64).caller(machine([0x0f, 0x0b], {}), CODE, { ip: CODE + 9, sp: top, fp: 0 }),
    ).toBeUndefined();
  });
});
