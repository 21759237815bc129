/** IORegistryEntry (iokit/Kernel/IORegistryEntry.cpp): properties, names, paths and links of an entry. */
import type { Steps } from '../../../../kernel/steps.ts';
import { guestText, writeGuestText } from '../../../../kernel/text/printf.ts';
import type { Address } from '../../../../memory/space.ts';
import type { Macos } from '../../macos.ts';
import { classNameOf, invoke, metaClassOf, newObject } from '../../runtime/classes.ts';
import {
  arrayAdd,
  dictionaryGet,
  dictionaryItems,
  dictionarySet,
  dictionaryTake,
} from '../../runtime/collections.ts';
import {
  boolean,
  isText,
  newData,
  newNumber,
  newString,
  release,
  retain,
  symbol,
  symbolPool,
  textOf,
} from '../../runtime/objects.ts';
import {
  attach,
  childrenOf,
  componentOf,
  detach,
  entryAt,
  named,
  nameOf,
  parentsOf,
  pathOf,
  planeAt,
  planeOf,
  planes,
  root,
  setLocation,
  setName,
} from '../../runtime/registry.ts';
import { services } from '../../runtime/services.ts';
import { kernelFunctions } from '../define.ts';
import { membersOf, newIterator, withCapacity } from '../libkern/collections.ts';
import { freeObject } from '../libkern/object.ts';

const UNSUPPORTED = 0xe00002c7 | 0;

const properties = (k: Macos, at: Address): Address => k.read('IORegistryEntry.fPropertyTable', at);
const text = (k: Macos, at: Address): string => guestText(k, at, 65536);
const existing = (k: Macos, name: string): Address => k.state(symbolPool).get(name) ?? 0;

/** Sets a property under a symbol; the table holds both. */
export function* setProperty(k: Macos, at: Address, key: Address, value: Address): Steps<boolean> {
  if (key === 0 || value === 0 || properties(k, at) === 0) return false;
  const old = dictionarySet(k, properties(k, at), key, value);
  if (old !== 0) yield* release(k, old);
  return true;
}

export function* setNamed(k: Macos, at: Address, name: string, value: Address): Steps<boolean> {
  const key = symbol(k, name);
  // A class may set its properties in a way of its own: the function with a symbol is the one that others lead to.
  const done = yield* invoke(
    k,
    at,
    'IORegistryEntry',
    '_ZN15IORegistryEntry11setPropertyEPK8OSSymbolP8OSObject',
    key,
    value,
  );
  yield* release(k, key);
  return (done & 0xff) !== 0;
}

/** With a value made for it. */
function* setNew(k: Macos, at: Address, name: Address, value: Address): Steps<boolean> {
  const done = yield* setNamed(k, at, text(k, name), value);
  yield* release(k, value);
  return done;
}

function* remove(k: Macos, at: Address, key: Address): Steps<void> {
  const item = properties(k, at) === 0 ? undefined : dictionaryTake(k, properties(k, at), key);
  if (item === undefined) return;
  yield* release(k, item.value);
  yield* release(k, item.key);
}

export const property = (k: Macos, at: Address, key: Address): Address =>
  key === 0 || properties(k, at) === 0 ? 0 : dictionaryGet(k, properties(k, at), key);

const held = (k: Macos, at: Address): Address => {
  retain(k, at);
  return at;
};

/** kIORegistryIterateRecursively, kIORegistryIterateParents */
const RECURSIVELY = 1;
const PARENTS = 2;

/** A property of the entry, or of those above or below it in a plane. */
function search(k: Macos, at: Address, key: Address, plane: Address, options: number, depth = 32): Address {
  const own = property(k, at, key);
  if (own !== 0 || (options & RECURSIVELY) === 0 || depth === 0) return own;
  const next =
    (options & PARENTS) !== 0 ? parentsOf(k, at, planeOf(k, plane)) : childrenOf(k, at, planeOf(k, plane));
  for (const one of next) {
    const found = search(k, one, key, plane, options, depth - 1);
    if (found !== 0) return found;
  }
  return 0;
}

export function initEntry(k: Macos, at: Address, table: Address): boolean {
  if (k.read('IORegistryEntry.fPropertyTable', at) === 0) {
    if (table !== 0) retain(k, table);
    k.write('IORegistryEntry.fPropertyTable', at, table !== 0 ? table : newObject(k, 'OSDictionary'));
  }
  if (k.read('IORegistryEntry.fRegistryTable', at) === 0)
    k.write('IORegistryEntry.fRegistryTable', at, newObject(k, 'OSDictionary'));
  return true;
}

