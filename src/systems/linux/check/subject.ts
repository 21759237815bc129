/** A module file that is checked against one kernel after the other: what does not depend on the kernel is read once. */
import { FormatError } from '../../../bytes/errors.ts';
import { type ElfFile, readElf } from '../../../formats/elf/read.ts';
import type { ObjectSymbol } from '../../../formats/object.ts';
import { type ExportDescription, exportsOf } from '../describe.ts';
import { ModInfo, type ModuleFile } from '../module-file.ts';

export class Subject {
  /** The file as it is, unpacked. */
  readonly bytes: Uint8Array;
  /** The same as it lies on the disk. */
  readonly packed: Uint8Array;
  readonly path: string;
  /** Machines whose relocation rules it has passed, with addresses of the usual kind. */
  readonly relocated = new Set<string>();
  #elf: { readonly bytes: Uint8Array; readonly file: ElfFile } | undefined;
  #module: ModuleFile | undefined;
  #info: { readonly known: ModInfo | undefined } | undefined;
  #imports: readonly ObjectSymbol[] | undefined;
  #exports: readonly ExportDescription[] | undefined;

  constructor(path: string, bytes: Uint8Array, packed = bytes) {
    this.path = path;
    this.bytes = bytes;
    this.packed = packed;
  }

  /** As readElf. @throws FormatError */
  readonly read = (bytes: Uint8Array): ElfFile => {
    if (this.#elf === undefined || this.#elf.bytes.length !== bytes.length) {
      this.#elf = { bytes, file: readElf(bytes) };
      this.#module = undefined;
    }
    return this.#elf.file;
  };

  /** What .modinfo says its name is, whatever kernel asks; undefined where nothing can be read. */
  get ownName(): string | undefined {
    return this.modinfo?.get('name');
  }

  /** Its .modinfo, also when a rule refuses the file before that is looked at; undefined where nothing can be read. */
  get modinfo(): ModInfo | undefined {
    if (this.#info === undefined) this.#info = { known: this.#readInfo() };
    return this.#info.known;
  }

  #readInfo(): ModInfo | undefined {
    try {
      const elf = this.#elf?.file ?? readElf(this.bytes);
      const info = elf.section('.modinfo');
      return info === undefined ? undefined : new ModInfo(elf.data(info));
    } catch (error) {
      if (error instanceof FormatError) return undefined;
      throw error;
    }
  }

  /** The same module file as before, if it is the same: its symbols have been read. */
  settle(file: ModuleFile): ModuleFile {
    if (this.#module?.elf !== file.elf || this.#module.name !== file.name) {
      this.#module = file;
      this.#imports = undefined;
      this.#exports = undefined;
    }
    return this.#module;
  }

  /** Symbols without a definition, in table order. @throws FormatError */
  imports(file: ModuleFile): readonly ObjectSymbol[] {
    this.#imports ??= file.object.symbols.filter(
      ({ index, place }) => index !== 0 && (place === 'undefined' || place === 'common'),
    );
    return this.#imports;
  }

  /** What it offers to others. @throws FormatError */
  exports(file: ModuleFile): readonly ExportDescription[] {
    this.#exports ??= exportsOf(file.object);
    return this.#exports;
  }
}
