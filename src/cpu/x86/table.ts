/**
 * Compiles the textual opcode tables into what the decoder walks: per map 256 slots, each slot a small array indexed
 * by the selectors that the opcode really uses (mandatory prefix, ModRM.mod, .reg, .rm).
 */
import { MAP_0F38, ONE_BYTE, TWO_BYTE, VEX_GENERAL } from './opcodes.ts';
import { SIMD_0F, SIMD_0F3A, SIMD_0F38, VEX_NAMES, X87 } from './opcodes-simd.ts';

/** Conditions in encoding order, with the names objdump prints. */
export const CONDITIONS = [
  'o',
  'no',
  'b',
  'ae',
  'e',
  'ne',
  'be',
  'a',
  's',
  'ns',
  'p',
  'np',
  'l',
  'ge',
  'le',
  'g',
] as const;

/** Processor mode: 64 is long mode, 32 protected mode with 32-bit segments. */
export type Mode = 32 | 64;

/** Flags of an opcode row. */
export const RowFlag = { Default64: 1, Lock: 2, Rep: 4, FixedSize: 8, Simd: 16, X87: 32, Vex: 64 } as const;

/** One row of the tables, compiled. */
export interface OpcodeRow {
  /** Mnemonic ids for operand sizes 2, 4 and 8. */
  readonly names: readonly [number, number, number];
  /** Operand specifications, one number each: `where * 16 + width`. */
  readonly operands: readonly number[];
  readonly flags: number;
  readonly modrm: boolean;
  /** Condition code of a `{cc}` row, else -1. */
  readonly condition: number;
}

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

/** The letters of operand specifications, in the order of their numbers. */
export const WHERE = 'EGMRZBIJOSCDXYVWUPQNA'.split('');
/** Widths in the order of their numbers. */
export const WIDTH = ['b', 'w', 'd', 'q', 'v', 'z', 'y', 'x', 'p', 'bs', 'n', 'b2'];
/** Operands named literally; their numbers follow the lettered ones. */
export const LITERAL = ['AL', 'rAX', 'rAXz', 'CL', 'DX', '1', 'ES', 'CS', 'SS', 'DS', 'FS', 'GS', 'Sw'];
export const LITERAL_BASE = 512;

const MODRM_LETTERS = 'EGMRVWUPQNSCD';

const mnemonicIds = new Map<string, number>();
const mnemonicNames: string[] = [];

function intern(name: string): number {
  let id = mnemonicIds.get(name);
  if (id === undefined) {
    id = mnemonicNames.length;
    mnemonicIds.set(name, id);
    mnemonicNames.push(name);
  }
  return id;
}

/** The mnemonic with that id, in Intel's spelling without size suffix. */
export function mnemonicName(id: number): string {
  return mnemonicNames[id] ?? '(bad)';
}

