/**
 * Services: nubs and drivers in the service plane, how they are registered, matched, started and terminated
 * (iokit/Kernel/IOService.cpp, IOCatalogue.cpp). Matching runs in a thread of its own, as in the kernel.
 */
import { perKernel } from '../../../kernel/kernel.ts';
import type { Steps } from '../../../kernel/steps.ts';
import type { Address } from '../../../memory/space.ts';
import type { Macos } from '../macos.ts';
import { isDict, type PlistDict, type PlistValue } from '../plist.ts';
import { allocateInstance, classNameOf, findMetaClass, inherits, invoke, metaClassOf } from './classes.ts';
import { dictionaryGet } from './collections.ts';
import { bootDeviceTree, bootPlatformExpert } from './device-tree.ts';
import { fromPlist, release, retain, symbolPool, toPlist } from './objects.ts';
import { attach, childrenOf, enter, nameOf, newEntry, parentsOf, pathOf, planeAt, root } from './registry.ts';

/** A driver's personality: whose kext, and what it matches. */
export interface Personality {
  readonly kext: string;
  readonly name: string;
  readonly properties: PlistDict;
}

/** Bits of IOService::__state[0]. */
export const STATE = { INACTIVE: 1, REGISTERED: 2, MATCHED: 4, FIRST_PUBLISH: 8, FIRST_MATCH: 16 } as const;
const DEFAULT_CATEGORY = 'IODefaultMatchCategory';

/** Who wants to know of services: addMatchingNotification. */
export interface Notification {
  readonly kind: string;
  readonly matching: Address;
  readonly handler: Address;
  readonly target: Address;
  readonly context: Address;
  readonly notifier: Address;
  /** Called with (target, context, service, notifier) or, in the older form, without the notifier. */
  readonly withNotifier: boolean;
  readonly seen: Set<Address>;
}

/** Who wants to hear the messages of a service: registerInterest. */
export interface Interest {
  readonly service: Address;
  readonly kind: string;
  readonly handler: Address;
  readonly target: Address;
  readonly reference: Address;
  readonly notifier: Address;
}

class Services {
  readonly personalities: Personality[] = [];
  /** Registered and not yet terminated, in that order. */
  readonly registered = new Set<Address>();
  /** Kexts that matching waits for: user space is asked to load them. */
  readonly requests: string[] = [];
  readonly notifications = new Set<Notification>();
  readonly interests = new Set<Interest>();
  rootDomain: Address = 0;
  resources: Address = 0;
  platform: Address = 0;
  /** The last path or class that was looked for in vain: what a driver that never ends waiting waits for. */
  absent: string | undefined;
  /** Drivers that have not come out of their start. */
  readonly starting = new Set<Address>();
}

export const services = perKernel<Services, Macos>(() => new Services());

/** The nub that drivers without a device match. */
export function resources(k: Macos): Address {
  const state = k.state(services);
  if (state.resources === 0) bootRegistry(k);
  return state.resources;
}

/** What is there before any driver: the platform's device, and IOResources with what the kernel publishes in it. */
function bootRegistry(k: Macos): void {
  const state = k.state(services);
  state.platform = newEntry(k, 'IOPlatformExpertDevice', 'LKM1,1');
  attach(k, state.platform, root(k), 'IOService');
  attach(k, state.platform, root(k), 'IODeviceTree');
  for (const plane of ['IOService', 'IODeviceTree', 'IOPower', 'IOACPIPlane']) planeAt(k, plane);
  bootDeviceTree(k, state.platform);
  state.rootDomain = bootPlatformExpert(k, state.platform);
  state.resources = newEntry(k, 'IOResources', 'IOResources');
  attach(k, state.resources, state.platform, 'IOService');
  const published = k.read('IORegistryEntry.fPropertyTable', state.resources);
  for (const key of ['IOKit', 'IOBSD', 'IORTC', 'IONVRAM']) enter(k, published, key, fromPlist(k, true));
  for (const nub of [state.platform, state.resources]) {
    k.write('IOService.state', nub, STATE.REGISTERED);
    state.registered.add(nub);
  }
}

/** The root of all power (IOPMrootDomain). */
export function rootDomain(k: Macos): Address {
  resources(k);
  return k.state(services).rootDomain;
}

export function platform(k: Macos): Address {
  resources(k);
  return k.state(services).platform;
}

