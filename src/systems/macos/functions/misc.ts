/** Boot arguments, hash tables, and registrations whose users (the network, select) this machine has not. */
import { guestText, writeGuestText } from '../../../kernel/text/printf.ts';
import type { Address } from '../../../memory/space.ts';
import type { Macos } from '../macos.ts';
import { kernelFunctions } from './define.ts';

/** `name=value`, or `-name` as a flag, of the boot arguments (pexpert/gen/bootargs.c). */
function bootArgument(k: Macos, name: Address, to: Address, size: number): number {
  const wanted = guestText(k, name, 256);
  for (const word of k.bootArgs.split(/\s+/)) {
    const [key, value] = word.split('=', 2);
    if (key !== wanted) continue;
    if (value === undefined) number(k, to, size, 1);
    else if (/^-?(0x[0-9a-f]+|\d+)$/i.test(value)) number(k, to, size, Number(value));
    else writeGuestText(k, to, value.slice(0, Math.max(0, size - 1)));
    return 1;
  }
  return 0;
}

function number(k: Macos, to: Address, size: number, value: number): void {
  if (size >= 8) k.memory.setPtr(to, value);
  else if (size >= 4) k.memory.set32(to, value);
  else if (size === 2) k.memory.set16(to, value);
  else if (size === 1) k.memory.set8(to, value);
}

export const miscellany = kernelFunctions({
  'void __bzero(void *at, size_t bytes)': (k, at, bytes) => k.memory.fill(at, bytes, 0),
  'boolean_t PE_parse_boot_argn(const char *name, void *to, int size)': bootArgument,
  'boolean_t PE_parse_boot_arg(const char *name, void *to)': (k, name, to) => bootArgument(k, name, to, 4),
  // The largest power of two that is not above the wish (bsd/kern/kern_subr.c).
  'void *hashinit(int elements, int type, u_long *mask)': (k, elements, _type, mask) => {
    if (elements <= 0) throw k.panic('panic(cpu 0): "hashinit: bad cnt"');
    const size = 2 ** Math.floor(Math.log2(elements));
    k.memory.setPtr(mask, size - 1);
    return k.heap.allocate(size * k.word, 'malloc');
  },
  'void hashdestroy(void *table, int type, u_long mask)': (k, table) => k.heap.free(table),
  // Nobody waits in select on this machine, so there is nobody to wake.
  'void selthreadclear(void *sip)': () => undefined,
  'void selwakeup(void *sip)': () => undefined,
});
