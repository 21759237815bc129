/**
 * Random instructions out of the decoder's own tables, for differential tests. The encoder is independent of the
 * decoder's code: it writes prefixes, ModRM, SIB, displacement and immediates by the operand specifications.
 */
import { compileMap, type MapName } from '../../../src/cpu/x86/compile-table.ts';
import { LITERAL_BASE, type OpcodeRow, RowFlag, WHERE, WIDTH } from '../../../src/cpu/x86/opcode-row.ts';
import { mnemonicName } from '../../../src/cpu/x86/table.ts';
import type { Random } from './random.ts';

/** One way to encode one mnemonic. */
export interface Template {
  readonly name: string;
  readonly row: OpcodeRow;
  readonly map: 'one' | '0f' | '0f38' | '0f3a' | 'vex2' | 'vex3';
  readonly opcode: number;
  /** Mandatory prefix 0 none, 1 66, 2 F3, 3 F2; -1 free. */
  readonly prefix: number;
  /** 0 memory, 1 register, -1 free; ModRM.reg and .rm or -1. */
  readonly mod: number;
  readonly reg: number;
  readonly rm: number;
}

function templatesOf(bits: 32 | 64, name: MapName, kind: Template['map'], into: Template[]): void {
  compileMap(bits, name).forEach((slot, opcode) => {
    slot?.rows.forEach((row, n) => {
      if (row === undefined) return;
      const part = (stride: number, count: number) => (stride ? Math.floor(n / stride) % count : -1);
      into.push({
        name: mnemonicName(row.names[1]),
        row,
        map: kind,
        opcode,
        prefix: part(slot.prefixStride, 4),
        mod: part(slot.modStride, 2),
        reg: part(slot.regStride, 8),
        rm: part(slot.rmStride, 8),
      });
    });
  });
}

/** Every template of a mode, by mnemonic. `movsd` and `cmpsd` of SSE have a name of their own: `movsd.sse`. */
export function templates(bits: 32 | 64): Map<string, Template[]> {
  const all: Template[] = [];
  templatesOf(bits, 'oneByte', 'one', all);
  templatesOf(bits, 'map0F', '0f', all);
  templatesOf(bits, 'map0F38', '0f38', all);
  templatesOf(bits, 'map0F3A', '0f3a', all);
  templatesOf(bits, 'vex2', 'vex2', all);
  templatesOf(bits, 'vex3', 'vex3', all);
  const byName = new Map<string, Template[]>();
  for (const template of all) {
    const key = template.row.flags & RowFlag.Simd ? `${template.name}.sse` : template.name;
    byName.set(key, [...(byName.get(key) ?? []), template]);
  }
  return byName;
}

/** What a case wants of an encoding. */
export interface Wish {
  readonly bits: 32 | 64;
  /** General registers to choose from for register operands. */
  readonly registers: readonly number[];
  /** Base registers for memory operands; empty for RIP-relative and absolute only. */
  readonly bases: readonly number[];
  readonly indexes: readonly number[];
  /** Memory operand allowed at all. */
  readonly memory: boolean;
  /** 67 prefix allowed. */
  readonly shortAddress: boolean;
}

export interface Encoded {
  readonly bytes: number[];
  /** Offset of a 4-byte displacement to patch, or -1 when there is none. */
  readonly dispAt: number;
}

/** Collects the parts of one instruction. */
class Encoder {
  readonly #random: Random;
  readonly #wish: Wish;
  rex = 0;
  modrm = 0;
  sib = -1;
  disp: number[] = [];
  vvvv = 0;
  imm: number[] = [];
  operandSize = 4;
  needsRex = false;
  forbidRex = false;

  constructor(random: Random, wish: Wish) {
    this.#random = random;
    this.#wish = wish;
  }

  #register(size: number): number {
    const reg = this.#random.pick(this.#wish.registers);
    // Half of the byte operands 4..7 mean ah..bh, which exist only without REX.
    if (size === 1 && reg >= 4 && reg < 8) {
      if (this.#wish.bits === 32 || this.forbidRex || (!this.needsRex && this.#random.oneIn(2)))
        this.forbidRex = true;
      else this.needsRex = true;
    }
    return reg;
  }