// -- matching -------------------------------------------------------------------------------------------------------

const tableOf = (k: Macos, at: Address): Address => k.read('IORegistryEntry.fPropertyTable', at);

/** A property of an entry as a plain value. */
export function plainProperty(k: Macos, entry: Address, key: string): PlistValue | undefined {
  const name = k.state(symbolPool).get(key);
  const table = tableOf(k, entry);
  return name === undefined || table === 0 ? undefined : toPlist(k, dictionaryGet(k, table, name));
}

const list = (value: PlistValue): readonly PlistValue[] =>
  Array.isArray(value) ? (value as PlistValue[]) : [value];

const decode = (bytes: Uint8Array): string[] =>
  new TextDecoder('latin1')
    .decode(bytes)
    .split('\0')
    .filter((text) => text !== '');

/** Two values of properties: numbers by value, data and text of a device tree alike. */
export function sameValue(a: PlistValue | undefined, b: PlistValue | undefined): boolean {
  if (a === undefined || b === undefined) return false;
  if ((typeof a === 'number' || typeof a === 'bigint') && (typeof b === 'number' || typeof b === 'bigint'))
    return BigInt.asUintN(64, BigInt(a)) === BigInt.asUintN(64, BigInt(b));
  if (a instanceof Uint8Array && b instanceof Uint8Array)
    return a.length === b.length && a.every((byte, i) => byte === b[i]);
  if (Array.isArray(a) && Array.isArray(b)) {
    const other = b as readonly PlistValue[];
    return (
      a.length === other.length && (a as readonly PlistValue[]).every((one, i) => sameValue(one, other[i]))
    );
  }
  if (isDict(a) && isDict(b)) return Object.entries(a).every(([key, value]) => sameValue(value, b[key]));
  return a === b;
}

function* classMatches(k: Macos, entry: Address, name: PlistValue | undefined): Steps<boolean> {
  if (typeof name !== 'string') return name === undefined;
  const meta = findMetaClass(k, name);
  return meta !== undefined && inherits(k, yield* metaClassOf(k, entry), meta);
}

function* nameMatches(k: Macos, entry: Address, wanted: PlistValue): Steps<boolean> {
  const own = [yield* nameOf(k, entry)];
  for (const key of ['name', 'compatible', 'device_type', 'IOName']) {
    const value = plainProperty(k, entry, key);
    if (typeof value === 'string') own.push(value);
    else if (value instanceof Uint8Array) own.push(...decode(value));
  }
  return list(wanted).some((name) => typeof name === 'string' && own.includes(name));
}

/** `0x10a78086`, or `0x00008086&0x0000ffff`: the device's number above its vendor's. */
function pciFits(value: bigint, wanted: string): boolean {
  return wanted
    .trim()
    .split(/\s+/)
    .some((word) => {
      const match = /^0x([\da-f]{1,8})(?:&0x([\da-f]{1,8}))?$/i.exec(word);
      if (match === null) return false;
      const mask = match[2] === undefined ? 0xffffffffn : BigInt(`0x${match[2]}`);
      return (value & mask) === (BigInt(`0x${match[1]}`) & mask);
    });
}

/** A number of a property: as such, or as the little-endian data that firmware leaves. */
function numberIn(k: Macos, entry: Address, key: string): bigint | undefined {
  const value = plainProperty(k, entry, key);
  if (typeof value === 'bigint' || typeof value === 'number') return BigInt(value);
  return value instanceof Uint8Array
    ? value.reduceRight((sum, byte) => sum * 256n + BigInt(byte), 0n)
    : undefined;
}

/** Keys by which the families of the buses tell their devices apart (IOPCIDevice.h, IOUSBHostFamilyDefinitions.h). */
const USB_KEYS = [
  'idVendor',
  'idProduct',
  'bcdDevice',
  'bDeviceClass',
  'bInterfaceClass',
  'bInterfaceNumber',
];

