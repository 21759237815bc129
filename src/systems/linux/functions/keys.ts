/**
 * Keys (security/keys/): keyrings that a module makes for itself, and certificates put into them. What a keyring holds is
 * behind functions in the kernel, too (an associative array), so only the keys themselves lie in the guest.
 */
import { FormatError } from '../../../bytes/errors.ts';
import { type Certificate, readCertificate } from '../../../formats/pki/certificate.ts';
import { perKernel } from '../../../kernel/kernel.ts';
import { MissingFunctionReached } from '../../../kernel/missing.ts';
import type { Address } from '../../../memory/space.ts';
import { Errno, isError } from '../errno.ts';
import type { DataInitialiser, Linux } from '../linux.ts';
import { initList } from '../lists.ts';
import { kernelFunctions } from './define.ts';
import { writeText } from './format/printf.ts';
import { pokePointer } from './thunks.ts';

/** Bits of key.flags (include/linux/key.h). */
const FLAG = { REVOKED: 1, IN_QUOTA: 2, BUILTIN: 6 } as const;
/** Bits of the flags of key_alloc. */
const ALLOC = { NOT_IN_QUOTA: 2, BUILT_IN: 4 } as const;
/** key.state: KEY_IS_POSITIVE */
const POSITIVE = 1;
/** KEY_PERM_UNDEF, and what key_create_or_update then gives a key that cannot be read or updated. */
const PERM_UNDEFINED = 0xffff_ffff;
const DEFAULT_PERM = 0x3901_0000;
const FIRST_SERIAL = 3;

/** What the keyrings hold, and the serial number that comes next. */
const keyrings = perKernel<{ members: Map<Address, Address[]>; next: number }, Linux>(() => ({
  members: new Map(),
  next: FIRST_SERIAL,
}));

/** The possession bit of a key_ref_t. */
const keyOf = (reference: Address): Address => reference - (reference % 2 === 0 ? 0 : 1);

interface Attributes {
  readonly uid: number;
  readonly gid: number;
  readonly perm: number;
  readonly flags: number;
}

/** key_alloc and key_instantiate: a key with one reference; 0 when there is no memory. */
function makeKey(k: Linux, type: string, description: string, given: Attributes): Address {
  const key = k.heap.allocateZeroed(k.sizeof('key'));
  const text = k.heap.allocate(description.length + 1);
  if (key === 0 || text === 0) {
    for (const at of [key, text]) k.heap.free(at);
    return 0;
  }
  writeText(k, text, description);
  k.write('key.usage.refs.counter', key, 1);
  k.write('key.serial', key, k.state(keyrings).next++);
  k.write('key.index_key.type', key, k.addressOf(type));
  k.write('key.index_key.description', key, text);
  k.write('key.index_key.desc_len', key, description.length);
  k.write('key.uid.val', key, given.uid);
  k.write('key.gid.val', key, given.gid);
  k.write('key.perm', key, given.perm);
  const quota = (given.flags & ALLOC.NOT_IN_QUOTA) === 0 ? 1 << FLAG.IN_QUOTA : 0;
  const builtIn = (given.flags & ALLOC.BUILT_IN) === 0 ? 0 : 1 << FLAG.BUILTIN;
  k.write('key.flags', key, quota | builtIn);
  k.write('key.state', key, POSITIVE);
  if (k.types.has('key.sem.wait_list')) initList(k, key + k.offset('key.sem.wait_list'));
  return key;
}

/** key_put: the last reference frees the key, and lets go of what a keyring holds. */
function putKey(k: Linux, key: Address): void {
  if (key === 0 || isError(key)) return;
  const count = k.read('key.usage.refs.counter', key) - 1;
  k.write('key.usage.refs.counter', key, count);
  if (count !== 0) return;
  clear(k, key);
  k.state(keyrings).members.delete(key);
  freePayload(k, key);
  k.heap.free(k.read('key.index_key.description', key));
  k.heap.free(key);
}

