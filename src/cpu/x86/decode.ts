/**
 * Bytes to decoded x86 instructions, by the tables of opcodes.ts. Nothing is allocated per instruction: the caller
 * keeps one `Instruction` and the decoder fills it.
 */
import { LITERAL_BASE, type Mode, type OpcodeRow, RowFlag } from './opcode-row.ts';
import { hasModrm, type OpcodeMap, opcodeTables, threeDNow, vexMnemonic, xopMnemonic } from './table.ts';

/** The architecture's limit on instruction length (SDM vol. 2, 2.3.11); longer ones raise #GP. */
export const MAX_INSTRUCTION = 15;

/** Kinds of decoded operands. */
export const Operand = {
  None: 0,
  /** General register `reg`, low `size` bytes. */
  Reg: 1,
  /** AH, CH, DH, BH: `reg` is 0..3. */
  High: 2,
  /** The instruction's memory operand, `size` bytes (0 when the size does not matter). */
  Mem: 3,
  /** The instruction's immediate. */
  Imm: 4,
  /** Second immediate of ENTER, EXTRQ, INSERTQ. */
  Imm2: 5,
  /** Relative target, as an absolute address in `target`. */
  Rel: 6,
  Segment: 7,
  Control: 8,
  Debug: 9,
  Xmm: 10,
  Mmx: 11,
  /** String source, segment:rSI. */
  Source: 12,
  /** String destination, ES:rDI. */
  Destination: 13,
  /** Far pointer immediate. */
  Far: 14,
} as const;

/** How decoding ended. */
export const Decode = { Ok: 0, Truncated: 1, Bad: 2, TooLong: 3 } as const;

/** Value of `Instruction.base` for RIP-relative operands. */
export const RIP_BASE = 16;

/** One decoded instruction; reused by the caller. */
export class Instruction {
  /** Address of the first byte (signed number). */
  address = 0;
  /** Bytes, prefixes included. */
  length = 0;
  /** One of `Decode`; the other fields are meaningful only when it is `Ok`. */
  status: number = Decode.Ok;
  /** Mnemonic id, see `mnemonicName`. */
  mnemonic = 0;
  /** `RowFlag` bits of the opcode row. */
  flags = 0;
  /** Condition code 0..15 of jcc, setcc and cmovcc, else -1. */
  condition = -1;
  /** Operand size in bytes: 2, 4 or 8. */
  operandSize = 4;
  /** Address size in bytes: 2, 4 or 8. */
  addressSize = 8;
  lock = false;
  /** 0, 0xF3 or 0xF2: the last repeat prefix. */
  rep = 0;
  /** Segment override 0..5, or -1. ES, CS, SS and DS are ignored in 64-bit mode, except as branch hints. */
  segment = -1;
  rex = 0;
  /** Memory operand: base register, RIP_BASE or -1; index register or -1; scale as a shift; displacement. */
  base = -1;
  index = -1;
  scale = 0;
  disp = 0;
  /** Upper half of a 64-bit absolute address (`mov` with moffs); otherwise the sign of `disp`. */
  dispHigh = 0;
  /** Immediate as two signed halves; sign- or zero-extended as the instruction demands. */
  imm = 0;
  immHigh = 0;
  imm2 = 0;
  /** Absolute target of a relative branch. */
  target = 0;
  /** Number of operands, in Intel's order: destination first. */
  count = 0;
  readonly kind = new Uint8Array(4);
  readonly reg = new Uint8Array(4);
  readonly size = new Uint8Array(4);
  /** Mandatory prefix that selected the row: 0 none, 1 66, 2 F3, 3 F2. */
  prefix = 0;
  modrm = 0;
  /** Last byte of the opcode. */
  opcode = 0;
  /** For VEX: vector length 16 or 32 (64 with EVEX). */
  vectorLength = 0;
}

const BASES_16 = [3, 3, 5, 5, 6, 7, 5, 3];
const INDEXES_16 = [6, 7, 6, 7, -1, -1, -1, -1];

