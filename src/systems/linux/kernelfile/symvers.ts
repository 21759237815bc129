/** Lists of exported symbols as text: Module.symvers, System.map, and the stable lists of enterprise distributions. */
import { Invalid } from '../../../bytes/errors.ts';
import type { ModuleExportRow } from './modules.ts';

/** The owner of what the kernel itself exports. */
export const VMLINUX = 'vmlinux';

/** More lines than any kernel has symbols; a longer list is none. */
const MAX_LINES = 1 << 20;

/**
 * Module.symvers (scripts/mod/modpost.c): `CRC <tab> symbol <tab> module <tab> export type [<tab> namespace]`, where the
 * module is a path without its ending. Older kernels have no namespace, or have it in front of the module: the forms are
 * told apart by which column begins with EXPORT_.
 * @throws Invalid
 */
export function readSymvers(text: string): ModuleExportRow[] {
  const rows: ModuleExportRow[] = [];
  for (const [i, line] of linesOf(text).entries()) {
    if (line === '') continue;
    const columns = line.split('\t');
    const crc = /^0x([0-9a-f]{8}|[0-9a-f]{16})$/i.test(columns[0])
      ? Number.parseInt(columns[0].slice(-8), 16)
      : undefined;
    const kind = columns.findIndex((column) => /^EXPORT_(UNUSED_)?SYMBOL/.test(column));
    if (crc === undefined || columns.length < 4 || kind < 2) {
      throw new Invalid(
        'Module.symvers',
        `line ${i + 1} is no "CRC symbol module type": ${JSON.stringify(line.slice(0, 60))}`,
      );
    }
    // `CRC symbol namespace module type`, or `CRC symbol module type namespace`.
    const early = kind === 4;
    rows.push({
      name: columns[1],
      owner: ownerName(columns[early ? 3 : 2]),
      crc,
      gplOnly: columns[kind].includes('_GPL'),
      namespace: (early ? columns[2] : columns[kind + 1]) ?? '',
    });
  }
  return rows;
}

const ownerName = (path: string): string =>
  path
    .slice(path.lastIndexOf('/') + 1)
    .replace(/\.k?o$/, '')
    .replaceAll('-', '_');

export interface SystemMap {
  readonly exports: readonly {
    readonly name: string;
    readonly address: number;
    readonly crc: number | undefined;
  }[];
  readonly bits: 32 | 64;
}

/** System.map: exports have a `__ksymtab_` label, and up to 5.18 a `__crc_` symbol whose address is the version. @throws Invalid */
export function readSystemMap(text: string): SystemMap {
  const labels: string[] = [];
  const crcs = new Map<string, number>();
  const addresses = new Map<string, number>();
  let bits: 32 | 64 = 64;
  for (const line of linesOf(text)) {
    const match = /^([0-9a-f]{8}|[0-9a-f]{16}) (\S) (\S+)/.exec(line);
    if (match === null) continue;
    const [, hex, , name] = match;
    bits = hex.length === 8 ? 32 : 64;
    if (name.startsWith('__ksymtab_')) labels.push(name.slice('__ksymtab_'.length));
    else if (name.startsWith('__crc_'))
      crcs.set(name.slice('__crc_'.length), Number.parseInt(hex.slice(-8), 16));
    else
      addresses.set(
        name,
        hex.length === 8 ? Number.parseInt(hex, 16) : Number(BigInt.asIntN(64, BigInt(`0x${hex}`))),
      );
  }
  if (labels.length === 0) {
    const stub = /real System\.map is in (.*)/.exec(text)?.[1];
    const why =
      stub === undefined
        ? 'has no __ksymtab_ label: nothing is exported'
        : `only says that the real one is in ${stub}`;
    throw new Invalid('System.map', why);
  }
  const exports = labels.map((name) => ({ name, address: addresses.get(name) ?? 0, crc: crcs.get(name) }));
  return { exports, bits };
}

/**
 * A list of symbols whose versions a distribution keeps stable: one name a line, indented below `[name_of_list]` heads
 * (kabi_stablelist_ARCH), or lines of Module.symvers (Module.kabi_ARCH). @throws Invalid
 */
export function readStableList(text: string): { readonly name: string; readonly crc: number | undefined }[] {
  const found: { name: string; crc: number | undefined }[] = [];
  for (const line of linesOf(text)) {
    const words = line.trim().split(/\s+/);
    if (words[0] === '' || words[0].startsWith('#') || words[0].startsWith('[')) continue;
    const versioned = /^0x[0-9a-f]{8,16}$/i.test(words[0]);
    const name = versioned ? (words[1] ?? '') : words[0];
    if (!/^[\w.$]+$/.test(name))
      throw new Invalid('stable list', `${JSON.stringify(name.slice(0, 60))} is no symbol`);
    found.push({ name, crc: versioned ? Number.parseInt(words[0].slice(-8), 16) : undefined });
  }
  return found;
}

function linesOf(text: string): string[] {
  const lines = text.split(/\r?\n/);
  if (lines.length > MAX_LINES) throw new Invalid('symbol list', `has ${lines.length} lines`);
  return lines;
}
