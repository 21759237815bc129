/** Import and delay-import tables (".idata section"). */
import { Invalid } from '../../bytes/errors.ts';
import { DIRECTORY } from './layout.ts';
import type { PeFile } from './read.ts';

export interface PeImport {
  /** Name, or undefined when imported by ordinal. */
  readonly name: string | undefined;
  readonly ordinal: number | undefined;
  /** Where the exporter's name table is looked at first. */
  readonly hint: number;
  /** RVA of the slot that receives the address. */
  readonly slot: number;
}

export interface PeImportLibrary {
  readonly library: string;
  readonly delayed: boolean;
  /** Without one the kernel's loader does not look at this library at all. */
  readonly hasLookupTable: boolean;
  readonly imports: readonly PeImport[];
}

const DESCRIPTOR_BYTES = 20;
const DELAY_BYTES = 32;

/** @throws Invalid, Truncated */
export function readImports(pe: PeFile): PeImportLibrary[] {
  const budget = { left: Math.floor(pe.bytes.length / 4) + 16 };
  const libraries: PeImportLibrary[] = [];
  const { address } = pe.directory(DIRECTORY.IMPORT);
  if (address === 0) return libraries;
  for (let at = address; ; at += DESCRIPTOR_BYTES) {
    spend(budget, at);
    const view = pe.viewAt(at, DESCRIPTOR_BYTES, 'import descriptor');
    const lookup = view.u32(0);
    const nameAt = view.u32(12);
    const slots = view.u32(16);
    // The kernel's loader ends at either zero; tools of Microsoft write both.
    if (nameAt === 0 || slots === 0) return libraries;
    libraries.push({
      library: pe.name(nameAt, 'name of an imported library'),
      delayed: false,
      hasLookupTable: lookup !== 0,
      imports: readThunks(pe, lookup || slots, slots, budget),
    });
  }
}

/** Delay-loaded imports; drivers have few, and the kernel does not resolve them. @throws Invalid, Truncated */
export function readDelayImports(pe: PeFile): PeImportLibrary[] {
  const budget = { left: Math.floor(pe.bytes.length / 4) + 16 };
  const libraries: PeImportLibrary[] = [];
  const { address } = pe.directory(DIRECTORY.DELAY_IMPORT);
  if (address === 0) return libraries;
  for (let at = address; ; at += DELAY_BYTES) {
    spend(budget, at);
    const view = pe.viewAt(at, DELAY_BYTES, 'delay import descriptor');
    // Attribute bit 0: the fields are RVAs. Old compilers wrote addresses, for 32-bit images alone.
    const rva = (value: number) =>
      (view.u32(0) & 1) !== 0 || value === 0 ? value : value - Number(pe.header.imageBase);
    const nameAt = rva(view.u32(4));
    if (nameAt === 0) return libraries;
    libraries.push({
      library: pe.name(nameAt, 'name of a delay-loaded library'),
      delayed: true,
      hasLookupTable: true,
      imports: readThunks(pe, rva(view.u32(16)), rva(view.u32(12)), budget),
    });
  }
}

function readThunks(pe: PeFile, lookup: number, slots: number, budget: { left: number }): PeImport[] {
  const imports: PeImport[] = [];
  const byOrdinal = pe.word === 8 ? 1n << 63n : 1n << 31n;
  for (let i = 0; ; i++) {
    spend(budget, lookup);
    const thunk = pe.pointer(lookup + i * pe.word, 'import thunk');
    if (thunk === 0n) return imports;
    const slot = slots + i * pe.word;
    if ((thunk & byOrdinal) !== 0n) {
      imports.push({ name: undefined, ordinal: Number(thunk & 0xffffn), hint: 0, slot });
    } else {
      const at = Number(thunk & 0x7fffffffn);
      const hint = pe.u16(at, 'import hint');
      imports.push({ name: pe.name(at + 2, 'name of an import'), ordinal: undefined, hint, slot });
    }
  }
}

function spend(budget: { left: number }, at: number): void {
  if (--budget.left < 0)
    throw new Invalid('import table', 'has more entries than the file has room for', { value: at });
}
