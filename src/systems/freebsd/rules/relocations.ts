/** Relocation types that the kernel linkers know, by machine (elf_machdep.c of each), and which pass takes which. */

import type { Machine, ObjectFile, ObjectRelocation } from '../../../formats/object.ts';
import { majorOf } from '../version.ts';

const range = (first: number, last: number): number[] =>
  Array.from({ length: last - first + 1 }, (_, i) => first + i);

interface MachineTypes {
  readonly known: ReadonlySet<number>;
  /** The type that only the first pass over a shared object takes. */
  readonly relative: number;
  /** R_*_COPY, which the linker names. */
  readonly copy?: number;
  /** What came with 13. */
  readonly later?: readonly number[];
}

/** Machines of which the facts say what their kernel takes. */
const TYPES: Partial<Readonly<Record<Machine, MachineTypes>>> = {
  'x86-64': { known: new Set([0, 1, 2, 4, 6, 7, 8, 11, 37]), relative: 8, copy: 5 },
  i386: { known: new Set([0, 1, 2, 6, 8, 42]), relative: 8, copy: 5 },
  arm: { known: new Set([0, 2, 22, 23]), relative: 23, copy: 20 },
  ppc: { known: new Set([0, 1, 4, 6, 22]), relative: 22, later: [21] },
  ppc64: { known: new Set([0, 21, 22, 38]), relative: 22 },
  aarch64: { known: new Set([0, 257, 279, 280, 282, 283, ...range(1025, 1027), 1032]), relative: 1027 },
  riscv: { known: new Set([0, 2, 3, 5]), relative: 3 },
};

/** What a kernel of that version takes; undefined for a machine of which it is not known. */
export function knownTypes(machine: Machine, version: number): ReadonlySet<number> | undefined {
  const types = TYPES[machine];
  if (types?.later === undefined || majorOf(version) < 13) return types?.known;
  return new Set([...types.known, ...types.later]);
}

/** Is a relocation applied before the dependencies are loaded? */
export function isLocal(object: ObjectFile, { type, symbol }: ObjectRelocation): boolean {
  if (object.kind === 'relocatable') return object.symbols[symbol]?.binding === 'local';
  return type === TYPES[object.machine]?.relative;
}

/** Of loaded sections, in file order. */
export function* relocationsOf(object: ObjectFile): Generator<ObjectRelocation> {
  const linked = object.kind !== 'relocatable';
  for (const section of object.sections)
    if (section.allocated || linked) yield* object.relocations(section.index);
}

/** The first relocation of a pass that the kernel does not know. */
export function unknownRelocation(
  object: ObjectFile,
  version: number,
  local: boolean,
): ObjectRelocation | undefined {
  const known = knownTypes(object.machine, version);
  if (known === undefined) return undefined;
  for (const one of relocationsOf(object))
    if (isLocal(object, one) === local && !known.has(one.type)) return one;
  return undefined;
}

export function unknownText(version: number, machine: Machine, { type, symbol }: ObjectRelocation): string {
  const what = type === TYPES[machine]?.copy ? 'R_COPY relocation' : `relocation type ${type}`;
  return `kldload: unexpected ${what}${majorOf(version) < 13 ? '' : `, symbol index ${symbol}`}`;
}

/** Undefined symbols that relocations of loaded sections name; weak and common ones may stay so. */
export function neededSymbols(object: ObjectFile): string[] {
  const names = new Set<string>();
  for (const one of relocationsOf(object)) {
    const symbol = object.symbols[one.symbol];
    if (symbol === undefined || symbol.place !== 'undefined' || symbol.name === '') continue;
    if (symbol.binding === 'weak' || isSetEdge(object, symbol.name)) continue;
    names.add(symbol.name);
  }
  return [...names];
}

/** `__start_X` and `__stop_X` of a section of its own are filled in by the kernel linker. */
function isSetEdge(object: ObjectFile, name: string): boolean {
  const match = /^__(?:start|stop)_(.+)$/.exec(name);
  return match !== null && object.sections.some((section) => section.name === match[1]);
}
