/**
 * Security identifiers, access control lists and security descriptors in guest memory, laid out as [MS-DTYP] 2.4 has them,
 * and the access check over them (2.5.3.2, without conditional and object entries).
 */
import { type Address, PAGE_SIZE } from '../../memory/space.ts';
import type { Windows } from './windows.ts';

/** SID: revision, count, six bytes of authority, then 32-bit sub-authorities. */
export const SID_HEAD = 8;
export const MAX_SUB_AUTHORITIES = 15;
const ACL_HEAD = 8;
/** ACE: type, flags, size, then access mask and SID. */
const ACE_HEAD = 8;
export const AceType = { ALLOWED: 0, DENIED: 1 } as const;
const INHERIT_ONLY = 8;
/** SECURITY_DESCRIPTOR.Control. */
export const DescriptorFlag = {
  OWNER_DEFAULTED: 1,
  GROUP_DEFAULTED: 2,
  DACL_PRESENT: 4,
  DACL_DEFAULTED: 8,
  SACL_PRESENT: 0x10,
  SACL_DEFAULTED: 0x20,
  SELF_RELATIVE: 0x8000,
} as const;

/** `S-1-5-32-544` -> the bytes of the SID. */
export function sidBytes(text: string): Uint8Array {
  const [, , authority, ...rest] = text.split('-');
  const out = new Uint8Array(SID_HEAD + rest.length * 4);
  const view = new DataView(out.buffer);
  out[0] = 1;
  out[1] = rest.length;
  view.setUint32(4, Number(authority));
  rest.forEach((value, i) => {
    view.setUint32(SID_HEAD + i * 4, Number(value), true);
  });
  return out;
}

export const sidLength = (k: Windows, sid: Address): number => SID_HEAD + k.memory.u8(sid + 1) * 4;

export function sidText(k: Windows, sid: Address): string {
  const parts = [];
  for (let i = 0; i < k.memory.u8(sid + 1); i++) parts.push(k.memory.u32(sid + SID_HEAD + i * 4));
  let authority = 0;
  for (let i = 2; i < SID_HEAD; i++) authority = authority * 256 + k.memory.u8(sid + i);
  return ['S', k.memory.u8(sid), authority, ...parts].join('-');
}

export const validSid = (k: Windows, sid: Address): boolean =>
  sid !== 0 && k.memory.u8(sid) === 1 && k.memory.u8(sid + 1) <= MAX_SUB_AUTHORITIES;

// -- lists ----------------------------------------------------------------------------------------------------------

export function createAcl(k: Windows, acl: Address, bytes: number, revision: number): void {
  k.memory.set8(acl, revision);
  k.memory.set8(acl + 1, 0);
  k.memory.set16(acl + 2, bytes & ~3);
  k.memory.set32(acl + 4, 0);
}

export interface Ace {
  readonly at: Address;
  readonly type: number;
  readonly flags: number;
  readonly size: number;
  readonly mask: number;
  readonly sid: Address;
}

export function* aces(k: Windows, acl: Address): Generator<Ace> {
  const end = acl + k.memory.u16(acl + 2);
  let at = acl + ACL_HEAD;
  for (let n = k.memory.u16(acl + 4); n > 0 && at + ACE_HEAD <= end; n--) {
    const size = k.memory.u16(at + 2);
    if (size < ACE_HEAD || at + size > end) return;
    yield {
      at,
      type: k.memory.u8(at),
      flags: k.memory.u8(at + 1),
      size,
      mask: k.memory.u32(at + 4),
      sid: at + ACE_HEAD,
    };
    at += size;
  }
}

/** Where the next entry goes: behind the last. */
export function aclEnd(k: Windows, acl: Address): Address {
  let end = acl + ACL_HEAD;
  for (const { at, size } of aces(k, acl)) end = at + size;
  return end;
}

/** False when there is no room left in the list. */
export function addAce(
  k: Windows,
  acl: Address,
  type: number,
  flags: number,
  mask: number,
  sid: Address,
): boolean {
  const at = aclEnd(k, acl);
  const size = ACE_HEAD + sidLength(k, sid);
  if (at + size > acl + k.memory.u16(acl + 2)) return false;
  k.memory.set8(at, type);
  k.memory.set8(at + 1, flags);
  k.memory.set16(at + 2, size);
  k.memory.set32(at + 4, mask);
  k.memory.copy(at + ACE_HEAD, sid, size - ACE_HEAD);
  k.memory.set16(acl + 4, k.memory.u16(acl + 4) + 1);
  return true;
}

// -- descriptors ------------------------------------------------------------------------------------------------------

export type DescriptorPart = 'owner' | 'group' | 'sacl' | 'dacl';
const PARTS: readonly DescriptorPart[] = ['owner', 'group', 'sacl', 'dacl'];
export const SELF_RELATIVE_HEAD = 20;

export const control = (k: Windows, sd: Address): number => k.memory.u16(sd + 2);
const relative = (k: Windows, sd: Address): boolean => (control(k, sd) & DescriptorFlag.SELF_RELATIVE) !== 0;

/** Bytes of the head with absolute pointers: the pointers begin at the machine's alignment. */
export const absoluteHead = (k: Windows): number => (k.word === 8 ? 40 : 20);

