import type { TypeTable } from '../../../ctypes/table.ts';
import type { Machine } from '../../../formats/object.ts';
import type { ExportTable, KernelExport } from './exports.ts';
import type { ModuleExports } from './modules.ts';
import type { RuleEvidence } from './rules.ts';

export type { ExportTable, KernelExport };

/**
 * What is known of one Linux kernel without running it: read from its image, or from a saved `.kernel` file.
 * Addresses are signed numbers (see memory/space.ts).
 */
export interface KernelFile {
  /** `uname -r`: `6.1.0-56-amd64`. */
  readonly release: string;
  /** What a module's vermagic is compared with; its trailing space counts. */
  readonly vermagic: string;
  /** `/proc/version` without the newline. */
  readonly banner: string;
  readonly machine: Machine;
  readonly bits: 32 | 64;
  readonly littleEndian: boolean;
  readonly exports: ExportTable;
  /** Which loader rules this kernel has; the ids are listed in rules.ts. */
  readonly rules: ReadonlySet<string>;
  /** Why each rule is or is not there: the string that was found or missed. */
  readonly evidence: readonly RuleEvidence[];
  /** Every type of the kernel when read from an image; the ones that were asked for in a saved file. */
  readonly types: TypeTable;
  /** Per-CPU variables, by offset in the per-CPU area. */
  readonly percpu: readonly PerCpuVariable[];
  readonly sections: readonly KernelSection[];
  /** Build configuration: `CONFIG_X` to `y`, `m`, a number or a string (without quotes); undefined if not known. */
  readonly config: ReadonlyMap<string, string> | undefined;
  /** `sizeof(struct module)`, which newer kernels compare a module's own with; undefined without types. */
  readonly moduleBytes: number | undefined;
  /** Names of built-in parts in /sys/module, where a saved kernel has them (builtin-names.ts reads them of an image). */
  readonly builtIns?: ReadonlySet<string> | undefined;
  /** The built-in keyring as DER, where a saved kernel has it (certificates.ts reads it of an image). */
  readonly certificates?: readonly Uint8Array[] | undefined;
  /** What a description that was put together of parts does not know; absent when nothing is missing. */
  readonly gaps?: ReadonlySet<KernelGap>;
  /** What the kernel's own modules export, where somebody looked: from Module.symvers or a module tree. */
  readonly modules?: ModuleExports | undefined;
  /** Rules of which nobody knows whether this kernel has them. */
  readonly undecided?: ReadonlySet<string>;
  /** SHA-256 or other name of the file this came from, if the caller gave one. */
  readonly origin: string;
  /** Bytes of the image at a link address (only when read from an image). Undefined outside of it. */
  read(address: number, length: number): Uint8Array | undefined;
  /** The exported function or object that an address lies in or behind, up to the next exported one. */
  nearest(address: number): NearestExport | undefined;
}

/** `versions`: the CRCs of exports; `gpl`: which exports are for GPL modules only. */
export type KernelGap =
  | 'machine'
  | 'release'
  | 'vermagic'
  | 'exports'
  | 'versions'
  | 'gpl'
  | 'namespaces'
  | 'addresses';

export interface NearestExport {
  readonly name: string;
  readonly address: number;
  /** Distance to the next export: an upper bound, since an image without symbol table records no sizes. */
  readonly size: number;
  readonly module: undefined;
}

export interface KernelSection {
  readonly name: string;
  readonly base: number;
  readonly size: number;
  readonly writable: boolean;
  readonly executable: boolean;
  /** No bytes in the file: `.bss`. */
  readonly zeroFill: boolean;
  /** What it holds, for the memory map. */
  readonly role: SectionRole;
}

export type SectionRole = 'text' | 'rodata' | 'data' | 'bss' | 'percpu' | 'init' | 'other';

export interface PerCpuVariable {
  readonly name: string;
  readonly offset: number;
  readonly size: number;
}

/** The sections of a role joined: `region(kernel, 'text')` is what `_stext` to `_etext` covers. */
export function region(kernel: KernelFile, role: SectionRole): { base: number; size: number } | undefined {
  const sections = kernel.sections.filter((s) => s.role === role && s.size > 0);
  if (sections.length === 0) return undefined;
  const base = Math.min(...sections.map((s) => s.base));
  const end = Math.max(...sections.map((s) => s.base + s.size));
  return { base, size: end - base };
}