function busMatches(k: Macos, entry: Address, wanted: PlistDict): boolean {
  for (const key of ['IOPCIMatch', 'IOPCIPrimaryMatch']) {
    const text = wanted[key];
    if (typeof text !== 'string') continue;
    const [vendor, device] = [numberIn(k, entry, 'vendor-id'), numberIn(k, entry, 'device-id')];
    if (vendor === undefined || device === undefined || !pciFits((device << 16n) | vendor, text))
      return false;
  }
  const classes = wanted.IOPCIClassMatch;
  if (typeof classes === 'string') {
    const code = numberIn(k, entry, 'class-code');
    if (code === undefined || !pciFits(code << 8n, classes)) return false;
  }
  return USB_KEYS.every((key) => {
    const value = wanted[key];
    return (
      (typeof value !== 'number' && typeof value !== 'bigint') || numberIn(k, entry, key) === BigInt(value)
    );
  });
}

/** Everything of a matching dictionary that the registry itself can answer (IOService::matchInternal). */
export function* matches(k: Macos, entry: Address, wanted: PlistDict): Steps<boolean> {
  if (!(yield* classMatches(k, entry, wanted.IOProviderClass))) return false;
  if (wanted.IONameMatch !== undefined && !(yield* nameMatches(k, entry, wanted.IONameMatch))) return false;
  const properties = wanted.IOPropertyMatch;
  if (properties !== undefined) {
    const fits = (one: PlistValue): boolean =>
      isDict(one) &&
      Object.entries(one).every(([key, value]) => sameValue(plainProperty(k, entry, key), value));
    if (!list(properties).some(fits)) return false;
  }
  for (const key of list(wanted.IOPropertyExistsMatch ?? []))
    if (typeof key === 'string' && plainProperty(k, entry, key) === undefined) return false;
  for (const key of list(wanted.IOResourceMatch ?? []))
    if (typeof key === 'string' && plainProperty(k, resources(k), key) === undefined) return false;
  if (!busMatches(k, entry, wanted)) return false;
  if (typeof wanted.IOPathMatch === 'string' && (yield* pathOf(k, entry, 'IOService')) !== wanted.IOPathMatch)
    return false;
  const above = wanted.IOParentMatch;
  if (!isDict(above)) return true;
  for (const parent of parentsOf(k, entry)) if (yield* matches(k, parent, above)) return true;
  return false;
}

interface Candidate {
  readonly personality: Personality;
  readonly score: number;
}

const categoryOf = (properties: PlistDict): string =>
  typeof properties.IOMatchCategory === 'string' ? properties.IOMatchCategory : DEFAULT_CATEGORY;

const scoreOf = ({ IOProbeScore: score }: PlistDict): number =>
  typeof score === 'number' || typeof score === 'bigint' ? Number(score) : 0;

/** Finds drivers for a nub, category by category, and starts the best that will. */
export function* matchService(k: Macos, nub: Address): Steps<void> {
  if ((k.read('IOService.state', nub) & STATE.INACTIVE) !== 0) return;
  const categories = new Map<string, Candidate[]>();
  for (const personality of k.state(services).personalities) {
    const { properties } = personality;
    if (typeof properties.IOClass !== 'string' || !(yield* matches(k, nub, properties))) continue;
    const category = categoryOf(properties);
    categories.set(category, [
      ...(categories.get(category) ?? []),
      { personality, score: scoreOf(properties) },
    ]);
  }
  for (const [category, candidates] of categories) {
    const taken = childrenOf(k, nub).some(
      (client) => plainProperty(k, client, 'IOMatchCategory') === category,
    );
    const filled = category === DEFAULT_CATEGORY && childrenOf(k, nub).some((one) => isDriver(k, one));
    if (taken || filled || waitsFor(k, candidates)) continue;
    yield* probeAndStart(
      k,
      nub,
      candidates.sort((a, b) => b.score - a.score),
    );
  }
}

/** Was it made from a personality without a category of its own? */
const isDriver = (k: Macos, client: Address): boolean =>
  plainProperty(k, client, 'IOProviderClass') !== undefined &&
  plainProperty(k, client, 'IOMatchCategory') === undefined;

/** Kexts that are not there are asked for; matching goes on once they are loaded. */
function waitsFor(k: Macos, candidates: readonly Candidate[]): boolean {
  const { requests } = k.state(services);
  let waits = false;
  for (const { personality } of candidates) {
    const loaded = k.kexts.find(personality.kext);
    if (loaded !== undefined || findMetaClass(k, String(personality.properties.IOClass)) !== undefined)
      continue;
    if (k.state(refusedKexts).has(personality.kext)) continue;
    if (!requests.includes(personality.kext)) requests.push(personality.kext);
    waits = true;
  }
  return waits;
}

