/** The class of disks, /sys/class/block: its devices have block nodes in /dev. */
import { perKernel } from '../../../kernel/kernel.ts';
import type { Address } from '../../../memory/space.ts';
import type { Linux } from '../linux.ts';

const made = perKernel<{ at: Address }, Linux>(() => ({ at: 0 }));

/** struct class of disks, made when the first of them is. */
export function blockClass(k: Linux, register: (at: Address, name: string) => void): Address {
  const state = k.state(made);
  if (state.at === 0) {
    state.at = k.heap.allocateZeroed(k.sizeof('class'));
    const name = k.heap.allocateZeroed(8);
    k.memory.write(name, new TextEncoder().encode('block'));
    k.write('class.name', state.at, name);
    register(state.at, 'block');
  }
  return state.at;
}

export const isBlockClass = (k: Linux, classAt: Address): boolean =>
  classAt !== 0 && classAt === k.state(made).at;
