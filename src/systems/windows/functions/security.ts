/** Security identifiers, lists and descriptors, the caller's token, and the access check. */
import { perKernel } from '../../../kernel/kernel.ts';
import type { Steps } from '../../../kernel/steps.ts';
import type { Address } from '../../../memory/space.ts';
import type { KernelObject } from '../objects.ts';
import {
  AceType,
  absoluteHead,
  aces,
  aclEnd,
  addAce,
  control,
  createAcl,
  DescriptorFlag,
  type DescriptorPart,
  descriptorLength,
  grantedAccess,
  MAX_DESCRIPTOR,
  MAXIMUM_ALLOWED,
  mapGeneric,
  part,
  readMapping,
  SID_HEAD,
  setPart,
  sidBytes,
  sidLength,
  sidText,
  validDescriptor,
  validSid,
  writeSelfRelative,
} from '../security.ts';
import { Status } from '../status.ts';
import { encodeUtf16, setCounted } from '../strings.ts';
import type { Windows } from '../windows.ts';
import { callerOf, kernelFunctions } from './define.ts';

const INVALID_SECURITY_DESCR = 0xc0000079 | 0;
const INVALID_SID = 0xc0000078 | 0;
const UNKNOWN_REVISION = 0xc0000058 | 0;
const ALLOTTED_SPACE_EXCEEDED = 0xc0000099 | 0;
const BAD_DESCRIPTOR_FORMAT = 0xc00000e7 | 0;
const NO_TOKEN = 0xc000007c | 0;

/** Who the callers are: System threads are the local system, the session's process an administrator. */
const SIDS = {
  system: ['S-1-5-18', 'S-1-5-32-544', 'S-1-1-0', 'S-1-5-11'],
  user: [
    'S-1-5-21-1004336348-1177238915-682003330-500',
    'S-1-5-32-544',
    'S-1-1-0',
    'S-1-5-11',
    'S-1-5-32-545',
  ],
} as const;

/** The two primary tokens. The body is opaque to drivers; the SIDs are what they ask for. */
const tokens = perKernel((k: Windows) => {
  const make = (who: 'system' | 'user') => k.objects.create('Token', 0x400, { extra: SIDS[who] });
  return { system: make('system'), user: make('user') };
});

const tokenOf = (k: Windows, process: Address): KernelObject =>
  process === k.threads.user.address ? k.state(tokens).user : k.state(tokens).system;
const currentToken = (k: Windows): KernelObject =>
  k.threads.current?.user ? k.state(tokens).user : k.state(tokens).system;
const sidsOf = (token: KernelObject): readonly string[] => token.extra as readonly string[];

/** The descriptor of an object: in the device's own field, for all others beside the object, by address. */
const descriptors = perKernel(() => new Map<Address, Address>());

export function descriptorOf(k: Windows, object: KernelObject): Address {
  if (object.type === 'Device') return k.read('DEVICE_OBJECT.SecurityDescriptor', object.address);
  return k.state(descriptors).get(object.address) ?? 0;
}

function setDescriptor(k: Windows, object: KernelObject, sd: Address): void {
  k.pool.release(descriptorOf(k, object));
  if (object.type === 'Device') k.write('DEVICE_OBJECT.SecurityDescriptor', object.address, sd);
  else k.state(descriptors).set(object.address, sd);
}

/** A copy of a descriptor in paged pool, self-relative. */
function capture(k: Windows, sd: Address, caller: Address): Address {
  const bytes = descriptorLength(k, sd, true);
  if (bytes > MAX_DESCRIPTOR) return 0;
  const out = k.pool.allocate('paged', bytes, 0x64536553, caller, true);
  if (out !== 0) writeSelfRelative(k, sd, out);
  return out;
}