function clear(k: Linux, keyring: Address): void {
  const held = k.state(keyrings).members.get(keyring) ?? [];
  k.state(keyrings).members.set(keyring, []);
  for (const key of held) putKey(k, key);
}

function link(k: Linux, keyring: Address, key: Address): void {
  const members = k.state(keyrings).members.get(keyring) ?? [];
  // One of the same description makes room.
  const old = members.findIndex((member) => description(k, member) === description(k, key));
  if (old >= 0) putKey(k, members.splice(old, 1)[0]);
  members.push(key);
  k.write('key.usage.refs.counter', key, k.read('key.usage.refs.counter', key) + 1);
}

const description = (k: Linux, key: Address): string => k.readString('key.index_key.description', key);

// -- asymmetric keys: payload.data is the public key, its subtype, the identifiers, the signature -------------------------

const IDENTIFIERS = 2;
const payload = (k: Linux, key: Address, index: number): Address =>
  key + k.offset('key.payload') + index * k.word;

/** struct asymmetric_key_id: the length, then the bytes of both parts. */
function identifier(k: Linux, first: Uint8Array, second: Uint8Array): Address {
  const at = k.heap.allocate(2 + first.length + second.length);
  k.memory.set16(at, first.length + second.length);
  k.memory.write(at + 2, first);
  k.memory.write(at + 2 + first.length, second);
  return at;
}

const NOTHING = new Uint8Array(0);

/** What x509_key_preparse says of a certificate: issuer with serial number, key identifier, subject. */
function giveIdentifiers(k: Linux, key: Address, { serial, issuer, keyId, subject }: Certificate): void {
  const body = (name: Uint8Array): Uint8Array => name.subarray(name[1] < 0x80 ? 2 : 2 + (name[1] & 0x7f));
  const ids = k.heap.allocateZeroed(k.sizeof('asymmetric_key_ids'));
  const slots = [
    identifier(k, serial, body(issuer)),
    keyId === undefined ? 0 : identifier(k, keyId, NOTHING),
    identifier(k, body(subject), NOTHING),
  ];
  for (const [n, id] of slots.entries()) k.memory.setPtr(ids + n * k.word, id);
  k.memory.setPtr(payload(k, key, IDENTIFIERS), ids);
}

function freePayload(k: Linux, key: Address): void {
  const ids = k.memory.ptr(payload(k, key, IDENTIFIERS));
  if (ids === 0) return;
  for (let n = 0; n < k.sizeof('asymmetric_key_ids') / k.word; n++)
    k.heap.free(k.memory.ptr(ids + n * k.word));
  k.heap.free(ids);
}

/** The description that a certificate gives itself: its name, and the key identifier or the serial number in hex. */
function selfDescription({ name, keyId, serial }: Certificate): string {
  const hex = [...(keyId ?? serial)].map((byte) => byte.toString(16).padStart(2, '0')).join('');
  return `${name}: ${hex}`;
}

function readOrRefuse(der: Uint8Array): Certificate | number {
  try {
    return readCertificate(der);
  } catch (error) {
    if (error instanceof FormatError) return -Errno.EBADMSG;
    throw error;
  }
}

/** key_create_or_update for a certificate: the key with the possession bit of the keyring's reference, or an errno. */
function addCertificate(
  k: Linux,
  reference: Address,
  name: Address,
  der: Uint8Array,
  perm: number,
  flags: number,
): Address {
  const certificate = readOrRefuse(der);
  if (typeof certificate === 'number') return certificate;
  const permission = perm === PERM_UNDEFINED ? DEFAULT_PERM : perm;
  const own = name === 0 ? selfDescription(certificate) : k.memory.cstring(name);
  const keyring = keyOf(reference);
  const key = makeKey(k, 'key_type_asymmetric', own, { uid: 0, gid: 0, perm: permission, flags });
  if (key === 0) return -Errno.ENOMEM;
  giveIdentifiers(k, key, certificate);
  link(k, keyring, key);
  return key + (reference % 2 === 0 ? 0 : 1);
}

