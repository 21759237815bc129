/** Module files of Linux as entries of a catalogue. */
import { decompress } from '../../bytes/decompress.ts';
import { BARE_ENTRY, type CatalogEntry } from '../../catalog/entry.ts';
import {
  type ByteSource,
  ElfFacts,
  type ModuleSymbol,
  NotAModule,
} from '../../systems/linux/tree/elf-facts.ts';
import { softDependencies } from '../../systems/linux/tree/modprobe-config.ts';
import { nameOfPath } from '../../systems/linux/tree/names.ts';
import { OLD_ENDING, type OldModule, readOldModule } from '../../systems/linux/tree/old-module.ts';

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
    if (OLD_ENDING.test(path)) return oldEntry(path, readOldModule(elf));
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

/** One from before 2.6: what it needs is known by its symbols alone. */
function oldEntry(path: string, module: OldModule | undefined): CatalogEntry | undefined {
  if (module === undefined) return undefined;
  const symbol = ({ name, crc }: OldModule['exports'][number] | OldModule['needs'][number]) => ({
    name,
    ...(crc === undefined ? {} : { version: hexadecimal(crc) }),
  });
  return {
    ...BARE_ENTRY,
    system: 'linux',
    name: nameOfPath(path),
    path,
    version: module.info.find(([tag]) => tag === 'version')?.[1] ?? '',
    offers: module.exports.map(symbol),
    needs: module.needs.map((one) => ({ ...symbol(one), weak: one.weak })),
    parameters: module.parameters.map(({ name, type }) => ({ name, type })),
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