function getPart(k: Windows, sd: Address, which: DescriptorPart, out: Address, defaulted: Address): number {
  if (!validDescriptor(k, sd)) return UNKNOWN_REVISION;
  k.memory.setPtr(out, part(k, sd, which));
  const bit = {
    owner: DescriptorFlag.OWNER_DEFAULTED,
    group: DescriptorFlag.GROUP_DEFAULTED,
    dacl: DescriptorFlag.DACL_DEFAULTED,
    sacl: DescriptorFlag.SACL_DEFAULTED,
  }[which];
  if (defaulted !== 0) k.memory.set8(defaulted, (control(k, sd) & bit) === 0 ? 0 : 1);
  return Status.SUCCESS;
}

function getAcl(
  k: Windows,
  sd: Address,
  which: 'dacl' | 'sacl',
  present: Address,
  out: Address,
  defaulted: Address,
): number {
  const flag = which === 'dacl' ? DescriptorFlag.DACL_PRESENT : DescriptorFlag.SACL_PRESENT;
  if (!validDescriptor(k, sd)) return UNKNOWN_REVISION;
  const has = (control(k, sd) & flag) !== 0;
  k.memory.set8(present, has ? 1 : 0);
  return has ? getPart(k, sd, which, out, defaulted) : Status.SUCCESS;
}

function setAcl(
  k: Windows,
  sd: Address,
  which: 'dacl' | 'sacl',
  present: number,
  acl: Address,
  defaulted: number,
): number {
  if ((control(k, sd) & DescriptorFlag.SELF_RELATIVE) !== 0) return INVALID_SECURITY_DESCR;
  const [has, isDefault] =
    which === 'dacl'
      ? [DescriptorFlag.DACL_PRESENT, DescriptorFlag.DACL_DEFAULTED]
      : [DescriptorFlag.SACL_PRESENT, DescriptorFlag.SACL_DEFAULTED];
  const set = (present ? has : 0) | (present && defaulted ? isDefault : 0);
  setPart(k, sd, which, present ? acl : 0, set, has | isDefault);
  return Status.SUCCESS;
}

function setSid(k: Windows, sd: Address, which: 'owner' | 'group', sid: Address, defaulted: number): number {
  if ((control(k, sd) & DescriptorFlag.SELF_RELATIVE) !== 0) return INVALID_SECURITY_DESCR;
  const bit = which === 'owner' ? DescriptorFlag.OWNER_DEFAULTED : DescriptorFlag.GROUP_DEFAULTED;
  setPart(k, sd, which, sid, defaulted ? bit : 0, bit);
  return Status.SUCCESS;
}

const LAYOUT_OF_TOKEN = { USER: 1, GROUPS: 2, PRIVILEGES: 3, TYPE: 8, SESSION: 12, ELEVATION: 20 } as const;
/** LUIDs of privileges that both tokens hold, enabled. */
const PRIVILEGES = [2, 3, 4, 7, 8, 9, 10, 14, 17, 18, 19, 20, 23];
const PRIVILEGE_ENABLED = 3;
const SE_GROUP_ENABLED = 7;

