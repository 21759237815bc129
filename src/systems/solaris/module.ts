/** What the base kernel remembers of a module's file while it is in memory; everything else is in its modctl. */
import type { Image, KernelModule } from '../../kernel/modules.ts';
import type { Address } from '../../memory/space.ts';
import type { Dependencies } from './depends.ts';

export interface SolarisModule extends KernelModule {
  readonly image: Image;
  readonly dependencies: Dependencies;
  /** Symbols that others may find: all that are not local, by name. */
  readonly symbols: ReadonlyMap<string, { readonly address: Address; readonly size: number }>;
  readonly text: { readonly address: Address; readonly size: number };
  readonly data: { readonly address: Address; readonly size: number };
  /** Imports that the kernel's own functions answer. */
  readonly imports: readonly string[];
  /** Gives back memory and names. */
  readonly release: () => void;
}
