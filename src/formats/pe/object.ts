/** PeFile -> the neutral ObjectFile. */
import type { Machine, ObjectFile, ObjectRelocation, ObjectSection, ObjectSymbol } from '../object.ts';
import { readExports } from './exports.ts';
import { readImports } from './imports.ts';
import { FILE, MACHINE, SECTION } from './layout.ts';
import type { PeFile } from './read.ts';
import { readRelocations } from './relocations.ts';

const MACHINES: ReadonlyMap<number, Machine> = new Map<number, Machine>([
  [MACHINE.I386, 'i386'],
  [MACHINE.AMD64, 'x86-64'],
  [MACHINE.ARM64, 'aarch64'],
  [MACHINE.ARM, 'arm'],
  [MACHINE.ARMNT, 'arm'],
  [MACHINE.IA64, 'ia64'],
  [MACHINE.ALPHA, 'alpha'],
  [MACHINE.POWERPC, 'ppc'],
  [MACHINE.R4000, 'mips'],
]);

/** Imports are undefined symbols named `library!name`, exports are globals. @throws Invalid, Truncated */
export function peObject(pe: PeFile): ObjectFile {
  const base = Number(BigInt.asIntN(64, pe.header.imageBase));
  const sections = pe.sections.map((s) => section(pe, s.index, base));
  return {
    format: 'pe',
    machine: MACHINES.get(pe.header.machine) ?? 'unknown',
    bits: pe.bits,
    littleEndian: true,
    kind: (pe.header.characteristics & FILE.DLL) !== 0 ? 'shared' : 'executable',
    sections,
    symbols: symbols(pe),
    relocations: (index) => relocations(pe, index, base),
    bytes: pe.bytes,
  };
}

function section(pe: PeFile, index: number, base: number): ObjectSection {
  const s = pe.sections[index - 1];
  return {
    index,
    name: s.name,
    allocated: true,
    writable: (s.flags & SECTION.WRITE) !== 0,
    executable: (s.flags & SECTION.EXECUTE) !== 0,
    zeroFill: s.data.length === 0,
    address: base + s.virtualAddress,
    size: s.virtualSize,
    alignment: Math.max(1, pe.header.sectionAlignment),
    data: s.data,
  };
}

function symbols(pe: PeFile): ObjectSymbol[] {
  const out: ObjectSymbol[] = [];
  const add = (name: string, place: 'undefined' | 'section', section: number, value: number) =>
    out.push({ index: out.length, name, binding: 'global', type: 'none', place, section, value, size: 0 });
  for (const { library, imports } of readImports(pe)) {
    for (const { name, ordinal } of imports) add(`${library}!${name ?? `#${ordinal}`}`, 'undefined', 0, 0);
  }
  for (const { name, ordinal, address, forwarder } of readExports(pe)?.entries ?? []) {
    if (forwarder !== undefined) continue;
    const home = pe.sectionAt(address);
    if (home !== undefined) add(name ?? `#${ordinal}`, 'section', home.index, address - home.virtualAddress);
  }
  return out;
}

function relocations(pe: PeFile, index: number, base: number): ObjectRelocation[] {
  const home = pe.sections[index - 1];
  if (home === undefined) return [];
  return readRelocations(pe)
    .filter(({ rva }) => rva >= home.virtualAddress && rva < home.virtualAddress + home.virtualSize)
    .map(({ rva, type }) => ({ section: index, offset: base + rva, type, symbol: -1, addend: undefined }));
}
