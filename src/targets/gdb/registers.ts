/** The registers of a machine as gdb numbers them, and the target description that tells it so. */

import { Reg } from '../../cpu/ir.ts';
import { coprocessorView } from '../../cpu/x87-unit.ts';
import type { Kernel } from '../../kernel/kernel.ts';

interface Register {
  readonly name: string;
  readonly bits: number;
  /** gdb's type; a plain integer when left out. */
  readonly type?: string;
  readonly group?: string;
  /** Absent where this machine has no such register: it reads as zero. */
  readonly read?: (k: Kernel) => bigint;
  readonly write?: (k: Kernel, value: bigint) => void;
}

/** In the order of gdb's own features (i386-32bit-core.xml, i386-64bit-core.xml and the sse ones). */
export class RegisterSet {
  readonly #features: readonly { readonly name: string; readonly registers: readonly Register[] }[];
  readonly #all: readonly Register[];
  readonly #architecture: string;

  constructor(bits: 32 | 64) {
    const wide = bits === 64;
    this.#architecture = wide ? 'i386:x86-64' : 'i386';
    this.#features = [
      { name: 'org.gnu.gdb.i386.core', registers: [...general(bits), ...SEGMENTS, ...FLOATING] },
      { name: 'org.gnu.gdb.i386.sse', registers: [...vectors(wide ? 16 : 8), MXCSR] },
      ...(wide ? [{ name: 'org.gnu.gdb.i386.segments', registers: BASES }] : []),
    ];
    this.#all = this.#features.flatMap(({ registers }) => registers);
  }

  /** The number of the register that holds the address of the next instruction. */
  get programCounter(): number {
    return this.#all.findIndex(({ name }) => name === 'rip' || name === 'eip');
  }

  get count(): number {
    return this.#all.length;
  }

  /** As bytes of the target, in hexadecimal; undefined when there is no such register. */
  read(k: Kernel, number: number): string | undefined {
    const register = this.#all[number];
    if (register === undefined) return undefined;
    let value = BigInt.asUintN(register.bits, register.read?.(k) ?? 0n);
    let hex = '';
    for (let bit = 0; bit < register.bits; bit += 8, value >>= 8n)
      hex += Number(value & 255n)
        .toString(16)
        .padStart(2, '0');
    return hex;
  }

  /** False when there is no such register. */
  write(k: Kernel, number: number, bytes: Uint8Array): boolean {
    const register = this.#all[number];
    if (register === undefined) return false;
    register.write?.(
      k,
      [...bytes].reduceRight((value, byte) => (value << 8n) | BigInt(byte), 0n),
    );
    return true;
  }

  /** Bytes of a register in the packets that carry all of them. */
  bytes(number: number): number {
    return (this.#all[number]?.bits ?? 0) / 8;
  }

  /** XML of the target (GDB manual, appendix G). Without an operating system gdb asks for the libraries itself. */
  get description(): string {
    const features = this.#features.map(
      ({ name, registers }) =>
        `<feature name="${name}">${name.endsWith('.sse') ? VECTOR_TYPES : ''}${registers.map(xml).join('')}</feature>`,
    );
    return (
      '<?xml version="1.0"?><!DOCTYPE target SYSTEM "gdb-target.dtd"><target version="1.0">' +
      `<architecture>${this.#architecture}</architecture><osabi>none</osabi>${features.join('')}</target>`
    );
  }
}

/** 16 bytes as gdb likes to show them. */
const VECTOR_TYPES =
  '<vector id="v4f" type="ieee_single" count="4"/><vector id="v2d" type="ieee_double" count="2"/>' +
  '<vector id="v16i8" type="int8" count="16"/><vector id="v8i16" type="int16" count="8"/><vector id="v4i32" type="int32" count="4"/>' +
  '<vector id="v2i64" type="int64" count="2"/><union id="vec128"><field name="v4_float" type="v4f"/>' +
  '<field name="v2_double" type="v2d"/><field name="v16_int8" type="v16i8"/><field name="v8_int16" type="v8i16"/>' +
  '<field name="v4_int32" type="v4i32"/><field name="v2_int64" type="v2i64"/>' +
  '<field name="uint128" type="uint128"/></union>';

function xml({ name, bits, type, group }: Register): string {
  const grouped = group === undefined ? '' : ` group="${group}"`;
  return `<reg name="${name}" bitsize="${bits}" type="${type ?? 'int'}"${grouped}/>`;
}