/** Takes over the tables of an entry that it replaces. */
export function initFrom(k: Macos, at: Address, old: Address, plane: Address): boolean {
  for (const field of ['IORegistryEntry.fPropertyTable', 'IORegistryEntry.fRegistryTable'] as const) {
    const table = newObject(k, 'OSDictionary');
    for (const { key, value } of dictionaryItems(k, k.read(field, old)))
      if (!/(Parent|Child)Links$/.test(textOf(k, key))) dictionarySet(k, table, key, value);
    k.write(field, at, table);
  }
  if (plane !== 0)
    for (const parent of parentsOf(k, old, planeOf(k, plane))) attach(k, at, parent, planeOf(k, plane));
  return true;
}

export function* freeEntry(k: Macos, at: Address): Steps<void> {
  for (const field of ['IORegistryEntry.fPropertyTable', 'IORegistryEntry.fRegistryTable'] as const) {
    const table = k.read(field, at);
    k.write(field, at, 0);
    yield* release(k, table);
  }
  yield* freeObject(k, at);
}

const iterator = function* (k: Macos, items: readonly Address[]): Steps<Address> {
  const list = withCapacity(k, 'OSArray', items.length);
  for (const item of items) arrayAdd(k, list, item);
  const at = newIterator(k, list);
  yield* release(k, list);
  return at;
};

export { iterator as iteratorOver };

/** Writes a path into a buffer whose size is given and set. */
function give(k: Macos, value: string, to: Address, size: Address): boolean {
  if (value.length + 1 > k.memory.i32(size)) return false;
  writeGuestText(k, to, value);
  k.memory.set32(size, value.length);
  return true;
}

/** A name against a string, or any of a collection of them. */
function* matchesName(k: Macos, at: Address, names: Address, matched: Address): Steps<boolean> {
  const own = yield* nameOf(k, at);
  const list = isText(k, names) ? [names] : membersText(k, names);
  const found = list.find((one) => textOf(k, one) === own);
  if (found === undefined) return false;
  if (matched !== 0) {
    retain(k, found);
    k.memory.setPtr(matched, found);
  }
  return true;
}

const membersText = (k: Macos, at: Address): Address[] => membersOf(k, at).filter((one) => isText(k, one));

