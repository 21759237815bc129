/** OSSerialize and OSUnserializeXML (libkern/c++/OSSerialize.cpp, OSUnserializeXML.cpp): objects as XML text and back. */
import type { Steps } from '../../../../kernel/steps.ts';
import { guestText } from '../../../../kernel/text/printf.ts';
import type { Address } from '../../../../memory/space.ts';
import type { Macos } from '../../macos.ts';
import type { PlistValue } from '../../plist.ts';
import { classNameOf, invoke, metaClassOf, newObject } from '../../runtime/classes.ts';
import { arrayAdd, arrayCount, arrayItems, dictionaryItems } from '../../runtime/collections.ts';
import { dataOf, fromPlist, kindOf, newString, numberOf, release, textOf } from '../../runtime/objects.ts';
import { kernelFunctions } from '../define.ts';
import { membersOf } from './collections.ts';
import { freeObject } from './object.ts';

const MAX_XML = 16 * 1024 * 1024;

// -- objects to text ------------------------------------------------------------------------------------------------------

const escapeXml = (text: string): string =>
  text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');

/** Room for `bytes` more and the end of the text. */
function room(k: Macos, at: Address, bytes: number): void {
  const length = k.read('OSSerialize.length', at);
  if (length + bytes < k.read('OSSerialize.capacity', at)) return;
  const capacity = Math.max(256, (length + bytes) * 2);
  const next = k.heap.allocate(capacity, 'OSSerialize');
  const old = k.read('OSSerialize.data', at);
  if (old !== 0) k.memory.copy(next, old, length);
  k.heap.free(old);
  k.write('OSSerialize.data', at, next);
  k.write('OSSerialize.capacity', at, capacity);
}

/** The length counts the end of the text, as the kernel's does. */
function append(k: Macos, at: Address, text: string): boolean {
  const bytes = new TextEncoder().encode(text);
  room(k, at, bytes.length);
  const end = k.read('OSSerialize.data', at) + k.read('OSSerialize.length', at) - 1;
  if (bytes.length > 0) k.memory.write(end, bytes);
  k.memory.set8(end + bytes.length, 0);
  k.write('OSSerialize.length', at, k.read('OSSerialize.length', at) + bytes.length);
  return true;
}

function begin(k: Macos, at: Address, capacity: number): boolean {
  k.write('OSSerialize.length', at, 1);
  k.write('OSSerialize.capacity', at, 0);
  room(k, at, Math.max(1, Math.min(capacity, MAX_XML)));
  k.memory.set8(k.read('OSSerialize.data', at), 0);
  k.write('OSSerialize.tags', at, newObject(k, 'OSArray'));
  return true;
}

function base64(bytes: Uint8Array): string {
  return btoa(String.fromCharCode(...bytes));
}

function* item(k: Macos, value: Address, to: Address): Steps<boolean> {
  return ((yield* invoke(k, value, 'OSObject', '_ZNK8OSObject9serializeEP11OSSerialize', to)) & 0xff) !== 0;
}

/** An object that was written before is only referred to. */
function again(k: Macos, value: Address, to: Address): boolean {
  const known = arrayItems(k, k.read('OSSerialize.tags', to)).indexOf(value);
  if (known < 0) return false;
  return append(k, to, `<reference IDREF="${known}"/>`);
}

/** `<string ID="3">`: each object has a number, in the order in which they are written. */
function start(k: Macos, value: Address, tag: string, to: Address): boolean {
  const tags = k.read('OSSerialize.tags', to);
  append(k, to, `<${tag} ID="${arrayCount(k, tags)}">`);
  return arrayAdd(k, tags, value);
}

function text(k: Macos, value: Address, tag: string, content: string, to: Address): boolean {
  start(k, value, tag, to);
  return append(k, to, `${content}</${tag.split(' ')[0]}>`);
}

