/**
 * The I/O Registry: entries linked in planes (iokit/Kernel/IORegistryEntry.cpp). As in the kernel, the links of an entry are
 * arrays in its registry table, under the plane's name with ParentLinks or ChildLinks; parents and children hold each other.
 */
import { perKernel } from '../../../kernel/kernel.ts';
import type { Steps } from '../../../kernel/steps.ts';
import type { Address } from '../../../memory/space.ts';
import type { Macos } from '../macos.ts';
import { classNameOf, metaClassOf, newObject } from './classes.ts';
import { arrayAdd, arrayItems, arrayTake, dictionaryGet, dictionarySet } from './collections.ts';
import { drop, newString, release, symbol, symbolPool, textOf } from './objects.ts';

/** `IOService`, `IODeviceTree`, or one that a kext has made. */
export type PlaneName = string;
type Side = 'ParentLinks' | 'ChildLinks';

/** `IORegistryPlane` objects: their contents are nobody's business but the registry's. */
export const planes = perKernel<Map<PlaneName, Address>, Macos>(() => new Map());

export function planeAt(k: Macos, name: PlaneName): Address {
  const known = k.state(planes).get(name);
  if (known !== undefined) return known;
  const at = newObject(k, 'OSObject');
  k.state(planes).set(name, at);
  return at;
}

/** A plane by its object; the null pointer means the service plane. */
export const planeOf = (k: Macos, at: Address): PlaneName =>
  [...k.state(planes)].find(([, plane]) => plane === at)?.[0] ?? 'IOService';

/** A value of a table under a key of ours; 0 when it has none. */
export function lookUp(k: Macos, table: Address, key: string): Address {
  const name = k.state(symbolPool).get(key);
  return table === 0 || name === undefined ? 0 : dictionaryGet(k, table, name);
}

/** Sets a value of a table, which then holds it alone. */
export function enter(k: Macos, table: Address, key: string, value: Address): void {
  const name = symbol(k, key);
  const old = dictionarySet(k, table, name, value);
  drop(k, name);
  drop(k, value);
  if (old !== 0) drop(k, old);
}

const linksOf = (k: Macos, entry: Address, plane: PlaneName, side: Side): Address =>
  lookUp(k, k.read('IORegistryEntry.fRegistryTable', entry), `${plane}${side}`);

export const parentsOf = (k: Macos, entry: Address, plane: PlaneName = 'IOService'): Address[] =>
  arrayItems(k, linksOf(k, entry, plane, 'ParentLinks'));

export const childrenOf = (k: Macos, entry: Address, plane: PlaneName = 'IOService'): Address[] =>
  arrayItems(k, linksOf(k, entry, plane, 'ChildLinks'));

function addLink(k: Macos, entry: Address, plane: PlaneName, side: Side, other: Address): void {
  let links = linksOf(k, entry, plane, side);
  if (links === 0) {
    links = newObject(k, 'OSArray');
    enter(k, k.read('IORegistryEntry.fRegistryTable', entry), `${plane}${side}`, links);
  }
  arrayAdd(k, links, other);
}

/** Attaches an entry below a parent. False when it is there already or has no table yet. */
export function attach(k: Macos, entry: Address, parent: Address, plane: PlaneName): boolean {
  if (entry === parent || parentsOf(k, entry, plane).includes(parent)) return false;
  if (
    k.read('IORegistryEntry.fRegistryTable', entry) === 0 ||
    k.read('IORegistryEntry.fRegistryTable', parent) === 0
  )
    return false;
  addLink(k, entry, plane, 'ParentLinks', parent);
  addLink(k, parent, plane, 'ChildLinks', entry);
  return true;
}

function* unlink(k: Macos, entry: Address, plane: PlaneName, side: Side, other: Address): Steps<void> {
  const links = linksOf(k, entry, plane, side);
  const index = arrayItems(k, links).indexOf(other);
  const taken = index < 0 ? undefined : arrayTake(k, links, index);
  if (taken !== undefined) yield* release(k, taken);
}

export function* detach(k: Macos, entry: Address, parent: Address, plane: PlaneName): Steps<void> {
  if (!parentsOf(k, entry, plane).includes(parent)) return;
  yield* unlink(k, entry, plane, 'ParentLinks', parent);
  yield* unlink(k, parent, plane, 'ChildLinks', entry);
}