/** Address of a part; 0 when there is none. */
export function part(k: Windows, sd: Address, which: DescriptorPart): Address {
  if (which === 'dacl' && (control(k, sd) & DescriptorFlag.DACL_PRESENT) === 0) return 0;
  if (which === 'sacl' && (control(k, sd) & DescriptorFlag.SACL_PRESENT) === 0) return 0;
  const index = PARTS.indexOf(which);
  if (!relative(k, sd)) return k.memory.ptr(sd + k.word + index * k.word);
  const offset = k.memory.u32(sd + 4 + index * 4);
  return offset === 0 ? 0 : sd + offset;
}

/** Only for descriptors with absolute pointers. */
export function setPart(
  k: Windows,
  sd: Address,
  which: DescriptorPart,
  at: Address,
  set: number,
  clear: number,
): void {
  k.memory.setPtr(sd + k.word + PARTS.indexOf(which) * k.word, at);
  k.memory.set16(sd + 2, (control(k, sd) & ~clear) | set);
}

function partBytes(k: Windows, sd: Address, which: DescriptorPart): number {
  const at = part(k, sd, which);
  if (at === 0) return 0;
  const bytes = which === 'owner' || which === 'group' ? sidLength(k, at) : k.memory.u16(at + 2);
  return (bytes + 3) & ~3;
}

/** RtlLengthSecurityDescriptor: head and parts, in the form it has. */
export function descriptorLength(k: Windows, sd: Address, asRelative = relative(k, sd)): number {
  const head = asRelative ? SELF_RELATIVE_HEAD : absoluteHead(k);
  return PARTS.reduce((sum, which) => sum + partBytes(k, sd, which), head);
}

/** One block with offsets in place of pointers. The order of parts is the kernel's: SACL, DACL, owner, group. */
export function writeSelfRelative(k: Windows, sd: Address, out: Address): void {
  const { memory } = k;
  const flags = control(k, sd);
  const source = (['sacl', 'dacl', 'owner', 'group'] as const).map((which) => ({
    which,
    bytes: memory.bytes(part(k, sd, which) || sd, partBytes(k, sd, which)),
  }));
  memory.fill(out, SELF_RELATIVE_HEAD, 0);
  memory.set8(out, 1);
  memory.set16(out + 2, flags | DescriptorFlag.SELF_RELATIVE);
  let at = SELF_RELATIVE_HEAD;
  for (const { which, bytes } of source) {
    if (bytes.length === 0) continue;
    memory.write(out + at, bytes);
    memory.set32(out + 4 + PARTS.indexOf(which) * 4, at);
    at += bytes.length;
  }
}

export function validDescriptor(k: Windows, sd: Address): boolean {
  if (sd === 0 || k.memory.u8(sd) !== 1) return false;
  return (['owner', 'group'] as const).every((which) => {
    const at = part(k, sd, which);
    return at === 0 || validSid(k, at);
  });
}

// -- the access check ---------------------------------------------------------------------------------------------------

export interface GenericMapping {
  readonly read: number;
  readonly write: number;
  readonly execute: number;
  readonly all: number;
}

export function readMapping(k: Windows, at: Address): GenericMapping {
  const [read, write, execute, all] = [0, 4, 8, 12].map((offset) => k.memory.u32(at + offset));
  return { read, write, execute, all };
}

/** RtlMapGenericMask: the four highest bits become the rights that they stand for. */
export function mapGeneric(mask: number, mapping: GenericMapping): number {
  let out = mask & 0x0fffffff;
  if ((mask & 0x80000000) !== 0) out |= mapping.read;
  if ((mask & 0x40000000) !== 0) out |= mapping.write;
  if ((mask & 0x20000000) !== 0) out |= mapping.execute;
  if ((mask & 0x10000000) !== 0) out |= mapping.all;
  return out >>> 0;
}

const READ_CONTROL_WRITE_DAC = 0x60000;
export const MAXIMUM_ALLOWED = 0x02000000;

/** What the entries grant to somebody with these SIDs. A descriptor without a list grants everything. @returns granted rights */
export function grantedAccess(
  k: Windows,
  sd: Address,
  sids: ReadonlySet<string>,
  mapping: GenericMapping,
): number {
  const owner = part(k, sd, 'owner');
  let granted = owner !== 0 && sids.has(sidText(k, owner)) ? READ_CONTROL_WRITE_DAC : 0;
  const acl = part(k, sd, 'dacl');
  if (acl === 0) return 0xffffffff >>> 0;
  let denied = 0;
  for (const ace of aces(k, acl)) {
    if ((ace.flags & INHERIT_ONLY) !== 0 || !sids.has(sidText(k, ace.sid))) continue;
    const mask = mapGeneric(ace.mask, mapping);
    if (ace.type === AceType.ALLOWED) granted |= mask & ~denied;
    else if (ace.type === AceType.DENIED) denied |= mask & ~granted;
  }
  return granted >>> 0;
}

/** Reads of descriptors that callers give are bounded: none is longer than that. */
export const MAX_DESCRIPTOR = 16 * PAGE_SIZE;