/** What an object writes of itself. */
function* write(k: Macos, value: Address, to: Address): Steps<boolean> {
  const kind = kindOf(k, value);
  if (kind === 'OSBoolean')
    return append(k, to, k.memory.u8(value + k.offset('OSBoolean.value')) !== 0 ? '<true/>' : '<false/>');
  if (again(k, value, to)) return true;
  switch (kind) {
    case 'OSString':
    case 'OSSymbol':
      return text(k, value, 'string', escapeXml(textOf(k, value)), to);
    case 'OSNumber': {
      const tag = `integer size="${k.read('OSNumber.size', value)}"`;
      return text(k, value, tag, `0x${numberOf(k, value).toString(16)}`, to);
    }
    case 'OSData':
      return text(k, value, 'data', base64(dataOf(k, value)), to);
    case 'OSArray':
    case 'OSOrderedSet':
      return yield* list(k, value, 'array', membersOf(k, value), to);
    case 'OSSet':
      return yield* list(k, value, 'set', membersOf(k, value), to);
    case 'OSDictionary': {
      start(k, value, 'dict', to);
      for (const { key, value: one } of dictionaryItems(k, value)) {
        append(k, to, `<key>${escapeXml(textOf(k, key))}</key>`);
        if (!(yield* item(k, one, to))) return false;
      }
      return append(k, to, '</dict>');
    }
    default: {
      const name = classNameOf(k, yield* metaClassOf(k, value));
      return text(k, value, 'string', `${name} is not serializable`, to);
    }
  }
}

function* list(
  k: Macos,
  value: Address,
  tag: string,
  items: readonly Address[],
  to: Address,
): Steps<boolean> {
  start(k, value, tag, to);
  for (const one of items) if (!(yield* item(k, one, to))) return false;
  return append(k, to, `</${tag}>`);
}

// -- text to objects ------------------------------------------------------------------------------------------------------

class SyntaxFailure extends Error {
  override readonly name = 'SyntaxFailure';
}

const UNESCAPED: Readonly<Record<string, string>> = { amp: '&', lt: '<', gt: '>', quot: '"', apos: "'" };
const MAX_DEPTH = 100;

/** The kernel's own parser of property lists: no header is needed, attributes ID and IDREF name an object and repeat it. */
export class PlistReader {
  private at = 0;
  private readonly text: string;
  private readonly named = new Map<string, PlistValue>();

  constructor(text: string) {
    this.text = text;
  }

  /** @throws SyntaxFailure */
  read(): PlistValue {
    this.skip();
    if (/^<plist[\s>]/.test(this.text.slice(this.at, this.at + 7)))
      this.at = this.text.indexOf('>', this.at) + 1;
    return this.value(0);
  }

  private skip(): void {
    const space = /(?:\s+|<!--[\s\S]*?-->|<\?[\s\S]*?\?>|<![^>]*>)*/y;
    space.lastIndex = this.at;
    this.at += space.exec(this.text)?.[0].length ?? 0;
  }

  private fail(what: string): never {
    const line = this.text.slice(0, this.at).split('\n').length;
    throw new SyntaxFailure(`${what} near line ${line}`);
  }