/** Decodes instructions of one mode. */
export class Decoder {
  readonly mode: Mode;
  readonly #tables;
  #bytes: Uint8Array = new Uint8Array(0);
  #at = 0;
  #end = 0;
  #start = 0;
  #rexR = 0;
  #rexX = 0;
  #rexB = 0;
  #rexW = false;
  #vvvv = 0;
  #operand66 = false;
  #ended = false;

  constructor(mode: Mode) {
    this.mode = mode;
    this.#tables = opcodeTables(mode);
  }

  /**
   * Decodes the instruction at `offset` of `bytes`, which lies at guest `address`. Returns `out.status`: `Truncated`
   * when the bytes end inside the instruction (a fetch fault if no more can be had), `Bad` for #UD, `TooLong` for
   * more than 15 bytes.
   */
  decode(bytes: Uint8Array, offset: number, address: number, out: Instruction): number {
    this.#begin(bytes, offset, address, out);
    const opcode = this.#prefixes(out);
    out.status = this.#ended ? Decode.Truncated : this.#opcode(opcode, out);
    if (this.#ended) {
      out.status = this.#at - this.#start >= MAX_INSTRUCTION ? Decode.TooLong : Decode.Truncated;
    }
    out.length = this.#at - this.#start;
    if (out.status === Decode.Ok) this.#finish(out);
    return out.status;
  }

