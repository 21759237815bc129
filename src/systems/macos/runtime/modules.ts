/** What libkern's C++ runtime does around a kext: its static objects are made and destroyed (libkern/c++/OSRuntime.cpp). */
import { S } from '../../../formats/macho/layout.ts';
import type { MachoSection } from '../../../formats/macho/read.ts';
import type { Steps } from '../../../kernel/steps.ts';
import type { Address } from '../../../memory/space.ts';
import { kernelFunctions } from '../functions/define.ts';
import type { LoadedKext } from '../kexts.ts';
import type { Macos } from '../macos.ts';
import { metaClassesOf } from './classes.ts';

/** Sections of pointers to functions: by type in final images, by name in object files. */
interface PointerSections {
  readonly type: number;
  readonly name: string;
}
const CONSTRUCTORS: PointerSections = { type: S.MOD_INIT_FUNC_POINTERS, name: '__constructor' };
const DESTRUCTORS: PointerSections = { type: S.MOD_TERM_FUNC_POINTERS, name: '__destructor' };
/** libkern_metaclass_err(2), KMOD_RETURN_FAILURE */
const HAS_INSTANCES = 0xdc004002 | 0;
const FAILURE = 5;

/** Addresses of the pointers in such sections. */
function pointersOf({ image }: LoadedKext, wanted: PointerSections): Address[] {
  if (image === undefined) return [];
  const { word, slide } = image;
  return image.file.sections
    .filter(({ type, name }: MachoSection) => type === wanted.type || name === wanted.name)
    .flatMap(({ size, address }) =>
      Array.from({ length: Math.floor(size / word) }, (_, i) => address + slide + i * word),
    );
}

function* callAll(k: Macos, pointers: readonly Address[]): Steps<void> {
  for (const pointer of pointers) {
    const routine = k.memory.ptr(pointer);
    if (routine !== 0) yield* k.call(routine);
  }
}

/** Makes static objects, once: the kernel asks for it before a start, and old kexts ask again in theirs. */
export function* initialiseCpp(k: Macos, kext: LoadedKext): Steps<void> {
  if (kext.cppReady) return;
  kext.cppReady = true;
  yield* callAll(k, pointersOf(kext, CONSTRUCTORS));
}

/** Destroys them. */
export function* finaliseCpp(k: Macos, kext: LoadedKext): Steps<void> {
  if (!kext.cppReady) return;
  kext.cppReady = false;
  yield* callAll(k, pointersOf(kext, DESTRUCTORS));
}

const kextOf = (k: Macos, info: Address): LoadedKext | undefined =>
  k.kexts.all.find(({ control }) => control === info);

export const cppRuntime = kernelFunctions({
  'kern_return_t OSRuntimeInitializeCPP(struct kmod_info *info, void *data)': function* (k, info) {
    const kext = kextOf(k, info);
    if (kext === undefined) return FAILURE;
    yield* initialiseCpp(k, kext);
    return 0;
  },
  'kern_return_t OSRuntimeFinalizeCPP(struct kmod_info *info, void *data)': function* (k, info) {
    const kext = kextOf(k, info);
    if (kext === undefined) return FAILURE;
    if (!kext.cppReady) return 0;
    if (metaClassesOf(k, kext).some(({ instances }) => instances > 0)) return HAS_INSTANCES;
    yield* finaliseCpp(k, kext);
    return 0;
  },
  'void OSRuntimeUnloadCPP(struct kmod_info *info, void *data)': function* (k, info) {
    const kext = kextOf(k, info);
    if (kext !== undefined) yield* finaliseCpp(k, kext);
  },
});