/** DER values one after another, as x509_load_certificate_list takes them. */
function* derValues(list: Uint8Array): Generator<Uint8Array | undefined> {
  for (let at = 0; at < list.length; ) {
    const length = ((list[at + 2] ?? 0) << 8) | (list[at + 3] ?? 0);
    const end = at + 4 + length;
    if (list.length - at < 4 || list[at] !== 0x30 || list[at + 1] !== 0x82 || end > list.length) {
      yield undefined;
      return;
    }
    yield list.subarray(at, end);
    at = end;
  }
}

/** View and search by everybody, what the compiled-in certificates get. */
const VIEW_READ = 0x1f03_0000;

function loadList(k: Linux, at: Address, size: number, keyring: Address): number {
  for (const der of derValues(k.memory.bytes(at, size))) {
    if (der === undefined) {
      k.printk(3, 'Problem parsing in-kernel X.509 certificate list');
      break;
    }
    const key = addCertificate(k, keyring + 1, 0, der, VIEW_READ, ALLOC.NOT_IN_QUOTA | ALLOC.BUILT_IN);
    if (isError(key)) k.printk(3, `Problem loading in-kernel X.509 certificate (${key})`);
    else k.printk(5, `Loaded X.509 cert '${description(k, keyOf(key))}'`);
  }
  return 0;
}

export const keyFunctions = kernelFunctions({
  'struct key *keyring_alloc(const char *description, kuid_t uid, kgid_t gid, const struct cred *cred, key_perm_t perm, unsigned long flags, struct key_restriction *restrict_link, struct key *dest)':
    (k, name, uid, gid, _cred, perm, flags, restriction, destination) => {
      const key = makeKey(k, 'key_type_keyring', k.memory.cstring(name), { uid, gid, perm, flags });
      if (key === 0) return -Errno.ENOMEM;
      k.write('key.restrict_link', key, restriction);
      k.state(keyrings).members.set(key, []);
      if (destination !== 0) link(k, destination, key);
      return key;
    },
  'int keyring_clear(struct key *keyring)': (k, keyring) => {
    if (!k.state(keyrings).members.has(keyring)) return -Errno.ENOTDIR;
    clear(k, keyring);
    return 0;
  },
  'void key_put(struct key *key)': putKey,
  'void key_revoke(struct key *key)': (k, key) => {
    k.write('key.flags', key, k.read('key.flags', key) | (1 << FLAG.REVOKED));
  },
  'int x509_load_certificate_list(const u8 cert_list[], const unsigned long list_size, const struct key *keyring)':
    loadList,
  'key_ref_t key_create_or_update(key_ref_t keyring_ref, const char *type, const char *description, const void *payload, size_t plen, key_perm_t perm, unsigned long flags)':
    (k, reference, type, name, data, length, perm, flags) => {
      const kind = k.memory.cstring(type);
      if (kind !== 'asymmetric') return notWritten(kind);
      return addCertificate(k, reference, name, k.memory.bytes(data, length), perm, flags);
    },
});

/** Types of keys whose module would have to be asked. */
function notWritten(kind: string): never {
  throw new MissingFunctionReached('key_create_or_update', 'key_create_or_update', `keys of type ${kind}`);
}

/** struct key_type of the kinds that the kernel has built in; their methods are never called from outside. */
const TYPES = { key_type_keyring: 'keyring', key_type_asymmetric: 'asymmetric' };

export const keyData: readonly DataInitialiser[] = Object.entries(TYPES).map(([symbol, name]) => ({
  symbol,
  when: 'boot',
  fill: (k: Linux, at: Address) => {
    const text = k.heap.allocate(name.length + 1);
    writeText(k, text, name);
    pokePointer(k, at, text);
  },
}));
