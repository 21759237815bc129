/**
 * Vtables of a kext's classes are brought up to those of the classes they inherit from (libkern/kxld/kxld_vtable.c): a slot
 * that the kext does not fill itself gets the parent's function, so that a kext built for an older kernel finds those that
 * have been added since.
 */

import type { MachoSymbol, MachoSymbols } from '../../../formats/macho/symbols.ts';
import type { Address } from '../../../memory/address.ts';
import { LinkFailure, type LinkImage } from './image.ts';

export interface VtableSlot {
  /** The mangled name with its leading underscore; undefined for a function without a symbol. */
  readonly name: string | undefined;
  readonly address: Address;
}
export type Vtable = readonly VtableSlot[];

/** How the classes of dependencies are known. */
export interface ParentClasses {
  /** The slots of a class that a dependency defines, behind the two words of head; undefined: none does. */
  vtable(className: string): Vtable | undefined;
  /** May a parent be unknown (a stand-in takes the place of its library)? Then its children stay as they are. */
  mayBeUnknown(className: string): boolean;
}

const SUPER_CLASS = /^__ZN(\d+)(\w+?)10superClassE$/;
const META_CLASS = /^__ZN(\d+)(\w+?)10gMetaClassE$/;
const PADDING = /^__ZNK?\d+\w+?\d+_RESERVED/;
const PURE = '___cxa_pure_virtual';
const HEAD = 2;

/** What the link of one kext knows of its pointers. */
class Pointers {
  readonly external = new Map<number, string>();
  /** Names whose place in a vtable the parent's function has taken. */
  readonly patched = new Set<string>();
  private readonly own = new Map<Address, string>();
  readonly image: LinkImage;

  constructor(image: LinkImage, table: MachoSymbols) {
    this.image = image;
    for (const entry of image.relocations.external) {
      const symbol = table.all[entry.symbol];
      // What the kext defines itself is never patched.
      if (symbol !== undefined && symbol.kind !== 'section') this.external.set(entry.address, symbol.name);
    }
    for (const symbol of table.all)
      if (symbol.kind === 'section' && symbol.name.startsWith('__Z'))
        this.own.set(symbol.value + image.slide, symbol.name);
  }

  /** Final value of the pointer at a linked address. */
  value(at: number): Address {
    const { image } = this;
    return image.word === 8
      ? Number(image.view.getBigInt64(image.offsetOf(at, 8), true))
      : image.view.getUint32(image.offsetOf(at, 4), true);
  }

  set(at: number, value: Address): void {
    const { image } = this;
    if (image.word === 8) image.view.setBigInt64(image.offsetOf(at, 8), BigInt(value), true);
    else image.view.setUint32(image.offsetOf(at, 4), value, true);
  }

  /** The symbol that a pointer was made of. */
  name(at: number): string | undefined {
    return this.external.get(at) ?? this.own.get(this.value(at));
  }
}

const named = (match: RegExpExecArray | null): string | undefined =>
  match !== null && match[2].length === Number(match[1]) ? match[2] : undefined;

/** Does the file define classes of libkern's runtime? */
export const hasClasses = (table: MachoSymbols): boolean =>
  table.all.some(({ kind, name }) => kind === 'section' && SUPER_CLASS.test(name));

export interface Patched {
  /** Of its classes, for kexts that inherit from them. */
  readonly vtables: ReadonlyMap<string, Vtable>;
  readonly patched: ReadonlySet<string>;
}

/** Patches every vtable of a relocated image. */
export function patchVtables(image: LinkImage, table: MachoSymbols, parents: ParentClasses): Patched {
  const pointers = new Pointers(image, table);
  const supers = new Map<string, string>();
  const tables = new Map<string, MachoSymbol>();
  for (const symbol of table.all) {
    if (symbol.kind !== 'section') continue;
    const name = named(SUPER_CLASS.exec(symbol.name));
    if (name !== undefined) {
      const parent = named(META_CLASS.exec(pointers.name(symbol.value) ?? ''));
      if (parent !== undefined) supers.set(name, parent);
    }
    if (symbol.name.startsWith('__ZTV')) tables.set(symbol.name, symbol);
  }
  const done = new Map<string, Vtable>();
  for (const name of supers.keys()) patchClass(name, { pointers, supers, tables, done, parents }, 0);
  return { vtables: done, patched: pointers.patched };
}