/** The bytes of one token information class, with the SIDs behind the head; undefined for classes that are not written. */
function tokenInformation(
  k: Windows,
  token: KernelObject,
  kind: number,
  base: Address,
): Uint8Array | undefined {
  const w = k.word;
  const sids = sidsOf(token).map(sidBytes);
  const words = (count: number, tail = 0) => new Uint8Array(count * w + tail);
  const put = (out: Uint8Array, at: number, value: number) =>
    w === 8
      ? new DataView(out.buffer).setBigUint64(at, BigInt.asUintN(64, BigInt(value)), true)
      : new DataView(out.buffer).setUint32(at, value >>> 0, true);
  const number = (value: number) => {
    const out = new Uint8Array(4);
    new DataView(out.buffer).setUint32(0, value, true);
    return out;
  };
  if (kind === LAYOUT_OF_TOKEN.USER) {
    const out = words(2, sids[0].length);
    put(out, 0, base + 2 * w);
    out.set(sids[0], 2 * w);
    return out;
  }
  if (kind === LAYOUT_OF_TOKEN.GROUPS) {
    const groups = sids.slice(1);
    let at = (1 + groups.length * 2) * w;
    const out = words(
      1 + groups.length * 2,
      groups.reduce((sum, one) => sum + one.length, 0),
    );
    put(out, 0, groups.length);
    groups.forEach((one, i) => {
      put(out, (1 + i * 2) * w, base + at);
      new DataView(out.buffer).setUint32((2 + i * 2) * w, SE_GROUP_ENABLED, true);
      out.set(one, at);
      at += one.length;
    });
    return out;
  }
  if (kind === LAYOUT_OF_TOKEN.PRIVILEGES) {
    const out = new Uint8Array(4 + PRIVILEGES.length * 12);
    const view = new DataView(out.buffer);
    view.setUint32(0, PRIVILEGES.length, true);
    PRIVILEGES.forEach((luid, i) => {
      view.setUint32(4 + i * 12, luid, true);
      view.setUint32(12 + i * 12, PRIVILEGE_ENABLED, true);
    });
    return out;
  }
  if (kind === LAYOUT_OF_TOKEN.TYPE || kind === LAYOUT_OF_TOKEN.ELEVATION) return number(1);
  if (kind === LAYOUT_OF_TOKEN.SESSION) return number(token === k.state(tokens).user ? 1 : 0);
  return undefined;
}

function queryToken(
  k: Windows,
  token: KernelObject,
  kind: number,
  out: Address,
  room: number,
  needed: Address,
): number {
  const bytes = tokenInformation(k, token, kind, out);
  if (bytes === undefined) return Status.INVALID_INFO_CLASS;
  if (needed !== 0) k.memory.set32(needed, bytes.length);
  if (room < bytes.length) return Status.BUFFER_TOO_SMALL;
  k.memory.write(out, bytes);
  return Status.SUCCESS;
}

function openToken(k: Windows, process: KernelObject | undefined, out: Address): number {
  if (process === undefined) return Status.INVALID_HANDLE;
  if (process.type !== 'Process') return Status.OBJECT_TYPE_MISMATCH;
  k.memory.setPtr(out, k.objects.open(tokenOf(k, process.address)));
  return Status.SUCCESS;
}

const holds = (luid: number): boolean => PRIVILEGES.includes(luid);

/** SECURITY_SUBJECT_CONTEXT: client token, impersonation level, primary token, audit id. */
function captureSubject(k: Windows, context: Address): void {
  const token = currentToken(k);
  k.objects.reference(token);
  k.memory.fill(context, 4 * k.word, 0);
  k.memory.setPtr(context + 2 * k.word, token.address);
  k.memory.setPtr(context + 3 * k.word, k.threads.processId(k.threads.processOf(k.threads.current).address));
}

const OWNER_GROUP_DACL = [1, 2, 4] as const;

function* setSecurity(k: Windows, handle: number, info: number, sd: Address): Steps<number> {
  const object = k.objects.fromHandle(handle);
  if (object === undefined) return Status.INVALID_HANDLE;
  // A file object stands for the device that it was opened on.
  const device =
    object.type === 'File' ? k.objects.at(k.read('FILE_OBJECT.DeviceObject', object.address)) : object;
  if (device === undefined) return Status.INVALID_DEVICE_REQUEST;
  if (!validDescriptor(k, sd)) return INVALID_SECURITY_DESCR;
  if (!OWNER_GROUP_DACL.some((bit) => (info & bit) !== 0)) return Status.SUCCESS;
  const copy = capture(k, sd, 0);
  if (copy === 0) return Status.INSUFFICIENT_RESOURCES;
  setDescriptor(k, device, copy);
  return Status.SUCCESS;
}

