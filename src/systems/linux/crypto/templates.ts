/** Templates, which make algorithms out of others on request: `ecb` out of a cipher (crypto/algapi.c, crypto/algboss.c). */
import { perKernel } from '../../../kernel/kernel.ts';
import type { Steps } from '../../../kernel/steps.ts';
import type { Address } from '../../../memory/space.ts';
import { Errno } from '../errno.ts';
import { moduleRequest } from '../functions/request-module.ts';
import type { Linux } from '../linux.ts';
import { modulePut, tryModuleGet } from '../refcount.ts';
import { registered } from '../registered.ts';
import { Flag } from './flags.ts';

const TEMPLATE = 'crypto template';

/** CRYPTO_MAX_ALG_NAME and CRYPTO_MAX_ATTRS. */
const NAME_BYTES = 128;
const MAX_ARGUMENTS = 32;

/** CRYPTOA_ALG and CRYPTOA_TYPE (include/linux/crypto.h), and the head of an attribute. */
const ATTRIBUTE = { algorithm: 1, type: 2, head: 4 } as const;

/** How often a template may say that it wants to be asked again. */
const TRIES = 16;

/** The kernel's own are no module's: nobody is asked to take them back. */
const builtIn = perKernel<Map<Address, string>, Linux>(() => new Map());

const tableOf = (k: Linux, at: Address): Map<Address, string> =>
  k.read('crypto_template.module', at) === 0 ? k.state(builtIn) : registered(k, TEMPLATE);

const templates = (k: Linux): [Address, string][] => [...k.state(builtIn), ...registered(k, TEMPLATE)];

/** crypto_register_template */
export function addTemplate(k: Linux, at: Address): number {
  const table = tableOf(k, at);
  if (table.has(at)) return -Errno.EEXIST;
  table.set(at, k.readString('crypto_template.name', at));
  return 0;
}

/** False when it was not there. */
export const removeTemplate = (k: Linux, at: Address): boolean => tableOf(k, at).delete(at);

/** The newest template of that name whose module stays; the module is held. */
function heldTemplate(k: Linux, name: string): Address | undefined {
  return templates(k)
    .reverse()
    .find(([at, known]) => known === name && tryModuleGet(k, k.read('crypto_template.module', at)))?.[0];
}

/** crypto_lookup_template: a template that is not there may be a module's. */
export function* lookupTemplate(k: Linux, name: string): Steps<Address | undefined> {
  const known = heldTemplate(k, name);
  if (known !== undefined) return known;
  yield* k.state(moduleRequest).load(k, `crypto-${name}`, true);
  return heldTemplate(k, name);
}

/** `name(a,b(c))` as template and arguments; undefined for what is no such thing. */
export function parseInstanceName(text: string): { template: string; args: string[] } | undefined {
  const outer = /^([\w-]+)\((.*)$/s.exec(text);
  if (outer === null) return undefined;
  const args: string[] = [];
  for (let rest = outer[2]; ; ) {
    const end = argumentEnd(rest);
    if (end === 0 || args.length >= MAX_ARGUMENTS - 1) return undefined;
    args.push(rest.slice(0, end));
    if (rest[end] === ')') return { template: outer[1], args };
    if (rest[end] !== ',') return undefined;
    rest = rest.slice(end + 1);
  }
}

/** Where a name ends, with the brackets behind it; 0 when there is none or its brackets are not closed. */
function argumentEnd(text: string): number {
  const at = /^[\w-]*/.exec(text)?.[0].length ?? 0;
  if (text[at] !== '(') return at;
  let depth = 0;
  for (let i = at; i < text.length; i++) {
    if (text[i] === '(') depth++;
    else if (text[i] === ')' && --depth === 0) return i + 1;
  }
  return 0;
}

/** The arguments as the guest has them: an array of pointers to attributes, the first of which is type and mask. */
function writeArguments(k: Linux, args: readonly string[], type: number, mask: number): Address {
  const pointers = (args.length + 2) * k.word;
  const typeBytes = ATTRIBUTE.head + 8;
  const each = ATTRIBUTE.head + NAME_BYTES;
  const table = k.heap.allocateZeroed(pointers + typeBytes + args.length * each);
  const attribute = (index: number, at: Address, length: number, kind: number) => {
    k.memory.setPtr(table + index * k.word, at);
    k.memory.set32(at, length | (kind << 16));
  };
  const first = table + pointers;
  attribute(0, first, typeBytes, ATTRIBUTE.type);
  k.memory.set32(first + 4, type & ~Flag.TESTED);
  k.memory.set32(first + 8, mask & ~Flag.TESTED);
  for (const [i, name] of args.entries()) {
    const at = first + typeBytes + i * each;
    attribute(i + 1, at, each, ATTRIBUTE.algorithm);
    k.memory.write(at + ATTRIBUTE.head, new TextEncoder().encode(name));
  }
  return table;
}

/** cryptomgr_probe: asks the template in a name to make its algorithm; false when there is none to ask. */
export function* instantiate(k: Linux, name: string, type: number, mask: number): Steps<boolean> {
  const parsed = name.length < NAME_BYTES ? parseInstanceName(name) : undefined;
  if (parsed === undefined) return false;
  const template = yield* lookupTemplate(k, parsed.template);
  if (template === undefined) return false;
  const table = writeArguments(k, parsed.args, type, mask);
  for (let tries = 0; tries < TRIES; tries++) {
    const error = yield* k.callInt(k.read('crypto_template.create', template), template, table);
    if (error !== -Errno.EAGAIN) break;
  }
  k.heap.free(table);
  modulePut(k, k.read('crypto_template.module', template));
  return true;
}

/** crypto_get_attr_type: the attribute with type and mask, or an error pointer. */
export function attributeType(k: Linux, table: Address): Address {
  const at = k.memory.ptr(table);
  if (at === 0) return -Errno.ENOENT;
  const head = k.memory.u32(at);
  const fits = (head & 0xffff) >= ATTRIBUTE.head + 8 && head >>> 16 === ATTRIBUTE.type;
  return fits ? at + ATTRIBUTE.head : -Errno.EINVAL;
}

/** crypto_attr_alg_name: the name in an attribute, or an error pointer. */
export function attributeName(k: Linux, at: Address): Address {
  if (at === 0) return -Errno.ENOENT;
  const head = k.memory.u32(at);
  if ((head & 0xffff) < ATTRIBUTE.head + NAME_BYTES || head >>> 16 !== ATTRIBUTE.algorithm)
    return -Errno.EINVAL;
  k.memory.set8(at + ATTRIBUTE.head + NAME_BYTES - 1, 0);
  return at + ATTRIBUTE.head;
}