// -- names ------------------------------------------------------------------------------------------------------------

export function setName(k: Macos, entry: Address, name: string, plane?: PlaneName): void {
  const key = plane === undefined ? 'IOName' : `${plane}Name`;
  enter(k, k.read('IORegistryEntry.fRegistryTable', entry), key, symbol(k, name));
}

export function setLocation(k: Macos, entry: Address, location: string, plane?: PlaneName): void {
  const key = plane === undefined ? 'IOLocation' : `${plane}Location`;
  enter(k, k.read('IORegistryEntry.fRegistryTable', entry), key, symbol(k, location));
}

/** The text object of a plane's own key, or of the key for all planes; 0 when there is none. */
export function named(
  k: Macos,
  entry: Address,
  key: 'Name' | 'Location',
  plane: PlaneName | undefined,
): Address {
  const table = k.read('IORegistryEntry.fRegistryTable', entry);
  const own = plane === undefined ? 0 : lookUp(k, table, `${plane}${key}`);
  return own !== 0 ? own : lookUp(k, table, `IO${key}`);
}

/** The entry's name; of one without a name, its class's. */
export function* nameOf(k: Macos, entry: Address, plane?: PlaneName): Steps<string> {
  const at = named(k, entry, 'Name', plane);
  return at !== 0 ? textOf(k, at) : classNameOf(k, yield* metaClassOf(k, entry));
}

/** `name@location`, a step of a path. */
export function* componentOf(k: Macos, entry: Address, plane: PlaneName): Steps<string> {
  const location = named(k, entry, 'Location', plane);
  const name = yield* nameOf(k, entry, plane);
  return location === 0 ? name : `${name}@${textOf(k, location)}`;
}

/** `IOService:/board`. The first step, the machine itself, is the slash (IORegistryEntry::getPath). */
export function* pathOf(k: Macos, entry: Address, plane: PlaneName): Steps<string | undefined> {
  const steps: string[] = [];
  let at = entry;
  for (let left = 128; left > 0; left--) {
    const [parent] = parentsOf(k, at, plane);
    if (parent === undefined) return undefined;
    if (parent === root(k)) return `${plane}:/${steps.join('/')}`;
    steps.unshift(yield* componentOf(k, at, plane));
    at = parent;
  }
  return undefined;
}

/** The entry that a path leads to, from the root or from `base`; undefined when there is none. */
export function* entryAt(
  k: Macos,
  path: string,
  plane: PlaneName,
  base: Address | undefined,
): Steps<{ entry: Address; plane: PlaneName } | undefined> {
  const split = /^(\w+):(.*)$/.exec(path);
  const inPlane = split !== null && k.state(planes).has(split[1]) ? split[1] : plane;
  let entry = base ?? childrenOf(k, root(k), inPlane)[0];
  if (entry === undefined) return undefined;
  for (const part of (split === null ? path : split[2]).split('/')) {
    if (part === '') continue;
    let found: Address | undefined;
    for (const child of childrenOf(k, entry, inPlane)) {
      const name = yield* componentOf(k, child, inPlane);
      if (name === part || (yield* nameOf(k, child, inPlane)) === part) found ??= child;
    }
    if (found === undefined) return undefined;
    entry = found;
  }
  return { entry, plane: inPlane };
}

// -- the root -----------------------------------------------------------------------------------------------------------

const roots = perKernel<{ at: Address }, Macos>(() => ({ at: 0 }));

/** An entry of a kernel class with empty tables. */
export function newEntry(k: Macos, className: string, name: string): Address {
  const at = newObject(k, className);
  k.write('IORegistryEntry.fRegistryTable', at, newObject(k, 'OSDictionary'));
  k.write('IORegistryEntry.fPropertyTable', at, newObject(k, 'OSDictionary'));
  setName(k, at, name);
  return at;
}

/** The root of all planes (IORegistryEntry::getRegistryRoot). */
export function root(k: Macos): Address {
  const state = k.state(roots);
  if (state.at === 0) {
    state.at = newEntry(k, 'IORegistryEntry', 'Root');
    const properties = k.read('IORegistryEntry.fPropertyTable', state.at);
    enter(k, properties, 'IOKitBuildVersion', newString(k, `Darwin Kernel Version ${k.release.darwin}`));
  }
  return state.at;
}
