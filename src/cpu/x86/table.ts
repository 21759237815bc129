/** The opcode tables as the decoder walks them. */
import { type PackedTable, packedNames, packedTable } from './compile-table.ts';
import { type Mode, type OpcodeRow, RowFlag } from './opcode-row.ts';
import { VEX_NAMES } from './opcodes-simd.ts';

let names: string[] | undefined;
/** Ids of all names, from when one is looked for: none is while common code is decoded. */
let ids: Map<string, number> | undefined;

function allNames(): string[] {
  names ??= packedNames();
  return names;
}

function intern(name: string): number {
  ids ??= new Map(allNames().map((each, id) => [each, id]));
  let id = ids.get(name);
  if (id === undefined) {
    id = allNames().push(name) - 1;
    ids.set(name, id);
  }
  return id;
}

/** The mnemonic with that id, in Intel's spelling without size suffix. */
export const mnemonicName = (id: number): string => allNames()[id] ?? '(bad)';

/** Every mnemonic the tables know. */
export const mnemonics = (): readonly string[] => allNames();

/** All rows of one opcode byte, packed; 0 where there are none. */
export type OpcodeSlot = readonly number[];
export type OpcodeMap = readonly (0 | OpcodeSlot)[];
/** Places in a slot. */
const [MODRM, PREFIX, MOD, REG, RM, FIRST] = [0, 1, 2, 3, 4, 5];

/** The row needs the ModRM byte to be told. */
export const hasModrm = (slot: OpcodeSlot): boolean => slot[MODRM] !== 0;

/** The tables of one mode. */
export class OpcodeTables {
  readonly oneByte: OpcodeMap;
  readonly map0F: OpcodeMap;
  readonly map0F38: OpcodeMap;
  readonly map0F3A: OpcodeMap;
  /** VEX general-register instructions by map number 1..3. */
  readonly vex: readonly OpcodeMap[];
  readonly #packed: PackedTable['rows'];
  readonly #rows: (OpcodeRow | undefined)[] = [];

  constructor({ rows, maps }: PackedTable) {
    this.oneByte = maps.oneByte;
    this.map0F = maps.map0F;
    this.map0F38 = maps.map0F38;
    this.map0F3A = maps.map0F3A;
    this.vex = [[], maps.vex1, maps.vex2, maps.vex3];
    this.#packed = rows;
  }

  /** The row of a slot for this mandatory prefix (0 none, 1 66, 2 F3, 3 F2) and ModRM byte. */
  row(slot: OpcodeSlot, prefix: number, modrm: number): OpcodeRow | undefined {
    const mod = modrm >= 0xc0 ? slot[MOD] : 0;
    const reg = ((modrm >> 3) & 7) * slot[REG];
    const number = slot[FIRST + prefix * slot[PREFIX] + mod + reg + (modrm & 7) * slot[RM]];
    if (number < 0) return undefined;
    return (this.#rows[number] ??= unpack(this.#packed[number]));
  }
}

function unpack(packed: readonly number[]): OpcodeRow {
  return {
    names: [packed[0], packed[1], packed[2]],
    flags: packed[3],
    modrm: packed[4] !== 0,
    condition: packed[5],
    operands: packed.slice(6),
  };
}

const built: { [mode in Mode]?: OpcodeTables } = {};

/** Opcode tables of a mode: constant, but read at the first use, because most programs never decode. */
export function opcodeTables(mode: Mode): OpcodeTables {
  built[mode] ??= new OpcodeTables(packedTable(mode));
  return built[mode];
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
  const row = legacy ? tables.row(legacy, prefix, modrm) : undefined;
  if (row && (row.flags & RowFlag.Simd) !== 0) return intern(`v${mnemonicName(row.names[wide ? 2 : 1])}`);
  return vexOnly.get(key | 15) ?? intern(`vex.${map}.${hexByte(opcode)}`);
}

/** Id for an instruction of AMD's XOP maps, which are only measured and named. */
export function xopMnemonic(map: number, opcode: number): number {
  return intern(`xop.${map}.${hexByte(opcode)}`);
}

/** Id of AMD's 3DNow! instructions (0F 0F), which are only measured and named. */
export const threeDNow = (): number => intern('3dnow');

function hexByte(value: number): string {
  return value.toString(16).padStart(2, '0');
}
