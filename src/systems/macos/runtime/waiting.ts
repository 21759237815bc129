/** Which personalities of a kext have found no device: the driver is there, what it drives is not. */
import type { Address } from '../../../memory/space.ts';
import type { Macos } from '../macos.ts';
import type { PlistDict, PlistValue } from '../plist.ts';
import { childrenOf, root } from './registry.ts';
import { type Personality, plainProperty, services } from './services.ts';

const MAX_DEPTH = 64;
/** Names and numbers by which a personality asks for one device among those of a class. */
const BY = [
  'IONameMatch',
  'IOPCIMatch',
  'IOPCIPrimaryMatch',
  'IOPCIClassMatch',
  'IOResourceMatch',
  'IOParentMatch',
];
const MOST_TEXT = 60;

/** What it waits for: `IOPCIDevice with IOPCIMatch 0x15028086`. */
export function wantedBy(properties: PlistDict): string {
  const text = (value: PlistValue): string => {
    const all = Array.isArray(value) ? (value as readonly PlistValue[]).map(String).join(' ') : String(value);
    return all.length > MOST_TEXT ? `${all.slice(0, MOST_TEXT)}...` : all;
  };
  const provider =
    typeof properties.IOProviderClass === 'string' ? properties.IOProviderClass : 'any service';
  const parts = BY.flatMap((key) => {
    const value = properties[key];
    return typeof value === 'string' || Array.isArray(value) ? [`${key} ${text(value)}`] : [];
  });
  return parts.length === 0 ? provider : `${provider} with ${parts.join(', ')}`;
}

function running(k: Macos, at: Address, into: Set<string>, depth = 0): void {
  if (depth > MAX_DEPTH) return;
  for (const child of childrenOf(k, at)) {
    const [own, kext] = [plainProperty(k, child, 'IOClass'), plainProperty(k, child, 'CFBundleIdentifier')];
    if (typeof own === 'string' && typeof kext === 'string') into.add(`${kext} ${own}`);
    running(k, child, into, depth + 1);
  }
}

/** Personalities of a kext, with its own code, that have no driver in the registry. */
export function waitingPersonalities(k: Macos, identifier: string): readonly Personality[] {
  const drivers = new Set<string>();
  running(k, root(k), drivers);
  return k
    .state(services)
    .personalities.filter(
      ({ kext, properties }) =>
        kext === identifier &&
        typeof properties.IOClass === 'string' &&
        !drivers.has(`${identifier} ${properties.IOClass}`),
    );
}

/** Whether what a personality matches is there all the same: its driver was asked, and did not want to. */
export function refusedItself(k: Macos, { IOProviderClass, IOResourceMatch }: PlistDict): boolean {
  if (IOProviderClass !== 'IOResources') return false;
  const wanted = Array.isArray(IOResourceMatch) ? IOResourceMatch : [IOResourceMatch];
  const { resources } = k.state(services);
  return wanted.every((key) => typeof key !== 'string' || plainProperty(k, resources, key) !== undefined);
}

/** Drivers of a kext that have not come out of their start, by class. */
export function stuckDrivers(k: Macos, identifier: string): readonly string[] {
  return [...k.state(services).starting].flatMap((at) => {
    const name = plainProperty(k, at, 'IOClass');
    return plainProperty(k, at, 'CFBundleIdentifier') === identifier && typeof name === 'string'
      ? [name]
      : [];
  });
}
