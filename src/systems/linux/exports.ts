/** The export tables of a module, read once they are relocated (struct kernel_symbol, include/linux/export.h). */
import { cstring } from '../../bytes/cstring.ts';
import type { StagedSection } from '../../link/place.ts';
import type { Address } from '../../memory/space.ts';
import { KSYM_FLAG_GPL_ONLY } from './kernelfile/ksymtab.ts';
import type { Loading } from './loading.ts';
import type { ModuleExport } from './module.ts';

/** Three 32-bit references, each relative to its own place: value, name, namespace. */
const ENTRY_BYTES = 12;
/** Longer than any symbol: KSYM_NAME_LEN is 512. */
const MAX_NAME = 1024;

export function readExports(load: Loading): Map<string, ModuleExport> {
  const exports = new Map<string, ModuleExport>();
  for (const [table, crcs, gplOnly] of [
    ['__ksymtab', '__kcrctab', false],
    ['__ksymtab_gpl', '__kcrctab_gpl', true],
  ] as const) {
    const symbols = load.section(table);
    if (symbols === undefined) continue;
    if (gplOnly && load.judge.has('export-flags')) continue;
    const flags = gplOnly ? undefined : load.section('__kflagstab')?.bytes;
    for (const found of readTable(load, symbols, load.section(crcs), gplOnly, flags)) {
      if (!exports.has(found.name)) exports.set(found.name, found);
    }
  }
  return exports;
}

function* readTable(
  load: Loading,
  symbols: StagedSection,
  crcs: StagedSection | undefined,
  gplOnly: boolean,
  flags: Uint8Array | undefined,
): Generator<ModuleExport> {
  const view = new DataView(symbols.bytes.buffer, symbols.bytes.byteOffset, symbols.bytes.length);
  const versions = crcs && new DataView(crcs.bytes.buffer, crcs.bytes.byteOffset, crcs.bytes.length);
  for (let i = 0; (i + 1) * ENTRY_BYTES <= symbols.bytes.length; i++) {
    const at = i * ENTRY_BYTES;
    const target = (field: number): Address => symbols.address + at + field + view.getInt32(at + field, true);
    const hasVersion = versions !== undefined && i * 4 + 4 <= versions.byteLength;
    yield {
      name: stringAt(load, target(4)),
      address: target(0),
      crc: hasVersion ? versions.getUint32(i * 4, true) : undefined,
      gplOnly: gplOnly || ((flags?.[i] ?? 0) & KSYM_FLAG_GPL_ONLY) !== 0,
      namespace: view.getInt32(at + 8, true) === 0 ? '' : stringAt(load, target(8)),
    };
  }
}

/** A string in the module's own memory; empty when the reference leads elsewhere. */
function stringAt(load: Loading, address: Address): string {
  for (const { base, bytes } of load.areas) {
    const offset = address - base;
    if (offset >= 0 && offset < bytes.length) {
      return cstring(bytes, offset, Math.min(bytes.length, offset + MAX_NAME));
    }
  }
  return '';
}
