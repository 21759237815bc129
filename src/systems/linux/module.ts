/** A Linux module as the base kernel indexes it. Its fields live in `struct module` in guest memory (`control`). */
import type { KernelModule } from '../../kernel/modules.ts';
import type { Undo } from '../../kernel/transaction.ts';
import type { Address } from '../../memory/space.ts';
import type { ModuleFile } from './module-file.ts';
import type { Finding, SignatureFacts } from './verdict.ts';

/** enum module_state (include/linux/module.h). */
export const ModuleState = { LIVE: 0, COMING: 1, GOING: 2, UNFORMED: 3 } as const;

/** The count a module is born with; users come on top (MODULE_REF_BASE, kernel/module/main.c). */
export const REF_BASE = 1;

/** One entry of a module's `__ksymtab` or `__ksymtab_gpl`. */
export interface ModuleExport {
  readonly name: string;
  readonly address: Address;
  readonly crc: number | undefined;
  readonly gplOnly: boolean;
  /** Empty when the symbol is in no namespace. */
  readonly namespace: string;
}

/** A stretch of module memory that was taken in one piece: `core` and `init` in 6.1, one per kind from 6.4 on. */
export interface ModuleArea {
  readonly name: string;
  readonly base: Address;
  readonly bytes: number;
  readonly pages: number;
  /** Given back once the module has started. */
  readonly init: boolean;
}

/** What a module's parameter was found to be: `struct kernel_param` at `at`. */
export interface ModuleParameter {
  readonly name: string;
  readonly at: Address;
  /** Mode in /sys/module/NAME/parameters; 0 = not there. */
  readonly mode: number;
}

export interface LinuxModule extends KernelModule {
  readonly file: ModuleFile;
  /** Empty until the tables are relocated. */
  exports: ReadonlyMap<string, ModuleExport>;
  areas: ModuleArea[];
  parameters: readonly ModuleParameter[];
  /** Sections that /sys/module/NAME/sections shows, with their addresses. */
  sections: readonly { readonly name: string; readonly address: Address; readonly size: number }[];
  /** Things worth telling that the kernel itself does not say. */
  readonly findings: readonly Finding[];
  readonly signature: SignatureFacts;
  /** What an unload does, in order; empty until the module has started. */
  release: readonly Undo[];
  /** Imports by owner: undefined for the base kernel. */
  imports: readonly { readonly name: string; readonly from: string | undefined }[];
}
