/** Buses of the kernel itself whose struct bus_type a module reaches by a symbol or not at all. */
import { perKernel } from '../../../kernel/kernel.ts';
import type { Steps } from '../../../kernel/steps.ts';
import type { Address } from '../../../memory/space.ts';
import { writeText } from '../functions/format/printf.ts';
import type { Linux } from '../linux.ts';
import { keepAll } from '../sysfs.ts';
import { attachDevice } from './bind.ts';
import { busPrivate, registerBus } from './bus.ts';

/** Functions of ours that a bus has as its methods, by name. */
export type BusMethods = Readonly<Partial<Record<'match' | 'uevent' | 'probe' | 'remove', string>>>;

/** Addresses of bus types that no symbol leads to. */
const unexported = perKernel<Map<string, Address>, Linux>(() => new Map());

function allocated(k: Linux, name: string): Address {
  const known = k.state(unexported).get(name);
  if (known !== undefined) return known;
  const at = k.heap.allocateZeroed(k.sizeof('bus_type'));
  k.state(unexported).set(name, at);
  return at;
}

/** The bus, registered when it is asked for the first time; `symbol` is the exported name of its type, if there is one. */
export function ownBus(
  k: Linux,
  name: string,
  methods: BusMethods,
  symbol: string | undefined,
): Steps<Address> {
  return k.heap.lastingSteps(readyOwnBus(k, name, methods, symbol));
}

function* readyOwnBus(
  k: Linux,
  name: string,
  methods: BusMethods,
  symbol: string | undefined,
): Steps<Address> {
  const at = k.file.exports.find(symbol ?? '')?.address ?? allocated(k, name);
  if (busPrivate(k, at) !== 0) return at;
  const text = k.heap.allocate(name.length + 1);
  writeText(k, text, name);
  k.poke('bus_type.name', at, text);
  for (const [method, handler] of Object.entries(methods))
    k.poke(`bus_type.${method}`, at, k.addressOf(handler));
  yield* registerBus(k, at, attachDevice);
  keepAll(k, `bus/${name}`);
  return at;
}