function accessCheck(
  k: Windows,
  [sd, context, , desired, already, , mapping, mode, granted, status]: readonly number[],
): number {
  const map = readMapping(k, mapping);
  const wanted = mapGeneric(desired, map);
  const token = k.objects.at(k.memory.ptr(context) || k.memory.ptr(context + 2 * k.word));
  const allowed =
    mode === 0 || sd === 0 || token === undefined
      ? 0xffffffff >>> 0
      : grantedAccess(k, sd, new Set(sidsOf(token)), map) | already;
  const rights = (wanted & MAXIMUM_ALLOWED) !== 0 ? (allowed & map.all) >>> 0 : wanted;
  const ok = (rights & ~allowed) === 0;
  k.memory.set32(granted, ok ? rights : 0);
  k.memory.set32(status, ok ? Status.SUCCESS : Status.ACCESS_DENIED);
  return ok ? 1 : 0;
}

/** SE_EXPORTS in the order of ntifs.h: LUIDs of privileges (8 bytes each), then pointers to well-known SIDs. */
const EXPORTED_PRIVILEGES = [
  2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24,
];
const EXPORTED_SIDS = [
  ...['S-1-0-0', 'S-1-1-0', 'S-1-2-0', 'S-1-3-0', 'S-1-3-1', 'S-1-5', 'S-1-5-1', 'S-1-5-2', 'S-1-5-3'],
  ...['S-1-5-4', 'S-1-5-18', 'S-1-5-32-544', 'S-1-5-32-545', 'S-1-5-32-546', 'S-1-5-32-547'],
  ...['S-1-5-32-548', 'S-1-5-32-549', 'S-1-5-32-550', 'S-1-5-32-551', 'S-1-5-11', 'S-1-5-12', 'S-1-5-7'],
];

/** The variable SeExports points to this block. */
export function fillSeExports(k: Windows, variable: Address): void {
  const head = EXPORTED_PRIVILEGES.length * 8;
  const sids = EXPORTED_SIDS.map(sidBytes);
  const bytes = sids.reduce((sum, one) => sum + one.length, head + sids.length * k.word);
  const at = k.kernelData(bytes, 'SE_EXPORTS');
  k.memory.setPtr(variable, at);
  EXPORTED_PRIVILEGES.forEach((luid, i) => {
    k.memory.set32(at + i * 8, luid);
  });
  let next = at + head + sids.length * k.word;
  sids.forEach((sid, i) => {
    k.memory.write(next, sid);
    k.memory.setPtr(at + head + i * k.word, next);
    next += sid.length;
  });
}

