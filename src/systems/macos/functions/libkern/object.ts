/** OSObject and OSMetaClassBase: references, the end of an object, casts (libkern/c++/OSObject.cpp, OSMetaClass.cpp). */
import type { Steps } from '../../../../kernel/steps.ts';
import { guestText } from '../../../../kernel/text/printf.ts';
import type { Address } from '../../../../memory/space.ts';
import type { Macos } from '../../macos.ts';
import {
  allocateInstance,
  countInstance,
  findMetaClass,
  inherits,
  invoke,
  metaClassOf,
} from '../../runtime/classes.ts';
import { retain, textOf } from '../../runtime/objects.ts';
import { kernelFunctions } from '../define.ts';

/** A count that says: being freed. */
const FREEING = 0xffff;

/** One reference less; below `when` references the object frees itself. */
export function* letGo(k: Macos, at: Address, when = 1): Steps<void> {
  const count = k.read('OSObject.retainCount', at) & 0xffff;
  if (count === FREEING) return;
  if (count === 0)
    throw k.panic('panic(cpu 0): "A kext releasing a(n) object has corrupted the registry: over-released."');
  if (count - 1 >= when) {
    k.write('OSObject.retainCount', at, k.read('OSObject.retainCount', at) - 1);
    return;
  }
  k.write('OSObject.retainCount', at, FREEING);
  yield* invoke(k, at, 'OSObject', '_ZN8OSObject4freeEv');
}

/** OSObject::free: the class counts one instance less, and the object's own destructor gives its memory back. */
export function* freeObject(k: Macos, at: Address): Steps<void> {
  const meta = yield* metaClassOf(k, at);
  if (meta !== 0) countInstance(k, meta, -1);
  yield* invoke(k, at, 'OSObject', '_ZN8OSObjectD0Ev');
}

function* cast(k: Macos, at: Address, meta: Address): Steps<Address> {
  if (at === 0 || meta === 0) return 0;
  return inherits(k, yield* metaClassOf(k, at), meta) ? at : 0;
}

const named = (k: Macos, at: Address, name: string): Steps<Address> =>
  cast(k, at, findMetaClass(k, name) ?? 0);

function* allocateNamed(k: Macos, name: string): Steps<Address> {
  const meta = findMetaClass(k, name);
  return meta === undefined ? 0 : yield* allocateInstance(k, meta);
}

const TEXT = 1024;

export const objectFunctions = kernelFunctions({
  'bool _ZN8OSObject4initEv(void *at)': () => true,
  'void _ZN8OSObject4freeEv(void *at)': freeObject,
  'void _ZNK8OSObject6retainEv(const void *at)': retain,
  'void _ZNK8OSObject12taggedRetainEPKv(const void *at, const void *tag)': (k, at) => retain(k, at),
  'void _ZNK8OSObject7releaseEv(const void *at)': (k, at) => letGo(k, at),
  'void _ZNK8OSObject7releaseEi(const void *at, int when)': (k, at, when) => letGo(k, at, when),
  'void _ZNK8OSObject13taggedReleaseEPKv(const void *at, const void *tag)': (k, at) => letGo(k, at),
  'void _ZNK8OSObject13taggedReleaseEPKvi(const void *at, const void *tag, int when)': (k, at, _tag, when) =>
    letGo(k, at, when),
  'int _ZNK8OSObject14getRetainCountEv(const void *at)': (k, at) =>
    k.read('OSObject.retainCount', at) & 0xffff,
  'bool _ZNK15OSMetaClassBase9isEqualToEPKS_(const void *at, const void *other)': (_, at, other) =>
    at === other,
  'void *_ZN15OSMetaClassBase12safeMetaCastEPKS_PK11OSMetaClass(const void *at, const void *meta)': cast,
  'void *_ZNK15OSMetaClassBase8metaCastEPK11OSMetaClass(const void *at, const void *meta)': cast,
  'void *_ZNK15OSMetaClassBase8metaCastEPKc(const void *at, const char *name)': (k, at, name) =>
    named(k, at, guestText(k, name, TEXT)),
  'void *_ZNK15OSMetaClassBase8metaCastEPK8OSSymbol(const void *at, const void *name)': (k, at, name) =>
    named(k, at, textOf(k, name)),
  'void *_ZNK15OSMetaClassBase8metaCastEPK8OSString(const void *at, const void *name)': (k, at, name) =>
    named(k, at, textOf(k, name)),
  'void *_ZNK11OSMetaClass13checkMetaCastEPK15OSMetaClassBase(const void *meta, const void *at)': (
    k,
    meta,
    at,
  ) => cast(k, at, meta),
  'const void *_ZN11OSMetaClass20getMetaClassWithNameEPK8OSSymbol(const void *name)': (k, name) =>
    findMetaClass(k, textOf(k, name)) ?? 0,
  'void *_ZN11OSMetaClass18allocClassWithNameEPK8OSSymbol(const void *name)': (k, name) =>
    allocateNamed(k, textOf(k, name)),
  'void *_ZN11OSMetaClass18allocClassWithNameEPK8OSString(const void *name)': (k, name) =>
    allocateNamed(k, textOf(k, name)),
  'void *_ZN11OSMetaClass18allocClassWithNameEPKc(const char *name)': (k, name) =>
    allocateNamed(k, guestText(k, name, TEXT)),
});
