/** What libkern's C++ runtime does around a kext: constructors of its static objects, the classes it registers. */
import type { Steps } from '../../../kernel/steps.ts';
import type { Address } from '../../../memory/space.ts';
import type { LoadedKext } from '../kexts.ts';
import type { Macos } from '../macos.ts';

export interface MetaClassCount {
  readonly name: string;
  readonly instances: number;
}

/** Calls the functions behind pointers of __mod_init_func, in order (OSRuntimeInitializeCPP). */
export function* runInitialisers(k: Macos, _kext: LoadedKext, pointers: readonly Address[]): Steps<void> {
  for (const pointer of pointers) {
    const routine = k.memory.ptr(pointer);
    if (routine !== 0) yield* k.call(routine);
  }
}

/** The classes whose OSMetaClass lies in the kext, with their live instances. */
export function metaClassesOf(_k: Macos, _kext: LoadedKext): MetaClassCount[] {
  return [];
}
