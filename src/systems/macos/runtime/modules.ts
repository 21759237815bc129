/** What libkern's C++ runtime does around a kext: constructors of its static objects (libkern/c++/OSRuntime.cpp). */
import type { Steps } from '../../../kernel/steps.ts';
import type { Address } from '../../../memory/space.ts';
import type { Macos } from '../macos.ts';

/** Calls the functions behind pointers of __mod_init_func, in order (OSRuntimeInitializeCPP). */
export function* runInitialisers(k: Macos, pointers: readonly Address[]): Steps<void> {
  for (const pointer of pointers) {
    const routine = k.memory.ptr(pointer);
    if (routine !== 0) yield* k.call(routine);
  }
}