/** Kexts that user space could not load: matching does not ask for them again. */
export const refusedKexts = perKernel<Set<string>, Macos>(() => new Set());

interface Probed {
  readonly driver: Address;
  readonly score: number;
}

function* probeAndStart(k: Macos, nub: Address, candidates: readonly Candidate[]): Steps<void> {
  const probed: Probed[] = [];
  for (const candidate of candidates) {
    const one = yield* probe(k, nub, candidate);
    if (one !== undefined) probed.push(one);
  }
  probed.sort((a, b) => b.score - a.score);
  let started = false;
  for (const { driver } of probed) {
    if (!started) started = yield* startDriver(k, nub, driver);
    yield* release(k, driver);
  }
}

/** Makes an instance and asks it how well it fits. */
function* probe(k: Macos, nub: Address, { personality, score }: Candidate): Steps<Probed | undefined> {
  const meta = findMetaClass(k, String(personality.properties.IOClass));
  if (meta === undefined) return undefined;
  const driver = yield* allocateInstance(k, meta);
  if (driver === 0) return undefined;
  const table = fromPlist(k, { ...personality.properties, CFBundleIdentifier: personality.kext });
  const ready = yield* invoke(k, driver, 'IOService', initSymbol(k), table);
  yield* release(k, table);
  if ((ready & 0xff) === 0 || !(yield* truth(k, driver, '_ZN9IOService6attachEPS_', nub))) {
    yield* release(k, driver);
    return undefined;
  }
  const place = k.heap.allocate(8, 'probe');
  k.memory.set32(place, score);
  const chosen = yield* invoke(k, driver, 'IOService', probeSymbol(k), nub, place);
  const final = k.memory.i32(place);
  k.heap.free(place);
  if (chosen !== 0 && chosen !== driver) retain(k, chosen);
  yield* invoke(k, driver, 'IOService', '_ZN9IOService6detachEPS_', nub);
  if (chosen === driver) return { driver, score: final };
  yield* release(k, driver);
  return chosen === 0 ? undefined : { driver: chosen, score: final };
}

/** Slots by their name in this release: init has moved to IOService, and types of arguments have changed. */
const initSymbol = (k: Macos): string =>
  k.classes.findSlot('IOService', '_ZN9IOService4initEP12OSDictionary') === undefined
    ? '_ZN15IORegistryEntry4initEP12OSDictionary'
    : '_ZN9IOService4initEP12OSDictionary';
const probeSymbol = (k: Macos): string =>
  k.classes.findSlot('IOService', '_ZN9IOService5probeEPS_Pi') === undefined
    ? '_ZN9IOService5probeEPS_Pl'
    : '_ZN9IOService5probeEPS_Pi';

function* truth(k: Macos, at: Address, symbol: string, ...args: readonly Address[]): Steps<boolean> {
  return ((yield* invoke(k, at, 'IOService', symbol, ...args)) & 0xff) !== 0;
}

/** IOService::startCandidate */
export function* startDriver(k: Macos, nub: Address, driver: Address): Steps<boolean> {
  if (!(yield* truth(k, driver, '_ZN9IOService6attachEPS_', nub))) return false;
  const { starting } = k.state(services);
  starting.add(driver);
  const started = yield* truth(k, driver, '_ZN9IOService5startEPS_', nub);
  starting.delete(driver);
  if (started) return true;
  yield* invoke(k, driver, 'IOService', '_ZN9IOService6detachEPS_', nub);
  return false;
}

/** Publishes a service: who waits for such a one hears of it, and drivers are looked for. */
export function* registerService(k: Macos, at: Address): Steps<void> {
  k.write('IOService.state', at, k.read('IOService.state', at) | STATE.REGISTERED);
  k.state(services).registered.add(at);
  yield* notify(k, at, ['IOServicePublish', 'IOServiceFirstPublish']);
  yield* matchService(k, at);
  k.write('IOService.state', at, k.read('IOService.state', at) | STATE.MATCHED);
  yield* notify(k, at, ['IOServiceMatched', 'IOServiceFirstMatch']);
}

/** Every registered service is matched anew: a kext has brought personalities or classes. */
export function* matchAll(k: Macos): Steps<void> {
  resources(k);
  for (const nub of [...k.state(services).registered]) yield* matchService(k, nub);
}

