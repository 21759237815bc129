/**
 * Compiles the textual opcode tables: per map 256 slots, each slot a small array indexed by the selectors that the opcode
 * really uses (mandatory prefix, ModRM.mod, .reg, .rm). The result is always the same: a build does it once and embeds it,
 * as it takes longer than all that a short run decodes.
 */
import {
  CONDITIONS,
  LITERAL,
  LITERAL_BASE,
  type Mode,
  type OpcodeRow,
  RowFlag,
  WHERE,
  WIDTH,
} from './opcode-row.ts';
import { MAP_0F38, ONE_BYTE, TWO_BYTE, VEX_GENERAL } from './opcodes.ts';
import { SIMD_0F, SIMD_0F3A, SIMD_0F38, X87 } from './opcodes-simd.ts';

/** All rows of one opcode byte. */
export interface OpcodeSlot {
  readonly modrm: boolean;
  readonly prefixStride: number;
  readonly modStride: number;
  readonly regStride: number;
  readonly rmStride: number;
  readonly rows: readonly (OpcodeRow | undefined)[];
}

export type OpcodeMap = readonly (OpcodeSlot | undefined)[];

const MODRM_LETTERS = 'EGMRVWUPQNSCD';

const ids = new Map<string, number>();

function intern(name: string): number {
  let id = ids.get(name);
  if (id === undefined) {
    id = ids.size;
    ids.set(name, id);
  }
  return id;
}

interface Selectors {
  prefix: number;
  mod: number;
  reg: number;
  rm: number;
  mode: number;
}

interface ParsedRow {
  selectors: Selectors;
  row: OpcodeRow;
}

const PREFIX_SELECTORS = ['np', '66', 'f3', 'f2'];
const FLAG_WORDS: Record<string, number> = {
  d64: RowFlag.Default64,
  lock: RowFlag.Lock,
  rep: RowFlag.Rep,
  w0: RowFlag.FixedSize,
};

/** Takes one selector word; false when the word is not one. */
function takeSelector(word: string, into: Selectors): boolean {
  const prefix = PREFIX_SELECTORS.indexOf(word);
  if (prefix >= 0) into.prefix = prefix;
  else if (word === 'mem') into.mod = 0;
  else if (word === 'reg') into.mod = 1;
  else if (word === 'm32') into.mode = 32;
  else if (word === 'm64') into.mode = 64;
  else if (word[0] === '/') into.reg = Number(word[1]);
  else if (word.length === 3 && word.startsWith('rm')) into.rm = Number(word[2]);
  else return false;
  return true;
}

const operandCodes = new Map<string, number>();

function operandCode(text: string): number {
  let code = operandCodes.get(text);
  if (code === undefined) {
    code = specify(text);
    operandCodes.set(text, code);
  }
  return code;
}

function specify(text: string): number {
  const literal = LITERAL.indexOf(text);
  if (literal >= 0) return LITERAL_BASE + literal;
  const where = WHERE.indexOf(text[0]);
  const width = WIDTH.indexOf(text.slice(1));
  if (where < 0 || width < 0) throw new Error(`opcode table: unknown operand ${text}`);
  return where * 16 + width;
}

function usesModrm(selectors: Selectors, operands: readonly string[]): boolean {
  if (selectors.mod >= 0 || selectors.reg >= 0 || selectors.rm >= 0) return true;
  return operands.some(
    (text) => text === 'Sw' || (!LITERAL.includes(text) && MODRM_LETTERS.includes(text[0])),
  );
}

function compileRow(
  words: string[],
  opcode: number,
  selectors: Selectors,
  base: number,
  withModrm: boolean,
): OpcodeRow {
  const spelled = words[0].replace('{cc}', CONDITIONS[opcode & 15]).split('/');
  const found = spelled.map(intern);
  const operands = words[1] && FLAG_WORDS[words[1]] === undefined ? words[1].split(',') : [];
  let flags = base;
  for (const word of words.slice(operands.length > 0 ? 2 : 1)) flags |= FLAG_WORDS[word];
  return {
    names: [found[0], found[1] ?? found[0], found[2] ?? found[0]],
    operands: operands.map(operandCode),
    flags,
    modrm: withModrm || usesModrm(selectors, operands),
    condition: words[0].includes('{cc}') ? opcode & 15 : -1,
  };
}

/** Reads one table; every opcode of a range becomes its own row. */
function parse(text: string, mode: Mode, flags: number, withModrm: boolean): Map<number, ParsedRow[]> {
  const result = new Map<number, ParsedRow[]>();
  for (const line of text.split('\n')) {
    if (line.trim() === '') continue;
    const words = line.trim().split(/\s+/);
    const [first, last] = words.shift()!.split('-');
    const selectors: Selectors = { prefix: -1, mod: -1, reg: -1, rm: -1, mode: -1 };
    while (takeSelector(words[0], selectors)) words.shift();
    if (selectors.mode >= 0 && selectors.mode !== mode) continue;
    const end = parseInt(last ?? first, 16);
    let row: OpcodeRow | undefined;
    for (let op = parseInt(first, 16); op <= end; op++) {
      if (row === undefined || row.condition >= 0) row = compileRow(words, op, selectors, flags, withModrm);
      const list = result.get(op);
      if (list === undefined) result.set(op, [{ selectors, row }]);
      else list.push({ selectors, row });
    }
  }
  return result;
}