/** Every mnemonic the tables know. */
export function mnemonics(): readonly string[] {
  // Reading every map makes it, and with it its names.
  Object.values(opcodeTables(64));
  return mnemonicNames;
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
  const ids = spelled.map(intern);
  const operands = words[1] && FLAG_WORDS[words[1]] === undefined ? words[1].split(',') : [];
  let flags = base;
  for (const word of words.slice(operands.length > 0 ? 2 : 1)) flags |= FLAG_WORDS[word];
  return {
    names: [ids[0], ids[1] ?? ids[0], ids[2] ?? ids[0]],
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

function buildMap(parts: [text: string, flags: number, withModrm: boolean][], mode: Mode): OpcodeMap {
  const all = new Map<number, ParsedRow[]>();
  for (const [text, flags, withModrm] of parts) {
    for (const [op, list] of parse(text, mode, flags, withModrm))
      all.set(op, [...(all.get(op) ?? []), ...list]);
  }
  const map: (OpcodeSlot | undefined)[] = new Array(256).fill(undefined);
  for (const [op, list] of all) map[op] = slotOf(list);
  return map;
}

/** The tables of one mode. */
export interface OpcodeTables {
  readonly mode: Mode;
  readonly oneByte: OpcodeMap;
  readonly map0F: OpcodeMap;
  readonly map0F38: OpcodeMap;
  readonly map0F3A: OpcodeMap;
  /** VEX general-register instructions by map number 1..3. */
  readonly vex: readonly OpcodeMap[];
}

/** The longer maps are made when code first uses them: little kernel code does, and it costs milliseconds. */
function build(mode: Mode): OpcodeTables {
  const vexMap = (n: number) => buildMap([[VEX_GENERAL[n] ?? '', RowFlag.Vex, true]], mode);
  let map0F38: OpcodeMap | undefined;
  let map0F3A: OpcodeMap | undefined;
  let vex: readonly OpcodeMap[] | undefined;
  return {
    mode,
    oneByte: buildMap(
      [
        [ONE_BYTE, 0, false],
        [X87, RowFlag.X87, true],
      ],
      mode,
    ),
    map0F: buildMap(
      [
        [TWO_BYTE, 0, false],
        [SIMD_0F, RowFlag.Simd, false],
      ],
      mode,
    ),
    get map0F38() {
      map0F38 ??= buildMap(
        [
          [MAP_0F38, 0, true],
          [SIMD_0F38, RowFlag.Simd, true],
        ],
        mode,
      );
      return map0F38;
    },
    get map0F3A() {
      map0F3A ??= buildMap([[SIMD_0F3A, RowFlag.Simd, true]], mode);
      return map0F3A;
    },
    get vex() {
      vex ??= [[], vexMap(1), vexMap(2), vexMap(3)];
      return vex;
    },
  };
}

const built: { [mode in Mode]?: OpcodeTables } = {};

/** Opcode tables of a mode: constant, but compiled at the first use, because most programs never decode. */
export function opcodeTables(mode: Mode): OpcodeTables {
  built[mode] ??= build(mode);
  return built[mode];
}

/** The row of a slot for this mandatory prefix (0 none, 1 66, 2 F3, 3 F2) and ModRM byte. */
export function selectRow(slot: OpcodeSlot, prefix: number, modrm: number): OpcodeRow | undefined {
  const mod = modrm >= 0xc0 ? slot.modStride : 0;
  const reg = ((modrm >> 3) & 7) * slot.regStride;
  return slot.rows[prefix * slot.prefixStride + mod + reg + (modrm & 7) * slot.rmStride];
}

function vexNames(): Map<number, number> {
  const names = new Map<number, number>();
  for (const [map, list] of Object.entries(VEX_NAMES)) {
    for (const item of list.split(',')) {
      const [place, name] = item.split(' ');
      const [op, prefix] = place.split('.');
      const key =
        (Number(map) << 12) | (parseInt(op, 16) << 4) | (prefix === undefined ? 15 : Number(prefix));
      names.set(key, intern(name));
    }
  }
  return names;
}

let vexOnly: Map<number, number> | undefined;

/**
 * Mnemonic id of a VEX or EVEX SIMD instruction: the legacy name with `v` before it, or its own. Names that depend on
 * EVEX.W beyond that are not told apart: the id only names the instruction in a report.
 */
export function vexMnemonic(
  map: number,
  opcode: number,
  prefix: number,
  modrm: number,
  wide: boolean,
): number {
  const key = (map << 12) | (opcode << 4);
  vexOnly ??= vexNames();
  const exact = vexOnly.get(key | prefix);
  if (exact !== undefined) return exact;
  const tables = opcodeTables(64);
  const legacy = [tables.map0F, tables.map0F38, tables.map0F3A][map - 1]?.[opcode];
  const row = legacy && selectRow(legacy, prefix, modrm);
  if (row && (row.flags & RowFlag.Simd) !== 0) return intern(`v${mnemonicNames[row.names[wide ? 2 : 1]]}`);
  return vexOnly.get(key | 15) ?? intern(`vex.${map}.${hexByte(opcode)}`);
}

/** Id for an instruction of AMD's XOP maps, which are only measured and named. */
export function xopMnemonic(map: number, opcode: number): number {
  return intern(`xop.${map}.${hexByte(opcode)}`);
}

/** Id of AMD's 3DNow! instructions (0F 0F), which are only measured and named. */
export const THREE_D_NOW = intern('3dnow');

function hexByte(value: number): string {
  return value.toString(16).padStart(2, '0');
}