export const entryFunctions = kernelFunctions({
  'bool _ZN15IORegistryEntry4initEP12OSDictionary(void *at, void *table)': initEntry,
  'bool _ZN15IORegistryEntry4initEPS_PK15IORegistryPlane(void *at, void *old, const void *plane)': initFrom,
  'void _ZN15IORegistryEntry4freeEv(void *at)': freeEntry,
  'void *_ZN15IORegistryEntry15getRegistryRootEv(void)': root,
  'const void *_ZN15IORegistryEntry9makePlaneEPKc(const char *name)': (k, name) => planeAt(k, text(k, name)),
  'const void *_ZN15IORegistryEntry8getPlaneEPKc(const char *name)': (k, name) =>
    k.state(planes).get(text(k, name)) ?? 0,
  'bool _ZN15IORegistryEntry11setPropertyEPK8OSSymbolP8OSObject(void *at, const void *key, void *value)':
    setProperty,
  'bool _ZN15IORegistryEntry11setPropertyEPK8OSStringP8OSObject(void *at, const void *key, void *value)': (
    k,
    at,
    key,
    value,
  ) => setNamed(k, at, textOf(k, key), value),
  'bool _ZN15IORegistryEntry11setPropertyEPKcP8OSObject(void *at, const char *key, void *value)': (
    k,
    at,
    key,
    value,
  ) => setNamed(k, at, text(k, key), value),
  'bool _ZN15IORegistryEntry11setPropertyEPKcS1_(void *at, const char *key, const char *value)': (
    k,
    at,
    key,
    value,
  ) => setNew(k, at, key, newString(k, text(k, value))),
  'bool _ZN15IORegistryEntry11setPropertyEPKcb(void *at, const char *key, bool value)': (k, at, key, value) =>
    setNamed(k, at, text(k, key), boolean(k, (value & 0xff) !== 0)),
  'bool _ZN15IORegistryEntry11setPropertyEPKcyj(void *at, const char *key, unsigned long long value, unsigned int bits)':
    (k, at, key, value, bits) => setNew(k, at, key, newNumber(k, value, bits)),
  'bool _ZN15IORegistryEntry11setPropertyEPKcPvj(void *at, const char *key, void *bytes, unsigned int count)':
    (k, at, key, bytes, count) => setNew(k, at, key, newData(k, k.memory.bytes(bytes, count).slice())),
  'void _ZN15IORegistryEntry14removePropertyEPK8OSSymbol(void *at, const void *key)': remove,
  'void _ZN15IORegistryEntry14removePropertyEPK8OSString(void *at, const void *key)': (k, at, key) =>
    remove(k, at, existing(k, textOf(k, key))),
  'void _ZN15IORegistryEntry14removePropertyEPKc(void *at, const char *key)': (k, at, key) =>
    remove(k, at, existing(k, text(k, key))),
  'void *_ZNK15IORegistryEntry11getPropertyEPK8OSSymbol(const void *at, const void *key)': property,
  'void *_ZNK15IORegistryEntry11getPropertyEPK8OSString(const void *at, const void *key)': (k, at, key) =>
    property(k, at, existing(k, textOf(k, key))),
  'void *_ZNK15IORegistryEntry11getPropertyEPKc(const void *at, const char *key)': (k, at, key) =>
    property(k, at, existing(k, text(k, key))),
  'void *_ZNK15IORegistryEntry12copyPropertyEPK8OSSymbol(const void *at, const void *key)': (k, at, key) =>
    held(k, property(k, at, key)),
  'void *_ZNK15IORegistryEntry12copyPropertyEPK8OSString(const void *at, const void *key)': (k, at, key) =>
    held(k, property(k, at, existing(k, textOf(k, key)))),
  'void *_ZNK15IORegistryEntry12copyPropertyEPKc(const void *at, const char *key)': (k, at, key) =>
    held(k, property(k, at, existing(k, text(k, key)))),
  'void *_ZNK15IORegistryEntry11getPropertyEPKcPK15IORegistryPlanej(const void *at, const char *key, const void *plane, unsigned int options)':
    (k, at, key, plane, options) => search(k, at, existing(k, text(k, key)), plane, options),
  'void *_ZNK15IORegistryEntry11getPropertyEPK8OSSymbolPK15IORegistryPlanej(const void *at, const void *key, const void *plane, unsigned int options)':
    search,
  'void *_ZNK15IORegistryEntry11getPropertyEPK8OSStringPK15IORegistryPlanej(const void *at, const void *key, const void *plane, unsigned int options)':
    (k, at, key, plane, options) => search(k, at, existing(k, textOf(k, key)), plane, options),
  'void *_ZNK15IORegistryEntry12copyPropertyEPKcPK15IORegistryPlanej(const void *at, const char *key, const void *plane, unsigned int options)':
    (k, at, key, plane, options) => held(k, search(k, at, existing(k, text(k, key)), plane, options)),
  'void *_ZNK15IORegistryEntry12copyPropertyEPK8OSSymbolPK15IORegistryPlanej(const void *at, const void *key, const void *plane, unsigned int options)':
    (k, at, key, plane, options) => held(k, search(k, at, key, plane, options)),
  'void *_ZNK15IORegistryEntry12copyPropertyEPK8OSStringPK15IORegistryPlanej(const void *at, const void *key, const void *plane, unsigned int options)':
    (k, at, key, plane, options) => held(k, search(k, at, existing(k, textOf(k, key)), plane, options)),
  'void *_ZNK15IORegistryEntry16getPropertyTableEv(const void *at)': properties,
  'void *_ZNK15IORegistryEntry24dictionaryWithPropertiesEv(const void *at)': (k, at) => {
    const copy = withCapacity(k, 'OSDictionary', 4);
    for (const { key, value } of dictionaryItems(k, properties(k, at))) dictionarySet(k, copy, key, value);
    return copy;
  },
  'void _ZN15IORegistryEntry16setPropertyTableEP12OSDictionary(void *at, void *table)': function* (
    k,
    at,
    table,
  ) {
    const old = properties(k, at);
    if (table !== 0) retain(k, table);
    k.write('IORegistryEntry.fPropertyTable', at, table);
    yield* release(k, old);
  },
  'int _ZN15IORegistryEntry13setPropertiesEP8OSObject(void *at, void *values)': () => UNSUPPORTED,
  'const char *_ZNK15IORegistryEntry7getNameEPK15IORegistryPlane(const void *at, const void *plane)':
    function* (k, at, plane) {
      const own = named(k, at, 'Name', plane === 0 ? undefined : planeOf(k, plane));
      if (own !== 0) return k.read('OSString.string', own);
      return k.read('OSMetaClass.className', yield* metaClassOf(k, at));
    },
  'const void *_ZNK15IORegistryEntry8copyNameEPK15IORegistryPlane(const void *at, const void *plane)':
    function* (k, at, plane) {
      const own = named(k, at, 'Name', plane === 0 ? undefined : planeOf(k, plane));
      return own !== 0 ? held(k, own) : symbol(k, classNameOf(k, yield* metaClassOf(k, at)));
    },
  'void _ZN15IORegistryEntry7setNameEPKcPK15IORegistryPlane(void *at, const char *name, const void *plane)': (
    k,
    at,
    name,
    plane,
  ) => setName(k, at, text(k, name), plane === 0 ? undefined : planeOf(k, plane)),
  'void _ZN15IORegistryEntry7setNameEPK8OSSymbolPK15IORegistryPlane(void *at, const void *name, const void *plane)':
    (k, at, name, plane) => setName(k, at, textOf(k, name), plane === 0 ? undefined : planeOf(k, plane)),
  'void _ZN15IORegistryEntry11setLocationEPKcPK15IORegistryPlane(void *at, const char *place, const void *plane)':
    (k, at, place, plane) => setLocation(k, at, text(k, place), plane === 0 ? undefined : planeOf(k, plane)),
  'void _ZN15IORegistryEntry11setLocationEPK8OSSymbolPK15IORegistryPlane(void *at, const void *place, const void *plane)':
    (k, at, place, plane) =>
      setLocation(k, at, textOf(k, place), plane === 0 ? undefined : planeOf(k, plane)),
  'const char *_ZNK15IORegistryEntry11getLocationEPK15IORegistryPlane(const void *at, const void *plane)': (
    k,
    at,
    plane,
  ) => {
    const own = named(k, at, 'Location', plane === 0 ? undefined : planeOf(k, plane));
    return own === 0 ? 0 : k.read('OSString.string', own);
  },
  'const void *_ZNK15IORegistryEntry12copyLocationEPK15IORegistryPlane(const void *at, const void *plane)': (
    k,
    at,
    plane,
  ) => held(k, named(k, at, 'Location', plane === 0 ? undefined : planeOf(k, plane))),
  'bool _ZNK15IORegistryEntry11compareNameEP8OSStringPS1_(const void *at, void *name, void **matched)':
    matchesName,
  'bool _ZNK15IORegistryEntry12compareNamesEP8OSObjectPP8OSString(const void *at, void *names, void **matched)':
    matchesName,
  'bool _ZNK15IORegistryEntry7getPathEPcPiPK15IORegistryPlane(const void *at, char *to, int *size, const void *plane)':
    function* (k, at, to, size, plane) {
      const path = yield* pathOf(k, at, planeOf(k, plane));
      return path !== undefined && give(k, path, to, size);
    },
  'bool _ZNK15IORegistryEntry16getPathComponentEPcPiPK15IORegistryPlane(const void *at, char *to, int *size, const void *plane)':
    function* (k, at, to, size, plane) {
      return give(k, yield* componentOf(k, at, planeOf(k, plane)), to, size);
    },
  'void *_ZN15IORegistryEntry8fromPathEPKcPK15IORegistryPlanePcPiPS_(const char *path, const void *plane, char *rest, int *size, void *base)':
    function* (k, path, plane, rest, size, base) {
      const found = yield* entryAt(k, text(k, path), planeOf(k, plane), base === 0 ? undefined : base);
      if (found === undefined) {
        k.state(services).absent = `the registry entry ${text(k, path)}`;
        return 0;
      }
      if (rest !== 0 && size !== 0) give(k, '', rest, size);
      return held(k, found.entry);
    },
  'void *_ZN15IORegistryEntry13childFromPathEPKcPK15IORegistryPlanePcPi(void *at, const char *path, const void *plane, char *rest, int *size)':
    function* (k, at, path, plane) {
      return held(k, (yield* entryAt(k, text(k, path), planeOf(k, plane), at))?.entry ?? 0);
    },
  'bool _ZN15IORegistryEntry14attachToParentEPS_PK15IORegistryPlane(void *at, void *parent, const void *plane)':
    (k, at, parent, plane) => attach(k, at, parent, planeOf(k, plane)),
  'bool _ZN15IORegistryEntry13attachToChildEPS_PK15IORegistryPlane(void *at, void *child, const void *plane)':
    (k, at, child, plane) => attach(k, child, at, planeOf(k, plane)),
  'void _ZN15IORegistryEntry16detachFromParentEPS_PK15IORegistryPlane(void *at, void *parent, const void *plane)':
    (k, at, parent, plane) => detach(k, at, parent, planeOf(k, plane)),
  'void _ZN15IORegistryEntry15detachFromChildEPS_PK15IORegistryPlane(void *at, void *child, const void *plane)':
    (k, at, child, plane) => detach(k, child, at, planeOf(k, plane)),
  'void _ZN15IORegistryEntry11detachAboveEPK15IORegistryPlane(void *at, const void *plane)': function* (
    k,
    at,
    plane,
  ) {
    for (const parent of parentsOf(k, at, planeOf(k, plane))) yield* detach(k, at, parent, planeOf(k, plane));
  },
  'void _ZN15IORegistryEntry9detachAllEPK15IORegistryPlane(void *at, const void *plane)': function* (
    k,
    at,
    plane,
  ) {
    const name = planeOf(k, plane);
    for (const child of childrenOf(k, at, name)) yield* detach(k, child, at, name);
    for (const parent of parentsOf(k, at, name)) yield* detach(k, at, parent, name);
  },
  'bool _ZNK15IORegistryEntry7inPlaneEPK15IORegistryPlane(const void *at, const void *plane)': (
    k,
    at,
    plane,
  ) => parentsOf(k, at, planeOf(k, plane)).length > 0,
  'bool _ZNK15IORegistryEntry7isChildEPS_PK15IORegistryPlaneb(const void *at, void *child, const void *plane, bool only)':
    (k, at, child, plane, only) => {
      const all = childrenOf(k, at, planeOf(k, plane));
      return all.includes(child) && ((only & 0xff) === 0 || all.length === 1);
    },
  'bool _ZNK15IORegistryEntry8isParentEPS_PK15IORegistryPlaneb(const void *at, void *parent, const void *plane, bool only)':
    (k, at, parent, plane, only) => {
      const all = parentsOf(k, at, planeOf(k, plane));
      return all.includes(parent) && ((only & 0xff) === 0 || all.length === 1);
    },
  'unsigned int _ZNK15IORegistryEntry8getDepthEPK15IORegistryPlane(const void *at, const void *plane)': (
    k,
    at,
    plane,
  ) => {
    let depth = 0;
    for (let one: Address | undefined = at; one !== undefined && depth < 128; depth++)
      one = parentsOf(k, one, planeOf(k, plane))[0];
    return depth - 1;
  },
  'void *_ZNK15IORegistryEntry14getParentEntryEPK15IORegistryPlane(const void *at, const void *plane)': (
    k,
    at,
    plane,
  ) => parentsOf(k, at, planeOf(k, plane))[0] ?? 0,
  'void *_ZNK15IORegistryEntry15copyParentEntryEPK15IORegistryPlane(const void *at, const void *plane)': (
    k,
    at,
    plane,
  ) => held(k, parentsOf(k, at, planeOf(k, plane))[0] ?? 0),
  'void *_ZNK15IORegistryEntry13getChildEntryEPK15IORegistryPlane(const void *at, const void *plane)': (
    k,
    at,
    plane,
  ) => childrenOf(k, at, planeOf(k, plane))[0] ?? 0,
  'void *_ZNK15IORegistryEntry14copyChildEntryEPK15IORegistryPlane(const void *at, const void *plane)': (
    k,
    at,
    plane,
  ) => held(k, childrenOf(k, at, planeOf(k, plane))[0] ?? 0),
  'void *_ZNK15IORegistryEntry17getParentIteratorEPK15IORegistryPlane(const void *at, const void *plane)': (
    k,
    at,
    plane,
  ) => iterator(k, parentsOf(k, at, planeOf(k, plane))),
  'void *_ZNK15IORegistryEntry16getChildIteratorEPK15IORegistryPlane(const void *at, const void *plane)': (
    k,
    at,
    plane,
  ) => iterator(k, childrenOf(k, at, planeOf(k, plane))),
  'void _ZNK15IORegistryEntry14applyToParentsEPFvPS_PvES1_PK15IORegistryPlane(const void *at, void *apply, void *context, const void *plane)':
    function* (k, at, apply, context, plane) {
      for (const one of parentsOf(k, at, planeOf(k, plane))) yield* k.call(apply, one, context);
    },
  'void _ZNK15IORegistryEntry15applyToChildrenEPFvPS_PvES1_PK15IORegistryPlane(const void *at, void *apply, void *context, const void *plane)':
    function* (k, at, apply, context, plane) {
      for (const one of childrenOf(k, at, planeOf(k, plane))) yield* k.call(apply, one, context);
    },
  'int _ZN15IORegistryEntry17runPropertyActionEPFiP8OSObjectPvS2_S2_S2_ES1_S2_S2_S2_S2_(void *at, void *action, void *target, void *a, void *b, void *c, void *d)':
    (k, _at, action, target, a, b, c, d) => k.callInt(action, target, a, b, c, d),
});