  private tag(): { name: string; attributes: ReadonlyMap<string, string>; empty: boolean; end: boolean } {
    this.skip();
    const form = /<(\/?)([A-Za-z]+)((?:\s+[A-Za-z]+\s*=\s*(?:"[^"]*"|'[^']*'))*)\s*(\/?)>/y;
    form.lastIndex = this.at;
    const match = form.exec(this.text);
    if (match === null) this.fail('syntax error');
    this.at += match[0].length;
    const attributes = new Map(
      [...match[3].matchAll(/([A-Za-z]+)\s*=\s*["']([^"']*)["']/g)].map((one): [string, string] => [
        one[1],
        one[2],
      ]),
    );
    return { name: match[2], attributes, empty: match[4] === '/', end: match[1] === '/' };
  }

  private content(name: string): string {
    const end = this.text.indexOf('<', this.at);
    if (end < 0) this.fail('syntax error');
    const raw = this.text.slice(this.at, end);
    this.at = end;
    const close = this.tag();
    if (!close.end || close.name !== name) this.fail('syntax error');
    return raw.replace(/&(\w+);/g, (all, entity: string) => UNESCAPED[entity] ?? all);
  }

  private value(depth: number): PlistValue {
    if (depth > MAX_DEPTH) this.fail('maximum nesting depth reached');
    const tag = this.tag();
    if (tag.end) this.fail('syntax error');
    const reference = tag.attributes.get('IDREF');
    if (reference !== undefined) {
      const known = this.named.get(reference);
      if (known === undefined) this.fail('forward reference detected');
      if (!tag.empty) this.content(tag.name);
      return known;
    }
    const made = this.make(tag.name, tag.empty, tag.attributes, depth);
    const id = tag.attributes.get('ID');
    if (id !== undefined) this.named.set(id, made);
    return made;
  }

  private make(
    name: string,
    empty: boolean,
    attributes: ReadonlyMap<string, string>,
    depth: number,
  ): PlistValue {
    switch (name) {
      case 'true':
      case 'false':
        if (!empty) this.content(name);
        return name === 'true';
      case 'string':
        return empty ? '' : this.content(name);
      case 'integer': {
        const text = empty ? '0' : this.content(name).trim();
        if (!/^-?(0x[\da-f]+|\d+)$/i.test(text)) this.fail('syntax error');
        return text.startsWith('-') ? -BigInt(text.slice(1)) : BigInt(text);
      }
      case 'data': {
        const text = empty ? '' : this.content(name).replace(/\s/g, '');
        if (attributes.get('format') === 'hex')
          return Uint8Array.from(text.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16));
        if (!/^[\w+/]*={0,2}$/.test(text)) this.fail('syntax error');
        return Uint8Array.from(atob(text.replace(/=+$/, '')), (one) => one.charCodeAt(0));
      }
      case 'array':
      case 'set':
        return empty ? [] : this.many(name, depth);
      case 'dict':
        return empty ? {} : this.dictionary(depth);
      default:
        return this.fail('syntax error');
    }
  }

  private ends(name: string): boolean {
    this.skip();
    if (!this.text.startsWith(`</${name}`, this.at)) return false;
    this.tag();
    return true;
  }

  private many(name: string, depth: number): PlistValue[] {
    const items: PlistValue[] = [];
    while (!this.ends(name)) items.push(this.value(depth + 1));
    return items;
  }

  private dictionary(depth: number): PlistValue {
    const items: [string, PlistValue][] = [];
    while (!this.ends('dict')) {
      const key = this.tag();
      if (key.end || key.name !== 'key') this.fail('syntax error');
      const name = key.empty ? '' : this.content('key');
      items.push([name, this.value(depth + 1)]);
    }
    return Object.fromEntries(items);
  }
}

function unserialize(k: Macos, text: string, error: Address): Address {
  if (error !== 0) k.memory.setPtr(error, 0);
  try {
    return fromPlist(k, new PlistReader(text).read());
  } catch (failure) {
    if (!(failure instanceof SyntaxFailure)) throw failure;
    if (error !== 0) k.memory.setPtr(error, newString(k, `OSUnserializeXML: ${failure.message}\n`));
    return 0;
  }
}

export const serializers = kernelFunctions({
  'void *_ZN11OSSerialize12withCapacityEj(unsigned int capacity)': (k, capacity) => {
    const at = newObject(k, 'OSSerialize');
    begin(k, at, capacity);
    return at;
  },
  'bool _ZN11OSSerialize16initWithCapacityEj(void *at, unsigned int capacity)': begin,
  'void _ZN11OSSerialize4freeEv(void *at)': function* (k, at) {
    k.heap.free(k.read('OSSerialize.data', at));
    yield* release(k, k.read('OSSerialize.tags', at));
    yield* freeObject(k, at);
  },
  'char *_ZNK11OSSerialize4textEv(const void *at)': (k, at) => k.read('OSSerialize.data', at),
  'void _ZN11OSSerialize9clearTextEv(void *at)': (k, at) => {
    k.memory.set8(k.read('OSSerialize.data', at), 0);
    k.write('OSSerialize.length', at, 1);
  },
  'bool _ZN11OSSerialize20previouslySerializedEPK15OSMetaClassBase(void *at, const void *value)': (
    k,
    at,
    value,
  ) => again(k, value, at),
  'bool _ZN11OSSerialize14addXMLStartTagEPK15OSMetaClassBasePKc(void *at, const void *value, const char *tag)':
    (k, at, value, tag) => start(k, value, guestText(k, tag, 256), at),
  'bool _ZN11OSSerialize12addXMLEndTagEPKc(void *at, const char *tag)': (k, at, tag) =>
    append(k, at, `</${guestText(k, tag, 256)}>`),
  'bool _ZN11OSSerialize7addCharEc(void *at, char c)': (k, at, c) =>
    append(k, at, String.fromCharCode(c & 0xff)),
  'bool _ZN11OSSerialize9addStringEPKc(void *at, const char *text)': (k, at, text) =>
    append(k, at, guestText(k, text, MAX_XML)),
  'unsigned int _ZNK11OSSerialize9getLengthEv(const void *at)': (k, at) => k.read('OSSerialize.length', at),
  'unsigned int _ZNK11OSSerialize11getCapacityEv(const void *at)': (k, at) =>
    k.read('OSSerialize.capacity', at),
  'unsigned int _ZN11OSSerialize14ensureCapacityEj(void *at, unsigned int capacity)': (k, at, capacity) => {
    if (capacity <= MAX_XML) room(k, at, Math.max(0, capacity - k.read('OSSerialize.length', at)));
    return k.read('OSSerialize.capacity', at);
  },
  'bool _ZNK8OSObject9serializeEP11OSSerialize(const void *at, void *to)': write,
  'bool _ZNK6OSData9serializeEP11OSSerialize(const void *at, void *to)': write,
  'bool _ZNK7OSArray9serializeEP11OSSerialize(const void *at, void *to)': write,
  'bool _ZNK8OSString9serializeEP11OSSerialize(const void *at, void *to)': write,
  'bool _ZNK8OSNumber9serializeEP11OSSerialize(const void *at, void *to)': write,
  'bool _ZNK9OSBoolean9serializeEP11OSSerialize(const void *at, void *to)': write,
  'bool _ZNK12OSDictionary9serializeEP11OSSerialize(const void *at, void *to)': write,
  'bool _ZNK5OSSet9serializeEP11OSSerialize(const void *at, void *to)': write,
  'bool _ZNK25IOGeneralMemoryDescriptor9serializeEP11OSSerialize(const void *at, void *to)': write,
  'bool _ZNK11OSMetaClass9serializeEP11OSSerialize(const void *at, void *to)': (k, at, to) =>
    append(k, to, `<string>${classNameOf(k, at)}</string>`),
  'bool _ZNK9IOService19serializePropertiesEP11OSSerialize(const void *at, void *to)': (k, at, to) =>
    item(k, k.read('IORegistryEntry.fPropertyTable', at), to),
  'bool _ZNK15IORegistryEntry19serializePropertiesEP11OSSerialize(const void *at, void *to)': (k, at, to) =>
    item(k, k.read('IORegistryEntry.fPropertyTable', at), to),
  'void *_Z16OSUnserializeXMLPKcPP8OSString(const char *text, void **error)': (k, text, error) =>
    unserialize(k, guestText(k, text, MAX_XML), error),
  'void *_Z16OSUnserializeXMLPKcmPP8OSString(const char *text, size_t bytes, void **error)': (
    k,
    text,
    bytes,
    error,
  ) => unserialize(k, guestText(k, text, Math.min(bytes, MAX_XML)), error),
});
