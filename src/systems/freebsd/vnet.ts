/** The network stack instance that every thread belongs to (sys/net/vnet.h). */
import { perKernel } from '../../kernel/kernel.ts';
import type { Address } from '../../memory/space.ts';
import type { Bits } from './declarations.ts';
import type { FreeBsd } from './freebsd.ts';
import { majorOf } from './version.ts';

/**
 * Where struct thread has the network stack instance: of the headers of 12.1 and 15.0, compiled, and as modules of 14.2 read
 * it. Before 12 kernels are not built with instances.
 */
const VNET_PLACES: Readonly<Record<number, Partial<Record<Bits, number>>>> = {
  12: { 64: 0x4f8, 32: 0x31c },
  14: { 64: 0x690 },
  15: { 64: 0x6c8, 32: 0x368 },
};

/**
 * The one instance of the network stack. Its data lies where the linker put it, so that the base that inline code adds is
 * zero. Undefined where the place of td_vnet is not known: then a module that uses its instance's data stops.
 */
export function vnetOf(k: FreeBsd): { readonly thread: number; readonly address: Address } | undefined {
  const thread = VNET_PLACES[majorOf(k.version)]?.[k.bits];
  return thread === undefined ? undefined : { thread, address: k.state(instance).at };
}

const instance = perKernel<{ at: Address }, FreeBsd>((k) => ({ at: k.data.reserve(256) }));