  reg(size: number): void {
    const reg = this.#register(size);
    this.modrm |= (reg & 7) << 3;
    if (reg & 8) this.rex |= 4;
  }

  xmmReg(): void {
    const reg = this.#random.below(this.#wish.bits / 4);
    this.modrm |= (reg & 7) << 3;
    if (reg & 8) this.rex |= 4;
  }

  rmRegister(reg: number): void {
    this.modrm |= 0xc0 | (reg & 7);
    if (reg & 8) this.rex |= 1;
  }

  rmGeneral(size: number): void {
    this.rmRegister(this.#register(size));
  }

  rmXmm(): void {
    this.rmRegister(this.#random.below(this.#wish.bits / 4));
  }

  mmxReg(): void {
    this.modrm |= this.#random.below(8) << 3;
  }

  rmMmx(): void {
    this.rmRegister(this.#random.below(8));
  }

  opcodeRegister(size: number): number {
    const reg = this.#register(size);
    if (reg & 8) this.rex |= 1;
    return reg & 7;
  }

  vexRegister(): void {
    this.vvvv = this.#random.pick(this.#wish.registers);
  }

  /** A memory operand; its 4-byte displacement is patched later, so it is always encoded in full. */
  rmMemory(): void {
    const random = this.#random;
    const bases = this.#wish.bases;
    this.disp = [0, 0, 0, 0];
    const form = random.below(bases.length > 0 ? 8 : 2);
    if (form === 0) this.modrm |= 5;
    else if (form === 1) {
      this.modrm |= 4;
      this.sib = 0x25;
    } else this.#withBase(form);
  }

  #withBase(form: number): void {
    const random = this.#random;
    const base = random.pick(this.#wish.bases);
    this.modrm |= 0x80;
    if (base & 8) this.rex |= 1;
    if (form < 5 && (base & 7) !== 4) {
      this.modrm |= base & 7;
      return;
    }
    const choices = this.#wish.indexes.filter((reg) => reg !== 4 && reg !== base);
    const index = choices.length > 0 && form >= 5 ? random.pick(choices) : 4;
    if (index & 8) this.rex |= 2;
    this.modrm |= 4;
    this.sib = (random.below(4) << 6) | ((index & 7) << 3) | (base & 7);
  }

  immediate(width: string): void {
    const bytes = width === 'w' ? 2 : width.startsWith('b') ? 1 : this.#immediateBytes(width);
    const value = this.#random.word64();
    for (let n = 0; n < bytes; n++) this.imm.push(Number((value >> BigInt(8 * n)) & 0xffn));
  }

  #immediateBytes(width: string): number {
    return this.operandSize === 8 && width === 'z' ? 4 : this.operandSize;
  }
}

const SIZES: Record<string, number> = { b: 1, w: 2, d: 4, q: 8, x: 16, n: 8 };

function widthBytes(width: string, operandSize: number, rexW: boolean): number {
  if (width === 'v' || width === 'bs') return operandSize;
  if (width === 'z') return Math.min(operandSize, 4);
  if (width === 'y') return rexW ? 8 : 4;
  return SIZES[width] ?? 0;
}

/** True when the instruction's operand size may be varied with 66 and REX.W. */
function variableSize(row: OpcodeRow): boolean {
  return (
    row.operands.some((spec) => spec >= LITERAL_BASE || /[vzy]|bs/.test(WIDTH[spec & 15])) || row.flags > 0
  );
}

const ESCAPES: Record<string, number[]> = {
  one: [],
  '0f': [0x0f],
  '0f38': [0x0f, 0x38],
  '0f3a': [0x0f, 0x3a],
};
const MANDATORY = [0, 0x66, 0xf3, 0xf2];

/** Encodes the template with random operands; undefined when this wish cannot be met (no memory form allowed). */
export function encode(random: Random, template: Template, wish: Wish): Encoded | undefined {
  const { row } = template;
  const e = new Encoder(random, wish);
  const isVex = template.map.startsWith('vex');
  const sized = variableSize(row) || row.names[0] !== row.names[2];
  const use66 = sized && !isVex && template.prefix !== 1 && random.oneIn(6);
  const rexW = wish.bits === 64 && sized && random.oneIn(2);
  e.operandSize = rexW ? 8 : use66 ? 2 : wish.bits === 64 && row.flags & RowFlag.Default64 ? 8 : 4;
  if (rexW) e.rex |= 8;
  const toMemory = template.mod === 0 || (template.mod < 0 && wish.memory && random.oneIn(2));
  if (toMemory && !wish.memory) return undefined;
  let opcode = template.opcode;
  if (template.reg >= 0) e.modrm |= template.reg << 3;
  if (template.rm >= 0 && template.mod !== 0) e.modrm |= 0xc0 | template.rm;
  for (const spec of row.operands) {
    if (spec >= LITERAL_BASE) continue;
    const where = WHERE[spec >> 4];
    const size = widthBytes(WIDTH[spec & 15], e.operandSize, rexW);
    if (where === 'Z') opcode = (opcode & ~7) | e.opcodeRegister(size);
    else if (!encodeOperand(e, where, WIDTH[spec & 15], size, toMemory)) return undefined;
  }
  if (row.modrm && e.modrm < 0xc0 && e.disp.length === 0 && template.mod !== 0) e.modrm |= 0xc0;
  if (e.forbidRex && (e.rex !== 0 || e.needsRex)) return undefined;
  const short = e.disp.length > 0 && wish.shortAddress && random.oneIn(16);
  return assemble(e, template, opcode, use66, short, isVex);
}

function encodeOperand(e: Encoder, where: string, width: string, size: number, toMemory: boolean): boolean {
  switch (where) {
    case 'E':
      if (toMemory) e.rmMemory();
      else e.rmGeneral(size);
      return true;
    case 'W':
      if (toMemory) e.rmMemory();
      else e.rmXmm();
      return true;
    case 'M':
      e.rmMemory();
      return toMemory;
    case 'R':
      if (toMemory) return false;
      e.rmGeneral(size);
      return true;
    case 'U':
      e.rmXmm();
      return !toMemory;
    case 'P':
      e.mmxReg();
      return true;
    case 'Q':
      if (toMemory) e.rmMemory();
      else e.rmMmx();
      return true;
    case 'N':
      e.rmMmx();
      return !toMemory;
    case 'G':
      e.reg(size);
      return true;
    case 'V':
      e.xmmReg();
      return true;
    case 'B':
      e.vexRegister();
      return true;
    case 'I':
      e.immediate(width);
      return true;
    case 'J':
      e.imm.push(...(width === 'b' ? [0] : [0, 0, 0, 0]));
      return true;
    case 'X':
    case 'Y':
      return true;
    default:
      return false;
  }
}

function assemble(
  e: Encoder,
  template: Template,
  opcode: number,
  use66: boolean,
  short: boolean,
  isVex: boolean,
): Encoded {
  const bytes: number[] = [];
  if (short) bytes.push(0x67);
  if (isVex) {
    const map = template.map === 'vex2' ? 2 : 3;
    // Mandatory prefixes in VEX.pp order are the table's order already: none, 66, F3, F2.
    bytes.push(0xc4, ((~e.rex & 7) << 5) | map);
    bytes.push(((e.rex & 8) << 4) | ((~e.vvvv & 15) << 3) | template.prefix, opcode);
  } else {
    if (use66) bytes.push(0x66);
    if (template.prefix > 0) bytes.push(MANDATORY[template.prefix]);
    if (e.rex !== 0 || e.needsRex) bytes.push(0x40 | e.rex);
    bytes.push(...ESCAPES[template.map], opcode);
  }
  if (template.row.modrm) bytes.push(e.modrm);
  if (e.sib >= 0) bytes.push(e.sib);
  const dispAt = e.disp.length > 0 ? bytes.length : -1;
  bytes.push(...e.disp, ...e.imm);
  return { bytes, dispAt };
}