/** Starts matching in a thread of its own. */
export function matchLater(k: Macos, nub?: Address): void {
  k.scheduler.spawn('IOServiceMatching', nub === undefined ? matchAll(k) : registerService(k, nub));
}

// -- notifications ------------------------------------------------------------------------------------------------------

export function* notify(k: Macos, service: Address, kinds: readonly string[]): Steps<void> {
  for (const one of [...k.state(services).notifications]) {
    if (!kinds.includes(one.kind) || one.seen.has(service)) continue;
    const wanted = toPlist(k, one.matching);
    if (!isDict(wanted) || !(yield* matches(k, service, wanted))) continue;
    one.seen.add(service);
    yield* callHandler(k, one, service);
  }
}

export function* callHandler(k: Macos, one: Notification, service: Address): Steps<void> {
  if (one.withNotifier) yield* k.call(one.handler, one.target, one.context, service, one.notifier);
  else yield* k.call(one.handler, one.target, one.context, service);
}

/** Registered services that a dictionary matches. */
export function* matchingServices(k: Macos, wanted: PlistDict): Steps<Address[]> {
  resources(k);
  const found: Address[] = [];
  for (const service of k.state(services).registered)
    if (yield* matches(k, service, wanted)) found.push(service);
  return found;
}

// -- termination ----------------------------------------------------------------------------------------------------------

/**
 * IOService::terminate: everything above a service goes first. A service that somebody has open, or that defers, stays
 * attached and inactive until it is closed.
 */
export function* terminate(k: Macos, at: Address): Steps<boolean> {
  const state = k.read('IOService.state', at);
  if ((state & STATE.INACTIVE) !== 0) return true;
  k.write('IOService.state', at, state | STATE.INACTIVE);
  k.state(services).registered.delete(at);
  retain(k, at);
  yield* notify(k, at, ['IOServiceTerminate']);
  const provider = parentsOf(k, at)[0] ?? 0;
  for (const client of childrenOf(k, at)) {
    retain(k, client);
    yield* invoke(k, client, 'IOService', '_ZN9IOService16requestTerminateEPS_j', at, 0);
    yield* invoke(k, client, 'IOService', '_ZN9IOService13willTerminateEPS_j', at, 0);
    yield* terminate(k, client);
    yield* release(k, client);
  }
  if (provider !== 0) {
    const defer = k.heap.allocate(8, 'terminate');
    yield* invoke(k, at, 'IOService', '_ZN9IOService12didTerminateEPS_jPb', provider, 0, defer);
    const deferred = k.memory.u8(defer) !== 0;
    k.heap.free(defer);
    if (!deferred && k.read('IOService.owner', at) === 0) yield* finalize(k, at, provider);
  }
  yield* release(k, at);
  return true;
}

/** The last step: stop, then detach. */
export function* finalize(k: Macos, at: Address, provider: Address): Steps<void> {
  if (!parentsOf(k, at).includes(provider)) return;
  yield* invoke(k, at, 'IOService', '_ZN9IOService4stopEPS_', provider);
  if (k.read('IOService.owner', provider) === at) k.write('IOService.owner', provider, 0);
  yield* invoke(k, at, 'IOService', '_ZN9IOService6detachEPS_', provider);
}

/**
 * IOCatalogue::terminateDriversForModule: every service whose class lies in the image. One that is still in its start keeps
 * its provider busy: it is not stopped before it has started.
 */
export function* terminateDrivers(k: Macos, holds: (meta: Address) => boolean): Steps<void> {
  const found: Address[] = [];
  const walk = function* (entry: Address, depth: number): Steps<void> {
    if (depth === 0) return;
    for (const child of childrenOf(k, entry)) {
      const wanted = holds(yield* metaClassOf(k, child)) && !k.state(services).starting.has(child);
      if (wanted && !found.includes(child)) found.push(child);
      yield* walk(child, depth - 1);
    }
  };
  yield* walk(root(k), 64);
  for (const service of found) yield* terminate(k, service);
}

export function* describeEntry(
  k: Macos,
  at: Address,
): Steps<{ name: string; className: string; references: number }> {
  return {
    name: yield* nameOf(k, at),
    className: classNameOf(k, yield* metaClassOf(k, at)),
    references: k.read('OSObject.retainCount', at) & 0xffff,
  };
}