  #begin(bytes: Uint8Array, offset: number, address: number, out: Instruction): void {
    this.#bytes = bytes;
    this.#at = this.#start = offset;
    this.#end = Math.min(bytes.length, offset + MAX_INSTRUCTION);
    this.#ended = false;
    this.#rexR = this.#rexX = this.#rexB = this.#vvvv = 0;
    this.#rexW = this.#operand66 = false;
    out.address = address;
    out.lock = false;
    out.rep = out.rex = out.prefix = out.count = out.modrm = out.vectorLength = 0;
    out.segment = out.base = out.index = out.condition = -1;
    out.addressSize = this.mode >> 3;
    out.disp = out.dispHigh = out.imm = out.immHigh = out.scale = 0;
  }

  /** The next byte; 0 past the end, which is noted. */
  #byte(): number {
    if (this.#at >= this.#end) {
      this.#ended = true;
      return 0;
    }
    return this.#bytes[this.#at++];
  }

  #word(): number {
    const low = this.#byte();
    return low | (this.#byte() << 8);
  }

  #long(): number {
    const low = this.#word();
    return low | (this.#word() << 16);
  }

  /** Reads prefixes; returns the first opcode byte. A REX prefix counts only right before the opcode (SDM 2.2.1). */
  #prefixes(out: Instruction): number {
    for (;;) {
      const byte = this.#byte();
      if (this.#ended) return 0;
      switch (byte) {
        case 0x26:
        case 0x2e:
        case 0x36:
        case 0x3e:
          // In long mode these four do not override FS or GS (AMD APM vol. 3, 1.2.4).
          if (this.mode === 32 || out.segment < 4) out.segment = (byte >> 3) & 3;
          break;
        case 0x64:
        case 0x65:
          out.segment = byte - 0x60;
          break;
        case 0x66:
          this.#operand66 = true;
          break;
        case 0x67:
          out.addressSize = this.mode === 64 ? 4 : 2;
          break;
        case 0xf0:
          out.lock = true;
          break;
        case 0xf2:
        case 0xf3:
          out.rep = byte;
          break;
        default:
          if (this.mode === 32 || (byte & 0xf0) !== 0x40) return byte;
          out.rex = byte;
          continue;
      }
      out.rex = 0;
    }
  }

  #opcode(opcode: number, out: Instruction): number {
    const { rex } = out;
    this.#rexW = (rex & 8) !== 0;
    this.#rexR = (rex & 4) << 1;
    this.#rexX = (rex & 2) << 2;
    this.#rexB = (rex & 1) << 3;
    if (opcode === 0x0f) return this.#escape(out);
    if (opcode === 0xc4 || opcode === 0xc5 || opcode === 0x62) {
      if (this.mode === 64 || (this.#at < this.#end && this.#bytes[this.#at] >= 0xc0))
        return this.#vex(opcode, out);
    }
    if (opcode === 0x8f && this.#at < this.#end && (this.#bytes[this.#at] & 0x1f) >= 8) return this.#xop(out);
    // 90 with REX.B is xchg with r8, not nop.
    const meant = opcode === 0x90 && this.#rexB ? 0x91 : opcode;
    return this.#select(this.#tables.oneByte, opcode, out, meant);
  }

  #escape(out: Instruction): number {
    const opcode = this.#byte();
    if (opcode === 0x38) return this.#select(this.#tables.map0F38, this.#byte(), out);
    if (opcode === 0x3a) return this.#select(this.#tables.map0F3A, this.#byte(), out);
    if (opcode === 0x0f) {
      this.#modrm(out);
      out.imm = this.#byte();
      return this.#named(threeDNow(), RowFlag.Simd, out);
    }
    return this.#select(this.#tables.map0F, opcode, out);
  }

  #mandatoryPrefix(out: Instruction): number {
    if (out.rep === 0xf3) return 2;
    if (out.rep === 0xf2) return 3;
    return this.#operand66 ? 1 : 0;
  }

  #select(map: OpcodeMap, opcode: number, out: Instruction, meant = opcode): number {
    const slot = map[meant];
    if (slot === 0 || this.#ended) return Decode.Bad;
    out.prefix = this.#mandatoryPrefix(out);
    const modrm = hasModrm(slot) && this.#at < this.#end ? this.#bytes[this.#at] : 0;
    const row = this.#tables.row(slot, out.prefix, modrm);
    if (row === undefined) {
      if (hasModrm(slot) && this.#at >= this.#end) this.#ended = true;
      return Decode.Bad;
    }
    return this.#row(row, opcode, out);
  }

  /** Decodes what follows the opcode: ModRM, displacement, operands, immediates. */
  #row(row: OpcodeRow, opcode: number, out: Instruction): number {
    out.opcode = opcode;
    out.flags = row.flags;
    out.condition = row.condition;
    let size = this.#rexW ? 8 : this.#operand66 ? 2 : 4;
    if (this.mode === 32 && this.#operand66) size = 2;
    else if (this.mode === 64 && (row.flags & RowFlag.Default64) !== 0 && size === 4) size = 8;
    out.operandSize = size;
    out.mnemonic = row.names[size === 2 ? 0 : size === 4 ? 1 : 2];
    if (row.modrm) {
      // Control and debug register moves ignore ModRM.mod (SDM, MOV CRn).
      if (row.flags & RowFlag.FixedSize) this.#modrmRegister(out);
      else this.#modrm(out);
    }
    const { operands } = row;
    out.count = operands.length;
    for (let n = 0; n < operands.length; n++) {
      if (!this.#operand(operands[n], n, opcode, out)) return Decode.Bad;
    }
    return this.#ended ? Decode.Truncated : this.#checkLock(out);
  }

  /** LOCK is legal only on the listed read-modify-write instructions with a memory destination (SDM, LOCK). */
  #checkLock(out: Instruction): number {
    if (!out.lock) return Decode.Ok;
    return (out.flags & RowFlag.Lock) !== 0 && out.kind[0] === Operand.Mem ? Decode.Ok : Decode.Bad;
  }

  #modrmRegister(out: Instruction): void {
    out.modrm = this.#byte() | 0xc0;
  }

  #modrm(out: Instruction): void {
    const modrm = this.#byte();
    out.modrm = modrm;
    if (modrm >= 0xc0) return;
    if (out.addressSize === 2) {
      this.#memory16(modrm, out);
      return;
    }
    const mod = modrm >> 6;
    const rm = modrm & 7;
    if (rm === 4) this.#sib(mod, out);
    else if (rm === 5 && mod === 0) {
      out.base = this.mode === 64 ? RIP_BASE : -1;
      out.disp = this.#long();
    } else out.base = rm | this.#rexB;
    if (mod === 1) out.disp = (this.#byte() << 24) >> 24;
    else if (mod === 2) out.disp = this.#long();
  }

  #sib(mod: number, out: Instruction): void {
    const sib = this.#byte();
    out.scale = sib >> 6;
    const index = ((sib >> 3) & 7) | this.#rexX;
    out.index = index === 4 ? -1 : index;
    if ((sib & 7) === 5 && mod === 0) out.disp = this.#long();
    else out.base = (sib & 7) | this.#rexB;
  }

  #memory16(modrm: number, out: Instruction): void {
    const mod = modrm >> 6;
    const rm = modrm & 7;
    if (mod === 0 && rm === 6) {
      out.disp = this.#word();
      return;
    }
    // 4: SI, 5: DI, 6: BP, 7: BX have no index.
    out.base = rm === 4 ? 6 : rm === 5 ? 7 : rm === 6 ? 5 : BASES_16[rm];
    out.index = INDEXES_16[rm];
    if (mod === 1) out.disp = (this.#byte() << 24) >> 24;
    else if (mod === 2) out.disp = (this.#word() << 16) >> 16;
  }

  #set(n: number, kind: number, reg: number, size: number, out: Instruction): true {
    out.kind[n] = kind;
    out.reg[n] = reg;
    out.size[n] = size;
    return true;
  }

  #general(n: number, reg: number, size: number, out: Instruction): true {
    if (size === 1 && reg >= 4 && reg < 8 && out.rex === 0)
      return this.#set(n, Operand.High, reg - 4, 1, out);
    return this.#set(n, Operand.Reg, reg, size, out);
  }

  /** Width code (index of WIDTH) to bytes. */
  #width(width: number, out: Instruction): number {
    switch (width) {
      case 0:
      case 11:
        return 1;
      case 1:
        return 2;
      case 2:
        return 4;
      case 3:
        return 8;
      case 4:
      case 9:
        return out.operandSize;
      case 5:
        return out.operandSize === 8 ? 4 : out.operandSize;
      case 6:
        return this.#rexW ? 8 : 4;
      case 7:
        return 16;
      case 10:
        return this.mode >> 3;
      default:
        return 0;
    }
  }

  #operand(spec: number, n: number, opcode: number, out: Instruction): boolean {
    if (spec >= LITERAL_BASE) return this.#literal(spec - LITERAL_BASE, n, out);
    const size = this.#width(spec & 15, out);
    const reg = ((out.modrm >> 3) & 7) | this.#rexR;
    const rm = (out.modrm & 7) | this.#rexB;
    const isMemory = out.modrm < 0xc0;
    switch (spec >> 4) {
      case 0: // E
        return isMemory ? this.#set(n, Operand.Mem, 0, size, out) : this.#general(n, rm, size, out);
      case 1: // G
        return this.#general(n, reg, size, out);
      case 2: // M
        return isMemory && this.#set(n, Operand.Mem, 0, size, out);
      case 3: // R
        return !isMemory && this.#general(n, rm, size, out);
      case 4: // Z
        return this.#general(n, (opcode & 7) | this.#rexB, size, out);
      case 5: // B
        return this.#set(n, Operand.Reg, this.#vvvv, size, out);
      case 6: // I
        return this.#immediate(spec & 15, n, out);
      case 7: // J
        return this.#relative(spec & 15, n, out);
      case 8: // O
        return this.#absolute(n, size, out);
      case 10: // C; CR8 and up need REX.R
        return this.#set(n, Operand.Control, reg, size, out);
      case 11: // D
        return reg < 8 && this.#set(n, Operand.Debug, reg, size, out);
      case 12: // X
        return this.#set(n, Operand.Source, 6, size, out);
      case 13: // Y
        return this.#set(n, Operand.Destination, 7, size, out);
      default:
        return this.#vectorOperand(spec >> 4, n, size, reg, rm, out);
    }
  }

  #vectorOperand(where: number, n: number, size: number, reg: number, rm: number, out: Instruction): boolean {
    const isMemory = out.modrm < 0xc0;
    switch (where) {
      case 14: // V
        return this.#set(n, Operand.Xmm, reg, size, out);
      case 15: // W
        return isMemory ? this.#set(n, Operand.Mem, 0, size, out) : this.#set(n, Operand.Xmm, rm, size, out);
      case 16: // U
        return !isMemory && this.#set(n, Operand.Xmm, rm, size, out);
      case 17: // P
        return this.#set(n, Operand.Mmx, reg & 7, size, out);
      case 18: // Q
        return isMemory
          ? this.#set(n, Operand.Mem, 0, size, out)
          : this.#set(n, Operand.Mmx, rm & 7, size, out);
      case 19: // N
        return !isMemory && this.#set(n, Operand.Mmx, rm & 7, size, out);
      case 20: // A
        out.imm = out.operandSize === 2 ? this.#word() : this.#long();
        out.imm2 = this.#word();
        return this.#set(n, Operand.Far, 0, 0, out);
      default:
        return false;
    }
  }

  #literal(which: number, n: number, out: Instruction): boolean {
    switch (which) {
      case 0: // AL
        return this.#set(n, Operand.Reg, 0, 1, out);
      case 1: // rAX
        return this.#set(n, Operand.Reg, 0, out.operandSize, out);
      case 2: // rAXz
        return this.#set(n, Operand.Reg, 0, out.operandSize === 2 ? 2 : 4, out);
      case 3: // CL
        return this.#set(n, Operand.Reg, 1, 1, out);
      case 4: // DX
        return this.#set(n, Operand.Reg, 2, 2, out);
      case 5: // 1
        out.imm = 1;
        return this.#set(n, Operand.Imm, 1, 1, out);
      case 12: {
        const segment = (out.modrm >> 3) & 7;
        return segment < 6 && this.#set(n, Operand.Segment, segment, 2, out);
      }
      default:
        return this.#set(n, Operand.Segment, which - 6, 2, out);
    }
  }

  #immediate(width: number, n: number, out: Instruction): true {
    const { operandSize } = out;
    let bytes = operandSize;
    switch (width) {
      case 0: // b, zero-extended
        out.imm = this.#byte();
        bytes = 1;
        break;
      case 11: // b2
        out.imm2 = this.#byte();
        return this.#set(n, Operand.Imm2, 0, 1, out);
      case 9: // bs
        out.imm = (this.#byte() << 24) >> 24;
        out.immHigh = out.imm >> 31;
        break;
      case 1: // w
        out.imm = this.#word();
        bytes = 2;
        break;
      default:
        out.imm = operandSize === 2 ? (this.#word() << 16) >> 16 : this.#long();
        // Only `mov` to a register takes a full 64-bit immediate.
        out.immHigh = width === 4 && operandSize === 8 ? this.#long() : out.imm >> 31;
    }
    return this.#set(n, Operand.Imm, 0, bytes, out);
  }

  #relative(width: number, n: number, out: Instruction): true {
    if (width === 0) out.imm = (this.#byte() << 24) >> 24;
    else out.imm = out.operandSize === 2 ? (this.#word() << 16) >> 16 : this.#long();
    return this.#set(n, Operand.Rel, 0, 0, out);
  }

  #absolute(n: number, size: number, out: Instruction): true {
    if (out.addressSize === 2) out.disp = this.#word();
    else {
      out.disp = this.#long();
      // A 32-bit absolute address is zero-extended in long mode.
      out.dispHigh = out.addressSize === 8 ? this.#long() : 0;
    }
    return this.#set(n, Operand.Mem, 1, size, out);
  }

  #named(mnemonic: number, flags: number, out: Instruction): number {
    out.mnemonic = mnemonic;
    out.flags = flags;
    out.operandSize = this.#rexW ? 8 : 4;
    out.count = 0;
    return Decode.Ok;
  }

  /** VEX (C4, C5) and EVEX (62): SDM vol. 2, 2.3 and 2.7. */
  #vex(first: number, out: Instruction): number {
    let map = 1;
    let prefix: number;
    const one = this.#byte();
    this.#rexR = one & 0x80 ? 0 : 8;
    if (first === 0xc5) {
      this.#vvvv = (~one >> 3) & 15;
      prefix = one & 3;
      out.vectorLength = one & 4 ? 32 : 16;
    } else {
      const two = this.#byte();
      this.#rexX = one & 0x40 ? 0 : 8;
      this.#rexB = one & 0x20 ? 0 : 8;
      map = first === 0x62 ? one & 7 : one & 31;
      this.#rexW = (two & 0x80) !== 0;
      this.#vvvv = (~two >> 3) & 15;
      prefix = two & 3;
      const length = first === 0x62 ? (this.#byte() >> 5) & 3 : (two >> 2) & 1;
      out.vectorLength = 16 << length;
    }
    if (map < 1 || map > (first === 0x62 ? 6 : 3) || map === 4) return Decode.Bad;
    if (first !== 0x62) return this.#vexOpcode(map, prefix, out);
    return this.#vectorRest(map, this.#byte(), prefix, out);
  }

  #vexOpcode(map: number, prefix: number, out: Instruction): number {
    const opcode = this.#byte();
    const slot = this.#tables.vex[map][opcode];
    if (slot === 0 || this.#at >= this.#end) return this.#vectorRest(map, opcode, prefix, out);
    out.prefix = prefix;
    const row = this.#tables.row(slot, prefix, this.#bytes[this.#at]);
    if (row === undefined || out.vectorLength !== 16 || out.lock) return Decode.Bad;
    this.#operand66 = false;
    return this.#row(row, opcode, out);
  }

  /** Vector instructions are measured and named; their operands are not decoded. */
  #vectorRest(map: number, opcode: number, prefix: number, out: Instruction): number {
    out.prefix = prefix;
    const hasModrm = map !== 1 || opcode !== 0x77;
    if (hasModrm) this.#modrm(out);
    const shiftByImmediate = opcode >= 0x70 && opcode <= 0x73;
    if (
      map === 3 ||
      (map === 1 && (shiftByImmediate || opcode === 0xc2 || (opcode >= 0xc4 && opcode <= 0xc6)))
    ) {
      out.imm = this.#byte();
    }
    if (this.#ended) return Decode.Truncated;
    if (map > 3) return this.#named(xopMnemonic(map, opcode), RowFlag.Vex | RowFlag.Simd, out);
    return this.#named(
      vexMnemonic(map, opcode, prefix, out.modrm, this.#rexW),
      RowFlag.Vex | RowFlag.Simd,
      out,
    );
  }

  /** AMD XOP (8F with map 8, 9 or 10): measured and named only. */
  #xop(out: Instruction): number {
    const one = this.#byte();
    this.#byte();
    const map = one & 31;
    if (map > 10) return Decode.Bad;
    const opcode = this.#byte();
    this.#modrm(out);
    if (map === 8) out.imm = this.#byte();
    else if (map === 10) out.imm = this.#long();
    return this.#ended ? Decode.Truncated : this.#named(xopMnemonic(map, opcode), RowFlag.Vex, out);
  }

  /** What needs the whole length: branch targets and RIP-relative addresses. */
  #finish(out: Instruction): void {
    const next = out.address + out.length;
    if (out.count > 0 && out.kind[0] === Operand.Rel) {
      out.target = next + out.imm;
      if (this.mode === 32) out.target = (next + out.imm) >>> 0;
    }
    if (out.dispHigh === 0 && !(out.count > 0 && isAbsolute(out))) out.dispHigh = out.disp >> 31;
  }
}

/** True when one operand is an absolute `mov` address, whose upper half was read. */
function isAbsolute(out: Instruction): boolean {
  for (let n = 0; n < out.count; n++) if (out.kind[n] === Operand.Mem && out.reg[n] === 1) return true;
  return false;
}
