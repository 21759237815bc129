/** SYSINIT and SYSUNINIT of a file that is loaded or unloaded at run time (linker_file_sysinit of kern_linker.c). */
import { FormatError } from '../../bytes/errors.ts';
import type { Steps } from '../../kernel/steps.ts';
import type { Address } from '../../memory/space.ts';
import type { FreeBsd } from './freebsd.ts';
import type { KldModule } from './kld.ts';

/** SI_SUB_DUMMY: an entry that is not run. */
const SI_SUB_DUMMY = 0;

/** struct sysinit entries of a set, in the order they run: by subsystem and order, or the reverse of it. */
export function sortedSysinits(k: FreeBsd, module: KldModule, set: 'sysinit' | 'sysuninit'): Address[] {
  const section = module.section(`set_${set}_set`);
  if (section === undefined) return [];
  const count = Math.floor(section.size / k.word);
  const list = Array.from({ length: count }, (_, i) => k.memory.ptr(section.address + i * k.word));
  const sign = set === 'sysinit' ? 1 : -1;
  const key = (at: Address) => [k.read('sysinit.subsystem', at), k.read('sysinit.order', at)];
  return list.sort((a, b) => {
    const [x, y] = [key(a), key(b)];
    return sign * (x[0] - y[0] || x[1] - y[1]);
  });
}

/** A set that is damaged is walked all the same, as the kernel walks it: what it reads there is its own fault. */
function functionOffset({ kld }: KldModule): number {
  try {
    return kld.sysinitFunction();
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    return PLAIN_FUNCTION;
  }
}

/** Where the function stands in a struct sysinit without a link before it (sys/kernel.h). */
const PLAIN_FUNCTION = 8;

/** Runs them, the whole set, whatever the boot phase: only their order counts at run time. */
export function* runSysinits(k: FreeBsd, module: KldModule, set: 'sysinit' | 'sysuninit'): Steps<void> {
  const func = functionOffset(module);
  for (const at of sortedSysinits(k, module, set)) {
    if (k.read('sysinit.subsystem', at) === SI_SUB_DUMMY) continue;
    yield* k.call(k.memory.ptr(at + func), k.memory.ptr(at + func + k.word));
  }
}