interface Work {
  readonly pointers: Pointers;
  readonly supers: ReadonlyMap<string, string>;
  readonly tables: ReadonlyMap<string, MachoSymbol>;
  readonly done: Map<string, Vtable>;
  readonly parents: ParentClasses;
}

const MAX_DEPTH = 64;

/** A class after its parent, when that is of the same kext. */
function patchClass(name: string, work: Work, depth: number): Vtable | undefined {
  const known = work.done.get(name);
  if (known !== undefined || depth > MAX_DEPTH) return known;
  const parent = work.supers.get(name);
  if (parent === undefined) return work.parents.vtable(name);
  const above = patchClass(parent, work, depth + 1);
  const symbol = `__ZTV${name.length}${name}`;
  const own = work.tables.get(symbol);
  if (own === undefined) {
    throw new LinkFailure(
      `Cannot find the vtable '${symbol}' for class '${name}'. This vtable symbol is required for binary compatibility, and it may have been stripped.`,
    );
  }
  if (above === undefined) {
    if (work.parents.mayBeUnknown(parent)) return undefined;
    throw new LinkFailure(
      `Cannot find the super vtable '__ZTV${parent.length}${parent}' for class '${name}'.`,
      `the kext needs a library that defines ${parent}`,
    );
  }
  const slots = patchTable(symbol, own.value, parent, above, work.pointers);
  work.done.set(name, slots);
  patchMeta(name, work);
  return slots;
}

/** A metaclass's vtable: that of OSMetaClass with its own alloc. */
function patchMeta(name: string, { tables, parents, pointers }: Work): void {
  const symbol = `__ZTVN${name.length}${name}9MetaClassE`;
  const own = tables.get(symbol);
  const above = parents.vtable('OSMetaClass');
  if (own !== undefined && above !== undefined) patchTable(symbol, own.value, 'OSMetaClass', above, pointers);
}

function patchTable(symbol: string, at: number, parent: string, above: Vtable, pointers: Pointers): Vtable {
  const { word } = pointers.image;
  const first = at + HEAD * word;
  const slots: VtableSlot[] = [];
  for (const [i, theirs] of above.entries()) {
    const place = first + i * word;
    const name = pointers.external.get(place);
    const ours = pointers.name(place);
    if (name === undefined || name === PURE || name === theirs.name) {
      slots.push({ name: ours, address: pointers.value(place) });
      continue;
    }
    if (theirs.name !== undefined && PADDING.test(theirs.name) && !PADDING.test(name)) {
      throw new LinkFailure(
        `The super class vtable '__ZTV${parent.length}${parent}' for vtable '${symbol}' is out of date. Make sure your kext has been built against the correct headers.`,
        `${name} is at slot ${i}, where this release keeps room`,
      );
    }
    pointers.set(place, theirs.address);
    pointers.patched.add(name);
    slots.push(theirs);
  }
  return [...slots, ...further(first + above.length * word, pointers)];
}

/** Most functions that a class adds. */
const MAX_SLOTS = 4096;

/** What the class adds to its parent: pointers to functions up to the word that is none. */
function further(from: number, pointers: Pointers): VtableSlot[] {
  const { image } = pointers;
  const slots: VtableSlot[] = [];
  for (let i = 0; i < MAX_SLOTS; i++) {
    const at = from + i * image.word;
    if (!image.holds(at, image.word)) break;
    const name = pointers.name(at);
    const address = pointers.value(at);
    if (address === 0 && name === undefined) break;
    slots.push({ name, address });
  }
  return slots;
}
