/** The network stack instance that every thread belongs to (sys/net/vnet.h). */
import { perKernel } from '../../kernel/kernel.ts';
import type { Address } from '../../memory/space.ts';
import type { FreeBsd } from './freebsd.ts';
import { majorOf } from './version.ts';

/** Where struct thread has the network stack instance, and struct vnet the base of its data; measured in modules of 14. */
const VNET_PLACES: Readonly<Record<number, { readonly thread: number; readonly base: number }>> = {
  14: { thread: 0x690, base: 0x28 },
};

/**
 * The one instance of the network stack. Its data lies where the linker put it, so that the base that inline code adds is
 * zero. Undefined where the place of td_vnet is not known: then a module that uses its instance's data stops.
 */
export function vnetOf(k: FreeBsd): { readonly thread: number; readonly address: Address } | undefined {
  const places = k.bits === 64 ? VNET_PLACES[majorOf(k.version)] : undefined;
  return places === undefined ? undefined : { thread: places.thread, address: k.state(instance).at };
}

const instance = perKernel<{ at: Address }, FreeBsd>((k) => ({ at: k.data.reserve(256) }));
