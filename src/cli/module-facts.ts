/** What `lkm inspect` knows of a file: plain data, read from bytes, the source of both the screen and the JSON. */
import { type Compression, compressionOf, decompress } from '../bytes/decompress.ts';
import { elfObject } from '../formats/elf/object.ts';
import { readElf } from '../formats/elf/read.ts';
import type { Machine, ObjectFile } from '../formats/object.ts';
import { inspectModule, type LinuxModuleDescription, type Offers } from '../systems/linux/describe.ts';
import type { KernelFile } from '../systems/linux/kernelfile/kernelfile.ts';
import { ModInfo } from '../systems/linux/module-file.ts';

export interface SectionFact {
  readonly name: string;
  readonly size: number;
  /** `R`, `W`, `X` of what is in memory; empty for what stays in the file. */
  readonly permissions: string;
  /** Given back once the module has started. */
  readonly init: boolean;
}

export interface ModuleFacts {
  readonly compression: Compression | undefined;
  /** Bytes of the file as given, and of what it unpacks to. */
  readonly fileBytes: number;
  readonly bytes: number;
  readonly bits: 32 | 64;
  readonly littleEndian: boolean;
  readonly machine: Machine;
  readonly kind: ObjectFile['kind'];
  /** undefined: this ELF file is no Linux module. */
  readonly modinfo: ModInfo | undefined;
  readonly description: LinuxModuleDescription;
  /** Without a symbol table nothing can be linked. */
  readonly stripped: boolean;
  readonly sections: readonly SectionFact[];
}

/** The kernel that a module's imports are looked up in. */
export interface ImportSource {
  readonly kernel: KernelFile;
  readonly offers: Offers;
}

/** @throws FormatError */
export function moduleFacts(given: Uint8Array, source?: ImportSource): ModuleFacts {
  const bytes = decompress(given);
  const elf = readElf(bytes);
  const object = elfObject(elf);
  const info = elf.section('.modinfo');
  const split = object.machine === 'x86-64' && info !== undefined ? source : undefined;
  return {
    compression: compressionOf(given),
    fileBytes: given.length,
    bytes: bytes.length,
    bits: object.bits,
    littleEndian: object.littleEndian,
    machine: object.machine,
    kind: object.kind,
    modinfo: info === undefined ? undefined : new ModInfo(elf.data(info)),
    description: inspectModule(object, split?.kernel, split?.offers),
    stripped: object.symbols.length === 0,
    sections: object.sections.slice(1).map(sectionFact),
  };
}

function sectionFact({
  name,
  size,
  allocated,
  writable,
  executable,
}: ObjectFile['sections'][number]): SectionFact {
  const permissions = allocated ? `R${writable ? 'W' : ''}${executable ? 'X' : ''}` : '';
  return { name, size, permissions, init: allocated && name.startsWith('.init') };
}
