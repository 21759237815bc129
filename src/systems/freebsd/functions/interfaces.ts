/**
 * Network interfaces (sys/net/if.c): they are made, named, attached and gone. No packet ever comes to one, and nothing can be
 * sent: who attaches one is told of it, and everybody else finds it by its name.
 */
import { perKernel } from '../../../kernel/kernel.ts';
import type { Steps } from '../../../kernel/steps.ts';
import { guestText } from '../../../kernel/text/printf.ts';
import type { Address } from '../../../memory/space.ts';
import type { FreeBsd } from '../freebsd.ts';
import { majorOf } from '../version.ts';
import { kernelFunctions } from './define.ts';
import { format } from './format.ts';
import { invokeEvent } from './modules.ts';
import { interfaceMakers, registered } from './registrations.ts';

/** More than struct ifnet of any release has; what the stack keeps in it for packets stays zero. */
const IFNET_BYTES = 4096;
const NAME_BYTES = 16;
/** IF_DUNIT_NONE: the name says it all. */
const NO_UNIT = -1;

interface Interface {
  readonly type: number;
  attached: boolean;
}

const interfaces = perKernel(() => new Map<Address, Interface>());

/** Places in struct ifnet that drivers and the kernel share: ordered anew with 12. */
function places(k: FreeBsd): { common: number; driver: number; unit: number; name: number } {
  const w = k.word;
  return majorOf(k.version) < 12
    ? { common: w, driver: 5 * w + NAME_BYTES, unit: 6 * w + NAME_BYTES, name: 5 * w }
    : { common: 8 * w, driver: 9 * w, unit: 10 * w, name: 10 * w + 8 };
}

const nameOf = (k: FreeBsd, at: Address): string => k.memory.cstring(at + places(k).name, NAME_BYTES);

/** The part that all interfaces of a type have is made by who registered the type. */
function* allocate(k: FreeBsd, type: number): Steps<Address> {
  const at = k.heap.allocate(IFNET_BYTES, undefined, 0, k.convention.returnAddress(k.cpu));
  if (at === 0) return 0;
  const maker = k.state(interfaceMakers).get(type);
  if (maker !== undefined) {
    const common = yield* k.call(maker.allocate, type, at);
    if (common === 0) {
      k.heap.free(at);
      return 0;
    }
    k.memory.setPtr(at + places(k).common, common);
  }
  k.state(interfaces).set(at, { type, attached: false });
  return at;
}

function interfaceAt(k: FreeBsd, at: Address): Interface {
  const found = k.state(interfaces).get(at);
  if (found === undefined) throw new RangeError('if_attach called without if_alloc');
  return found;
}

function* attach(k: FreeBsd, at: Address): Steps<void> {
  const one = interfaceAt(k, at);
  one.attached = true;
  k.state(registered).set(at, { what: 'network interface', name: nameOf(k, at) });
  yield* invokeEvent(k, 'ifnet_arrival_event', at);
}

function* detach(k: FreeBsd, at: Address): Steps<void> {
  const one = interfaceAt(k, at);
  if (!one.attached) return;
  one.attached = false;
  k.state(registered).delete(at);
  yield* invokeEvent(k, 'ifnet_departure_event', at);
}

function* release(k: FreeBsd, at: Address): Steps<void> {
  const { type } = interfaceAt(k, at);
  const maker = k.state(interfaceMakers).get(type);
  const common = k.memory.ptr(at + places(k).common);
  if (maker !== undefined && common !== 0) yield* k.call(maker.free, common, type);
  k.state(interfaces).delete(at);
  k.heap.free(at);
}

const byName = (k: FreeBsd, name: string): Address =>
  [...k.state(interfaces)].find(([at, { attached }]) => attached && nameOf(k, at) === name)?.[0] ?? 0;

export const networkInterfaces = kernelFunctions({
  'void *if_alloc(unsigned char type)': allocate,
  'void if_initname(void *ifp, const char *name, int unit)': (k, at, name, unit) => {
    const { driver, unit: unitAt, name: nameAt } = places(k);
    k.memory.setPtr(at + driver, name);
    k.memory.set32(at + unitAt, unit);
    const text = `${guestText(k, name)}${unit === NO_UNIT ? '' : unit}`.slice(0, NAME_BYTES - 1);
    k.memory.write(at + nameAt, new TextEncoder().encode(`${text}\0`));
  },
  'void if_attach(void *ifp)': attach,
  'void if_detach(void *ifp)': detach,
  *'void ether_ifattach(void *ifp, const unsigned char *lla)'(k, at, address) {
    yield* attach(k, at);
    const bytes = [...k.memory.bytes(address, 6)].map((byte) => byte.toString(16).padStart(2, '0'));
    if (bytes.some((byte) => byte !== '00'))
      k.printf(`${nameOf(k, at)}: Ethernet address: ${bytes.join(':')}\n`);
  },
  'void ether_ifdetach(void *ifp)': detach,
  'void if_free(void *ifp)': release,
  'int if_printf(void *ifp, const char *fmt, ...)': (k, at, text, args) => {
    const said = `${nameOf(k, at)}: ${format(k, guestText(k, text), args)}`;
    k.printf(said);
    return said.length;
  },
  'void *ifunit(const char *name)': (k, name) => byName(k, guestText(k, name)),
  'void *ifunit_ref(const char *name)': (k, name) => byName(k, guestText(k, name)),
  // An interface here stays until its driver frees it, whoever looks at it.
  'void if_ref(void *ifp)': () => undefined,
  'void if_rele(void *ifp)': () => undefined,
  'int if_addgroup(void *ifp, const char *group)': () => 0,
  'int if_delgroup(void *ifp, const char *group)': () => 0,
  // Nobody listens to packets that never come.
  'void bpfattach(void *ifp, unsigned int dlt, unsigned int hdrlen)': () => undefined,
  'void bpfattach2(void *ifp, unsigned int dlt, unsigned int hdrlen, void *driverp)': () => undefined,
  'void bpfdetach(void *ifp)': () => undefined,
});
