/**
 * The device tree that firmware hands to the kernel (the plane IODeviceTree), as boot.efi of an Intel Mac leaves it
 * (iokit/Kernel/IODeviceTreeSupport.cpp): `/`, `/chosen`, `/efi`, `/options`, `/rom`. Drivers look there for what the
 * firmware knows of the machine, and some wait until it is there.
 */
import type { Address } from '../../../memory/space.ts';
import type { Macos } from '../macos.ts';
import type { PlistValue } from '../plist.ts';
import { fromPlist } from './objects.ts';
import { attach, enter, newEntry } from './registry.ts';

type Properties = Readonly<Record<string, PlistValue>>;

const text = (value: string): Uint8Array => new TextEncoder().encode(`${value}\0`);
/** Numbers of the firmware are data, little endian. */
function little(value: number, bytes: number): Uint8Array {
  const data = new Uint8Array(bytes);
  for (let i = 0, rest = value; i < bytes; i++, rest = Math.floor(rest / 256)) data[i] = rest % 256;
  return data;
}
const utf16 = (value: string): Uint8Array =>
  Uint8Array.from([...value, '\0'].flatMap((character) => [...little(character.charCodeAt(0), 2)]));

export const MODEL = 'LKM1,1';

/** What the firmware says of the machine: every text is data with its end. */
const MACHINE = {
  name: '/',
  compatible: MODEL,
  model: MODEL,
  'product-name': MODEL,
  'board-id': 'Mac-0000000000000000',
  manufacturer: 'lkm',
  'serial-number': 'LKM000000001',
  version: '1.0',
} as const;
const UUID = '00000000-0000-1000-8000-000000000001';
const BUS_CLOCK = 100_000_000;

export function setProperties(k: Macos, entry: Address, properties: Properties): void {
  const table = k.read('IORegistryEntry.fPropertyTable', entry);
  for (const [key, value] of Object.entries(properties)) enter(k, table, key, fromPlist(k, value));
}

/** An entry below another in a plane, which then alone holds it. */
export function below(
  k: Macos,
  parent: Address,
  plane: string,
  entry: { readonly className: string; readonly name: string; readonly properties?: Properties },
): Address {
  const at = newEntry(k, entry.className, entry.name);
  setProperties(k, at, entry.properties ?? {});
  attach(k, at, parent, plane);
  k.write('OSObject.retainCount', at, k.read('OSObject.retainCount', at) - 1);
  return at;
}

const plain = (name: string, properties: Properties = {}) => ({
  className: 'IORegistryEntry',
  name,
  properties: { name: text(name), ...properties },
});

/** Puts the tree below the machine's own entry. */
export function bootDeviceTree(k: Macos, machine: Address): void {
  setProperties(k, machine, {
    ...Object.fromEntries(Object.entries(MACHINE).map(([key, value]) => [key, text(value)])),
    'system-type': little(1, 1),
    'clock-frequency': little(0, 4),
    IOPlatformSerialNumber: MACHINE['serial-number'],
    IOPlatformUUID: UUID,
  });
  const under = (parent: Address, entry: ReturnType<typeof plain>): Address =>
    below(k, parent, 'IODeviceTree', entry);
  const chosen = under(
    machine,
    plain('chosen', {
      'boot-args': text(k.bootArgs),
      'boot-file': text('\\System\\Library\\Kernels\\kernel'),
      'machine-signature': little(0, 4),
    }),
  );
  under(chosen, plain('memory-map'));
  const efi = under(
    machine,
    plain('efi', {
      'firmware-vendor': utf16('lkm'),
      'firmware-revision': little(0x10001, 4),
      'firmware-abi': text('EFI64'),
    }),
  );
  under(efi, plain('platform', { FSBFrequency: little(BUS_CLOCK, 8) }));
  under(efi, plain('configuration-table'));
  under(efi, plain('runtime-services'));
  under(machine, plain('rom@0', { version: text('LKM11.0001.B00') }));
  under(machine, { ...plain('options'), className: 'IODTNVRAM' });
  const processors = under(machine, plain('cpus'));
  under(processors, plain('CPU0@0', { 'processor-id': little(0, 4), 'clock-frequency': little(0, 4) }));
}

/**
 * Gives the root domain of power management. The platform's driver and the root of the PCI bus, which every Intel Mac has: what is on the bus is put there by whoever
 * plugs it in. The real ones are Apple's and not in the kernel; a driver that calls more of them than the registry's own
 * functions ends at the function that is missing.
 */
export function bootPlatformExpert(k: Macos, machine: Address): Address {
  const expert = below(k, machine, 'IOService', {
    className: 'IOPlatformExpert',
    name: 'AppleACPIPlatformExpert',
    properties: { IOClass: 'AppleACPIPlatformExpert', IOPlatformInterface: true },
  });
  below(k, expert, 'IOService', {
    className: 'IOService',
    name: 'PCI0',
    properties: { IOClass: 'AppleACPIPCI', name: text('PNP0A08'), _UID: '0' },
  });
  return below(k, expert, 'IOService', { className: 'IOPMrootDomain', name: 'IOPMrootDomain' });
}