function specificity({ selectors }: ParsedRow): number {
  const { prefix, mod, reg, rm } = selectors;
  return Number(prefix >= 0) + Number(mod >= 0) + Number(reg >= 0) + Number(rm >= 0);
}

/** Offsets that a selector stands for: one place, or every place when the row does not select. */
function places(selector: number, stride: number, count: number): readonly number[] {
  if (stride === 0) return [0];
  return selector >= 0 ? [selector * stride] : Array.from({ length: count }, (_, n) => n * stride);
}

/** Lays the rows of one opcode out over the selectors they use, general rows first so that specific ones win. */
function slotOf(parsed: ParsedRow[]): OpcodeSlot {
  const used = (key: 'prefix' | 'mod' | 'reg' | 'rm') => parsed.some((p) => p.selectors[key] >= 0);
  const rmStride = used('rm') ? 1 : 0;
  let size = rmStride ? 8 : 1;
  const regStride = used('reg') ? size : 0;
  if (regStride) size *= 8;
  const modStride = used('mod') ? size : 0;
  if (modStride) size *= 2;
  const prefixStride = used('prefix') ? size : 0;
  if (prefixStride) size *= 4;
  const rows: (OpcodeRow | undefined)[] = new Array(size).fill(undefined);
  for (const { selectors, row } of parsed.slice().sort((a, b) => specificity(a) - specificity(b))) {
    for (const prefix of places(selectors.prefix, prefixStride, 4)) {
      for (const mod of places(selectors.mod, modStride, 2)) {
        for (const reg of places(selectors.reg, regStride, 8)) {
          for (const rm of places(selectors.rm, rmStride, 8)) rows[prefix + mod + reg + rm] = row;
        }
      }
    }
  }
  return { modrm: parsed.some((p) => p.row.modrm), prefixStride, modStride, regStride, rmStride, rows };
}

/** Text, flags of all its rows, and whether all have a ModRM byte. */
type Part = [text: string, flags: number, withModrm: boolean];

function buildMap(parts: readonly Part[], mode: Mode): OpcodeMap {
  const all = new Map<number, ParsedRow[]>();
  for (const [text, flags, withModrm] of parts) {
    for (const [op, list] of parse(text, mode, flags, withModrm))
      all.set(op, [...(all.get(op) ?? []), ...list]);
  }
  const map: (OpcodeSlot | undefined)[] = new Array(256).fill(undefined);
  for (const [op, list] of all) map[op] = slotOf(list);
  return map;
}

const PARTS: Readonly<Record<MapName, readonly Part[]>> = {
  oneByte: [
    [ONE_BYTE, 0, false],
    [X87, RowFlag.X87, true],
  ],
  map0F: [
    [TWO_BYTE, 0, false],
    [SIMD_0F, RowFlag.Simd, false],
  ],
  map0F38: [
    [MAP_0F38, 0, true],
    [SIMD_0F38, RowFlag.Simd, true],
  ],
  map0F3A: [[SIMD_0F3A, RowFlag.Simd, true]],
  vex1: [[VEX_GENERAL[1] ?? '', RowFlag.Vex, true]],
  vex2: [[VEX_GENERAL[2] ?? '', RowFlag.Vex, true]],
  vex3: [[VEX_GENERAL[3] ?? '', RowFlag.Vex, true]],
};

/** The maps of one mode, by name. */
export const MAP_NAMES = ['oneByte', 'map0F', 'map0F38', 'map0F3A', 'vex1', 'vex2', 'vex3'] as const;
export type MapName = (typeof MAP_NAMES)[number];

export const compileMap = (mode: Mode, name: MapName): OpcodeMap => buildMap(PARTS[name], mode);

/** Tables as numbers. */
export interface PackedTable {
  /** Names for the three operand sizes, flags, ModRM (0 or 1), condition, operands. */
  readonly rows: readonly (readonly number[])[];
  /** By opcode 0 for none, else ModRM (0 or 1), the strides of prefix, mod, reg and rm, and numbers of rows (-1 for none). */
  readonly maps: Readonly<Record<MapName, readonly (0 | readonly number[])[]>>;
}

const tables: { [mode in Mode]?: PackedTable } = {};

export function packedTable(mode: Mode): PackedTable {
  tables[mode] ??= pack(mode);
  return tables[mode];
}

/** The mnemonics that the rows of both modes name, by id. */
export function packedNames(): string[] {
  packedTable(64);
  packedTable(32);
  return [...ids.keys()];
}

function pack(mode: Mode): PackedTable {
  const rows: number[][] = [];
  const numbers = new Map<OpcodeRow | undefined, number>([[undefined, -1]]);
  const numberOf = (row: OpcodeRow | undefined): number => {
    let number = numbers.get(row);
    if (number === undefined && row !== undefined) {
      const { names, flags, modrm, condition, operands } = row;
      number = rows.push([...names, flags, Number(modrm), condition, ...operands]) - 1;
      numbers.set(row, number);
    }
    return number ?? -1;
  };
  const packed = MAP_NAMES.map((name) => [
    name,
    Array.from(compileMap(mode, name), (slot) => {
      if (slot === undefined) return 0;
      const { modrm, prefixStride, modStride, regStride, rmStride } = slot;
      return [Number(modrm), prefixStride, modStride, regStride, rmStride, ...slot.rows.map(numberOf)];
    }),
  ]);
  return { rows, maps: Object.fromEntries(packed) };
}
