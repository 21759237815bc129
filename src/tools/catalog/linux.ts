/** Module files of Linux as entries of a catalogue. */
import { decompress } from '../../bytes/decompress.ts';
import type { CatalogEntry } from '../../catalog/entry.ts';
import {
  type ByteSource,
  ElfFacts,
  type ModuleSymbol,
  NotAModule,
} from '../../systems/linux/tree/elf-facts.ts';
import { softDependencies } from '../../systems/linux/tree/modprobe-config.ts';
import { nameOfPath } from '../../systems/linux/tree/names.ts';

class Bytes implements ByteSource {
  private readonly bytes: Uint8Array;

  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
  }

  get size(): number {
    return this.bytes.length;
  }

  read(offset: number, length: number): Uint8Array {
    return this.bytes.subarray(offset, offset + length);
  }
}

const hexadecimal = (crc: number | bigint): string => `0x${crc.toString(16).padStart(8, '0')}`;
const words = (text: string): string[] => text.split(/[\s,]+/).filter((word) => word !== '');

/** undefined: not one of Linux. @throws FormatError for one that cannot be unpacked */
export function linuxEntry(path: string, packed: Uint8Array): CatalogEntry | undefined {
  let elf: ElfFacts;
  let strings: readonly string[];
  try {
    elf = new ElfFacts(new Bytes(decompress(packed)));
    strings = elf.modinfo();
  } catch (error) {
    if (error instanceof NotAModule) return undefined;
    throw error;
  }
  if (strings.length === 0) return undefined;
  const values = (key: string) =>
    strings.filter((text) => text.startsWith(`${key}=`)).map((text) => text.slice(key.length + 1));
  const soft = values('softdep').map(softDependencies);
  return {
    system: 'linux',
    name: nameOfPath(path),
    path,
    version: values('version')[0] ?? '',
    offers: attempt(() => elf.exports()).map(({ name, crc }) => ({ name, version: hexadecimal(crc) })),
    needs: attempt(() => elf.needs()).map(({ name, crc, weak }) => ({
      name,
      version: hexadecimal(crc),
      weak,
    })),
    names: values('name'),
    depends: values('depends').flatMap(words),
    aliases: values('alias'),
    soft: { before: soft.flatMap(({ pre }) => pre), after: soft.flatMap(({ post }) => post) },
    weak: values('weakdep').flatMap(words),
    firmware: values('firmware'),
    parameters: values('parmtype').map((text) => {
      const colon = text.indexOf(':');
      return { name: text.slice(0, colon), type: text.slice(colon + 1) };
    }),
  };
}

function attempt<T extends ModuleSymbol | { readonly name: string }>(read: () => T[]): T[] {
  try {
    return read();
  } catch (error) {
    if (error instanceof NotAModule) return [];
    throw error;
  }
}
