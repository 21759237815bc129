/** The export table (".edata section"). */
import { Invalid } from '../../bytes/errors.ts';
import { DIRECTORY } from './layout.ts';
import type { PeFile } from './read.ts';

export interface PeExport {
  readonly ordinal: number;
  /** Undefined: exported by ordinal alone. One address may have several names; each is an entry. */
  readonly name: string | undefined;
  /** RVA; meaningless when forwarded. */
  readonly address: number;
  /** `MODULE.Name` or `MODULE.#ordinal`. */
  readonly forwarder: string | undefined;
}

export interface PeExports {
  /** The name the file gives itself. */
  readonly library: string;
  readonly base: number;
  readonly entries: readonly PeExport[];
}

/** Undefined when the file exports nothing. @throws Invalid, Truncated */
export function readExports(pe: PeFile): PeExports | undefined {
  const directory = pe.directory(DIRECTORY.EXPORT);
  if (directory.address === 0 || directory.size === 0) return undefined;
  const view = pe.viewAt(directory.address, 40, 'export directory');
  const functions = view.u32(20);
  const names = view.u32(24);
  const limit = pe.bytes.length / 4;
  if (functions > limit || names > limit) {
    throw new Invalid('export directory', 'has more entries than the file has room for', {
      value: Math.max(functions, names),
    });
  }
  const base = view.u32(16);
  const table = view.u32(28);
  const addresses = new Uint32Array(functions);
  const at = functions === 0 ? undefined : pe.viewAt(table, functions * 4, 'export address table');
  for (let i = 0; i < functions; i++) addresses[i] = at?.u32(i * 4) ?? 0;
  const entry = (index: number, name: string | undefined): PeExport => {
    const address = addresses[index];
    const inside = address >= directory.address && address < directory.address + directory.size;
    const forwarder = inside ? pe.name(address, 'forwarder') : undefined;
    return { ordinal: base + index, name, address, forwarder };
  };
  const entries: PeExport[] = [];
  const named = new Set<number>();
  for (let i = 0; i < names; i++) {
    const name = pe.name(pe.u32(view.u32(32) + i * 4, 'export name pointer'), 'name of an export');
    const index = pe.u16(view.u32(36) + i * 2, 'export ordinal');
    if (index >= functions) {
      throw new Invalid(`export ${name}`, 'its ordinal is outside the address table', { value: index });
    }
    named.add(index);
    entries.push(entry(index, name));
  }
  for (let i = 0; i < functions; i++) {
    if (!named.has(i) && addresses[i] !== 0) entries.push(entry(i, undefined));
  }
  const nameAt = view.u32(12);
  return { library: nameAt === 0 ? '' : pe.name(nameAt, 'name of the exporter'), base, entries };
}