export const securityFunctions = kernelFunctions({
  'ULONG RtlLengthRequiredSid(ULONG count)': (_k, count) => SID_HEAD + count * 4,
  'NTSTATUS RtlInitializeSid(PVOID sid, PVOID authority, UCHAR count)': (k, sid, authority, count) => {
    k.memory.set8(sid, 1);
    k.memory.set8(sid + 1, count);
    k.memory.copy(sid + 2, authority, 6);
    return Status.SUCCESS;
  },
  'PVOID RtlSubAuthoritySid(PVOID sid, ULONG index)': (_k, sid, index) => sid + SID_HEAD + index * 4,
  'PVOID RtlSubAuthorityCountSid(PVOID sid)': (_k, sid) => sid + 1,
  'ULONG RtlLengthSid(PVOID sid)': (k, sid) => sidLength(k, sid),
  'BOOLEAN RtlValidSid(PVOID sid)': (k, sid) => validSid(k, sid),
  'BOOLEAN RtlEqualSid(PVOID a, PVOID b)': (k, a, b) => sidText(k, a) === sidText(k, b),
  'NTSTATUS RtlCopySid(ULONG room, PVOID target, PVOID source)': (k, room, target, source) => {
    const bytes = sidLength(k, source);
    if (room < bytes) return Status.BUFFER_TOO_SMALL;
    k.memory.copy(target, source, bytes);
    return Status.SUCCESS;
  },
  'NTSTATUS RtlConvertSidToUnicodeString(PVOID string, PVOID sid, BOOLEAN allocate)': (
    k,
    string,
    sid,
    allocate,
  ) => {
    if (!validSid(k, sid)) return INVALID_SID;
    const text = sidText(k, sid);
    const bytes = encodeUtf16(`${text}\0`);
    if (allocate) {
      const buffer = k.pool.allocate('paged', bytes.length, 0x53735365, callerOf(k));
      if (buffer === 0) return Status.NO_MEMORY;
      setCounted(k, string, 0, bytes.length, buffer);
    } else if (k.read('UNICODE_STRING.MaximumLength', string) < bytes.length) return Status.BUFFER_OVERFLOW;
    k.memory.write(k.read('UNICODE_STRING.Buffer', string), bytes);
    k.write('UNICODE_STRING.Length', string, text.length * 2);
    return Status.SUCCESS;
  },

  'NTSTATUS RtlCreateAcl(PVOID acl, ULONG bytes, ULONG revision)': (k, acl, bytes, revision) => {
    if (bytes < SID_HEAD) return Status.BUFFER_TOO_SMALL;
    if (revision < 2 || revision > 4) return Status.INVALID_PARAMETER;
    createAcl(k, acl, bytes, revision);
    return Status.SUCCESS;
  },
  'NTSTATUS RtlAddAccessAllowedAce(PVOID acl, ULONG revision, ACCESS_MASK mask, PVOID sid)': (
    k,
    acl,
    _revision,
    mask,
    sid,
  ) => (addAce(k, acl, AceType.ALLOWED, 0, mask, sid) ? Status.SUCCESS : ALLOTTED_SPACE_EXCEEDED),
  'NTSTATUS RtlAddAccessAllowedAceEx(PVOID acl, ULONG revision, ULONG flags, ACCESS_MASK mask, PVOID sid)': (
    k,
    acl,
    _revision,
    flags,
    mask,
    sid,
  ) => (addAce(k, acl, AceType.ALLOWED, flags, mask, sid) ? Status.SUCCESS : ALLOTTED_SPACE_EXCEEDED),
  'NTSTATUS RtlAddAccessDeniedAce(PVOID acl, ULONG revision, ACCESS_MASK mask, PVOID sid)': (
    k,
    acl,
    _revision,
    mask,
    sid,
  ) => (addAce(k, acl, AceType.DENIED, 0, mask, sid) ? Status.SUCCESS : ALLOTTED_SPACE_EXCEEDED),
  'NTSTATUS RtlAddAce(PVOID acl, ULONG revision, ULONG index, PVOID list, ULONG bytes)': (
    k,
    acl,
    _revision,
    index,
    list,
    bytes,
  ) => {
    const all = [...aces(k, acl)];
    const end = aclEnd(k, acl);
    if (end + bytes > acl + k.memory.u16(acl + 2)) return Status.BUFFER_TOO_SMALL;
    let added = 0;
    for (let at = 0; at + 4 <= bytes; added++) {
      const size = k.memory.u16(list + at + 2);
      if (size < 4 || at + size > bytes) return Status.INVALID_PARAMETER;
      at += size;
    }
    const at = all[index]?.at ?? end;
    k.memory.copy(at + bytes, at, end - at);
    k.memory.copy(at, list, bytes);
    k.memory.set16(acl + 4, all.length + added);
    return Status.SUCCESS;
  },
  'NTSTATUS RtlGetAce(PVOID acl, ULONG index, PVOID *ace)': (k, acl, index, out) => {
    const found = [...aces(k, acl)][index];
    if (found === undefined) return Status.INVALID_PARAMETER;
    k.memory.setPtr(out, found.at);
    return Status.SUCCESS;
  },
  'BOOLEAN RtlValidAcl(PVOID acl)': (k, acl) =>
    k.memory.u8(acl) >= 2 && k.memory.u8(acl) <= 4 && [...aces(k, acl)].length === k.memory.u16(acl + 4),
  'void RtlMapGenericMask(PVOID mask, PVOID mapping)': (k, mask, mapping) =>
    k.memory.set32(mask, mapGeneric(k.memory.u32(mask), readMapping(k, mapping))),

  'NTSTATUS RtlCreateSecurityDescriptor(PVOID sd, ULONG revision)': (k, sd, revision) => {
    if (revision !== 1) return UNKNOWN_REVISION;
    k.memory.fill(sd, absoluteHead(k), 0);
    k.memory.set8(sd, 1);
    return Status.SUCCESS;
  },
  'BOOLEAN RtlValidSecurityDescriptor(PVOID sd)': (k, sd) => validDescriptor(k, sd),
  'ULONG RtlLengthSecurityDescriptor(PVOID sd)': (k, sd) => descriptorLength(k, sd),
  'NTSTATUS RtlSetDaclSecurityDescriptor(PVOID sd, BOOLEAN present, PVOID acl, BOOLEAN defaulted)': (
    k,
    sd,
    present,
    acl,
    defaulted,
  ) => setAcl(k, sd, 'dacl', present, acl, defaulted),
  'NTSTATUS RtlSetSaclSecurityDescriptor(PVOID sd, BOOLEAN present, PVOID acl, BOOLEAN defaulted)': (
    k,
    sd,
    present,
    acl,
    defaulted,
  ) => setAcl(k, sd, 'sacl', present, acl, defaulted),
  'NTSTATUS RtlSetOwnerSecurityDescriptor(PVOID sd, PVOID sid, BOOLEAN defaulted)': (k, sd, sid, defaulted) =>
    setSid(k, sd, 'owner', sid, defaulted),
  'NTSTATUS RtlSetGroupSecurityDescriptor(PVOID sd, PVOID sid, BOOLEAN defaulted)': (k, sd, sid, defaulted) =>
    setSid(k, sd, 'group', sid, defaulted),
  'NTSTATUS RtlGetOwnerSecurityDescriptor(PVOID sd, PVOID *sid, BOOLEAN *defaulted)': (
    k,
    sd,
    out,
    defaulted,
  ) => getPart(k, sd, 'owner', out, defaulted),
  'NTSTATUS RtlGetGroupSecurityDescriptor(PVOID sd, PVOID *sid, BOOLEAN *defaulted)': (
    k,
    sd,
    out,
    defaulted,
  ) => getPart(k, sd, 'group', out, defaulted),
  'NTSTATUS RtlGetDaclSecurityDescriptor(PVOID sd, BOOLEAN *present, PVOID *acl, BOOLEAN *defaulted)': (
    k,
    sd,
    present,
    acl,
    defaulted,
  ) => getAcl(k, sd, 'dacl', present, acl, defaulted),
  'NTSTATUS RtlGetSaclSecurityDescriptor(PVOID sd, BOOLEAN *present, PVOID *acl, BOOLEAN *defaulted)': (
    k,
    sd,
    present,
    acl,
    defaulted,
  ) => getAcl(k, sd, 'sacl', present, acl, defaulted),
  'NTSTATUS RtlAbsoluteToSelfRelativeSD(PVOID sd, PVOID out, ULONG *bytes)': (k, sd, out, bytes) => {
    if ((control(k, sd) & DescriptorFlag.SELF_RELATIVE) !== 0) return BAD_DESCRIPTOR_FORMAT;
    const need = descriptorLength(k, sd, true);
    const room = k.memory.u32(bytes);
    k.memory.set32(bytes, need);
    if (room < need) return Status.BUFFER_TOO_SMALL;
    writeSelfRelative(k, sd, out);
    return Status.SUCCESS;
  },

  'NTSTATUS SeCaptureSecurityDescriptor(PVOID sd, KPROCESSOR_MODE mode, ULONG pool, BOOLEAN force, PVOID *out)':
    (k, sd, _mode, _pool, _force, out) => {
      if (sd === 0) {
        k.memory.setPtr(out, 0);
        return Status.SUCCESS;
      }
      if (!validDescriptor(k, sd)) return UNKNOWN_REVISION;
      const copy = capture(k, sd, callerOf(k));
      k.memory.setPtr(out, copy);
      return copy === 0 ? Status.INSUFFICIENT_RESOURCES : Status.SUCCESS;
    },
  'NTSTATUS SeReleaseSecurityDescriptor(PVOID sd, KPROCESSOR_MODE mode, BOOLEAN force)': (k, sd) => {
    k.pool.release(sd);
    return Status.SUCCESS;
  },
  'NTSTATUS ZwSetSecurityObject(HANDLE handle, ULONG info, PVOID sd)': (k, handle, info, sd) =>
    setSecurity(k, handle, info, sd),
  'NTSTATUS NtSetSecurityObject(HANDLE handle, ULONG info, PVOID sd)': (k, handle, info, sd) =>
    setSecurity(k, handle, info, sd),
  'NTSTATUS ZwQuerySecurityObject(HANDLE handle, ULONG info, PVOID sd, ULONG room, ULONG *needed)': (
    k,
    handle,
    _info,
    sd,
    room,
    needed,
  ) => {
    const object = k.objects.fromHandle(handle);
    if (object === undefined) return Status.INVALID_HANDLE;
    const own = descriptorOf(k, object);
    const bytes = own === 0 ? 20 : descriptorLength(k, own);
    k.memory.set32(needed, bytes);
    if (room < bytes) return Status.BUFFER_TOO_SMALL;
    if (own !== 0) k.memory.copy(sd, own, bytes);
    else {
      k.memory.fill(sd, bytes, 0);
      k.memory.set8(sd, 1);
      k.memory.set16(sd + 2, DescriptorFlag.SELF_RELATIVE);
    }
    return Status.SUCCESS;
  },
  'NTSTATUS ObGetObjectSecurity(PVOID object, PVOID *sd, BOOLEAN *allocated)': (k, at, sd, allocated) => {
    const object = k.objects.at(at);
    k.memory.setPtr(sd, object === undefined ? 0 : descriptorOf(k, object));
    k.memory.set8(allocated, 0);
    return Status.SUCCESS;
  },
  'void ObReleaseObjectSecurity(PVOID sd, BOOLEAN allocated)': () => undefined,

  'void SeCaptureSubjectContext(PVOID context)': (k, context) => captureSubject(k, context),
  'void SeLockSubjectContext(PVOID context)': () => undefined,
  'void SeUnlockSubjectContext(PVOID context)': () => undefined,
  'void SeReleaseSubjectContext(PVOID context)': function* (k, context) {
    const token = k.objects.at(k.memory.ptr(context + 2 * k.word));
    k.memory.setPtr(context + 2 * k.word, 0);
    if (token !== undefined) yield* k.objects.dereference(token);
  },
  'BOOLEAN SeAccessCheck(PVOID sd, PVOID context, BOOLEAN locked, ACCESS_MASK desired, ACCESS_MASK already, PVOID *privileges, PVOID mapping, KPROCESSOR_MODE mode, ULONG *granted, NTSTATUS *status)':
    (k, ...args) => accessCheck(k, args),
  'BOOLEAN SeSinglePrivilegeCheck(u64 luid, KPROCESSOR_MODE mode)': (_k, luid, mode) =>
    mode === 0 || holds(Number(luid & 0xffffffffn)),
  'BOOLEAN SePrivilegeCheck(PVOID set, PVOID context, KPROCESSOR_MODE mode)': (k, set, _context, mode) => {
    if (mode === 0) return 1;
    const count = k.memory.u32(set);
    let all = true;
    for (let i = 0; i < count && i < 64; i++) all &&= holds(k.memory.u32(set + 8 + i * 12));
    return all;
  },
  'BOOLEAN SeTokenIsAdmin(PVOID token)': (k, token) => {
    const object = k.objects.at(token);
    return object?.type === 'Token' && sidsOf(object).includes('S-1-5-32-544');
  },
  'BOOLEAN SeTokenIsRestricted(PVOID token)': () => 0,
  /** TokenPrimary. */
  'ULONG SeTokenType(PVOID token)': () => 1,
  'NTSTATUS SeQueryInformationToken(PVOID token, ULONG kind, PVOID *out)': (k, at, kind, out) => {
    const token = k.objects.at(at);
    if (token?.type !== 'Token') return Status.INVALID_PARAMETER;
    // The four byte-sized classes are given in place of the pointer.
    if (kind === LAYOUT_OF_TOKEN.SESSION || kind === LAYOUT_OF_TOKEN.TYPE)
      return queryToken(k, token, kind, out, 4, 0);
    const bytes = tokenInformation(k, token, kind, 0)?.length;
    if (bytes === undefined) return Status.INVALID_INFO_CLASS;
    const block = k.pool.allocate('paged', bytes, 0x6e546553, callerOf(k), true);
    if (block === 0) return Status.INSUFFICIENT_RESOURCES;
    k.memory.setPtr(out, block);
    return queryToken(k, token, kind, block, bytes, 0);
  },
  'NTSTATUS SeQueryAuthenticationIdToken(PVOID token, PVOID luid)': (k, token, luid) => {
    // SYSTEM_LUID is 0x3e7; the first interactive logon of a session gets a number of its own.
    k.memory.setU64(luid, token === k.state(tokens).system.address ? 0x3e7n : 0x1f3a5n);
    return Status.SUCCESS;
  },
  'NTSTATUS SeQuerySessionIdToken(PVOID token, ULONG *session)': (k, token, out) => {
    k.memory.set32(out, token === k.state(tokens).user.address ? 1 : 0);
    return Status.SUCCESS;
  },
  'PVOID PsReferencePrimaryToken(PVOID process)': (k, process) => {
    const token = tokenOf(k, process);
    k.objects.reference(token);
    return token.address;
  },
  'void PsDereferencePrimaryToken(PVOID token)': function* (k, token) {
    const object = k.objects.at(token);
    if (object !== undefined) yield* k.objects.dereference(object);
  },
  /** Nobody impersonates here. */
  'PVOID PsReferenceImpersonationToken(PVOID thread, BOOLEAN *copyOnOpen, BOOLEAN *effectiveOnly, ULONG *level)':
    () => 0,
  'void PsDereferenceImpersonationToken(PVOID token)': () => undefined,
  'void PsRevertToSelf(void)': () => undefined,
  'NTSTATUS ZwOpenProcessToken(HANDLE process, ACCESS_MASK access, HANDLE *handle)': (
    k,
    process,
    _access,
    out,
  ) => openToken(k, k.objects.fromHandle(process), out),
  'NTSTATUS ZwOpenProcessTokenEx(HANDLE process, ACCESS_MASK access, ULONG attributes, HANDLE *handle)': (
    k,
    process,
    _access,
    _attributes,
    out,
  ) => openToken(k, k.objects.fromHandle(process), out),
  'NTSTATUS ZwOpenThreadToken(HANDLE thread, ACCESS_MASK access, BOOLEAN self, HANDLE *handle)': (
    k,
    thread,
  ) => (k.objects.fromHandle(thread) === undefined ? Status.INVALID_HANDLE : NO_TOKEN),
  'NTSTATUS ZwOpenThreadTokenEx(HANDLE thread, ACCESS_MASK access, BOOLEAN self, ULONG attributes, HANDLE *handle)':
    (k, thread) => (k.objects.fromHandle(thread) === undefined ? Status.INVALID_HANDLE : NO_TOKEN),
  'NTSTATUS ZwQueryInformationToken(HANDLE handle, ULONG kind, PVOID out, ULONG room, ULONG *needed)': (
    k,
    handle,
    kind,
    out,
    room,
    needed,
  ) => {
    const token = k.objects.fromHandle(handle);
    if (token === undefined) return Status.INVALID_HANDLE;
    return token.type === 'Token'
      ? queryToken(k, token, kind, out, room, needed)
      : Status.OBJECT_TYPE_MISMATCH;
  },
});