/** Hardware numbers in gdb's order: ax bx cx dx si di bp sp in long mode, ax cx dx bx sp bp si di in protected mode. */
const ORDER_64 = [0, 3, 1, 2, 6, 7, 5, 4, 8, 9, 10, 11, 12, 13, 14, 15];
const ORDER_32 = [0, 1, 2, 3, 4, 5, 6, 7];
const NAMES = ['ax', 'cx', 'dx', 'bx', 'sp', 'bp', 'si', 'di'];

function general(bits: 32 | 64): Register[] {
  const wide = bits === 64;
  const registers = (wide ? ORDER_64 : ORDER_32).map((n): Register => {
    const name = n < 8 ? `${wide ? 'r' : 'e'}${NAMES[n]}` : `r${n}`;
    const type = n === 4 || n === 5 ? 'data_ptr' : `int${bits}`;
    const write = (k: Kernel, value: bigint): void => k.cpu.setGprBig(n, value);
    return { name, bits, type, read: (k) => k.cpu.gprBig(n), write };
  });
  const counter: Register = {
    name: wide ? 'rip' : 'eip',
    bits,
    type: 'code_ptr',
    read: (k) => BigInt(k.cpu.rip),
    write: (k, value) => {
      k.cpu.rip = wide ? Number(BigInt.asIntN(64, value)) : Number(value);
    },
  };
  const flags: Register = {
    name: 'eflags',
    bits: 32,
    type: 'int32',
    read: (k) => BigInt(k.cpu.rflags),
    write: (k, value) => {
      k.cpu.rflags = Number(BigInt.asUintN(32, value)) | 0;
    },
  };
  return [...registers, counter, flags];
}

/** Selectors, by the order in which gdb has them; the processor's own order is es cs ss ds fs gs. */
const SEGMENTS: readonly Register[] = (['cs', 'ss', 'ds', 'es', 'fs', 'gs'] as const).map((name) => ({
  name,
  bits: 32,
  type: 'int32',
  read: (k) => BigInt(k.cpu.segments[['es', 'cs', 'ss', 'ds', 'fs', 'gs'].indexOf(name)]),
}));

/** A word of the coprocessor. */
const word = (name: string, which: 'control' | 'status' | 'tags'): Register => ({
  name,
  bits: 32,
  type: 'int',
  group: 'float',
  read: (k) => BigInt(coprocessorView(k.cpu)[which]),
  write: (k, value) => {
    coprocessorView(k.cpu)[which] = Number(value & 0xffffn);
  },
});

/** Where the last instruction of the coprocessor was is not kept. */
const FLOATING: readonly Register[] = [
  ...Array.from({ length: 8 }, (_, n): Register => {
    const read = (k: Kernel): bigint => coprocessorView(k.cpu).register(n);
    const write = (k: Kernel, value: bigint): void => coprocessorView(k.cpu).setRegister(n, value);
    return { name: `st${n}`, bits: 80, type: 'i387_ext', read, write };
  }),
  word('fctrl', 'control'),
  word('fstat', 'status'),
  word('ftag', 'tags'),
  ...['fiseg', 'fioff', 'foseg', 'fooff', 'fop'].map(
    (name): Register => ({ name, bits: 32, type: 'int', group: 'float' }),
  ),
];

function vectors(count: number): Register[] {
  return Array.from({ length: count }, (_, n) => ({
    name: `xmm${n}`,
    bits: 128,
    type: 'vec128',
    read: (k) => k.cpu.xmm(n).reduceRight((value, byte) => (value << 8n) | BigInt(byte), 0n),
    write: (k, value) => {
      const bytes = k.cpu.xmm(n);
      for (let i = 0; i < 16; i++) bytes[i] = Number((value >> BigInt(i * 8)) & 255n);
    },
  }));
}

const MXCSR: Register = {
  name: 'mxcsr',
  bits: 32,
  type: 'int',
  group: 'vector',
  read: (k) => BigInt(k.cpu.mxcsr),
  write: (k, value) => {
    k.cpu.mxcsr = Number(BigInt.asUintN(32, value));
  },
};

const BASES: readonly Register[] = [base('fs_base', Reg.FS), base('gs_base', Reg.GS)];

function base(name: string, register: number): Register {
  return {
    name,
    bits: 64,
    type: 'int',
    read: (k) => k.cpu.gprBig(register),
    write: (k, value) => k.cpu.setGprBig(register, value),
  };
}
