/**
 * A linker from i386 ELF object files to NLM parts. It does what the linkers of the time did with `ld -r` output: code
 * sections become the code image, everything else that is loaded the data image, zeroed sections and commons follow it;
 * what can be computed at link time is, and the rest becomes fixups and external references.
 */
import { roundUp } from '../../bytes/align.ts';
import type { ObjectFile, ObjectRelocation, ObjectSection, ObjectSymbol } from '../object.ts';
import type { NlmDefinition } from './definition.ts';
import type {
  NlmDebugRecord,
  NlmFixup,
  NlmImage,
  NlmImport,
  NlmMessages,
  NlmParts,
  NlmPublic,
  NlmReference,
} from './file.ts';
import { MAX_NAME } from './layout.ts';

export class NlmLinkError extends Error {
  constructor(what: string, problem: string) {
    super(`${what}: ${problem}`);
    this.name = 'NlmLinkError';
  }
}

export interface NlmInput {
  readonly name: string;
  readonly object: ObjectFile;
}

/** What the definition names but files hold. */
export interface NlmExtras {
  readonly messages?: NlmMessages;
  readonly help?: Uint8Array;
  readonly customData?: Uint8Array;
}

/** i386 relocation types (System V ABI, Intel386 supplement, figure 4-4) that a kernel module needs. */
const R_386 = { NONE: 0, 32: 1, PC32: 2, PLT32: 4 } as const;

/** Where something lies: in an image, or at a fixed address. */
interface Place {
  readonly image: NlmImage | 'absolute';
  readonly offset: number;
}

/** Links object files as the definition says. @throws NlmLinkError */
export function linkNlm(
  inputs: readonly NlmInput[],
  definition: NlmDefinition,
  extras: NlmExtras = {},
): NlmParts {
  return new NlmLinker(inputs, definition).link(extras);
}

/** Sections that describe the code to other tools; a server has no use for them, and they are large. */
function isLoaded({ allocated, name }: ObjectSection): boolean {
  return allocated && name !== '.eh_frame' && !name.startsWith('.note');
}

class NlmLinker {
  readonly #inputs: readonly NlmInput[];
  readonly #definition: NlmDefinition;
  readonly #places = new Map<ObjectFile, Map<number, Place>>();
  readonly #globals = new Map<string, { place: Place; weak: boolean; from: string }>();
  readonly #commons = new Map<string, { size: number; alignment: number }>();
  readonly #images = { code: new Uint8Array(0), data: new Uint8Array(0) };
  readonly #fixups: NlmFixup[] = [];
  readonly #references = new Map<string, NlmReference[]>();
  #zeroed = 0;

  constructor(inputs: readonly NlmInput[], definition: NlmDefinition) {
    this.#inputs = inputs;
    this.#definition = definition;
  }

  link(extras: NlmExtras): NlmParts {
    for (const { name, object } of this.#inputs) {
      if (object.machine !== 'i386' || object.kind !== 'relocatable')
        throw new NlmLinkError(name, `is ${object.machine} ${object.kind}, not an i386 object file`);
    }
    this.#placeSections();
    this.#defineSymbols();
    for (const input of this.#inputs) this.#relocate(input);
    const { start, exit, check, output, ...rest } = this.#definition;
    return {
      name: moduleName(output),
      type: rest.type,
      flags: rest.flags,
      description: rest.description,
      stackSize: rest.stackSize,
      screenName: rest.screenName,
      threadName: rest.threadName,
      version: rest.version,
      copyright: rest.copyright,
      messages: extras.messages,
      help: extras.help,
      customHeaders: [],
      customData: extras.customData ?? new Uint8Array(0),
      code: this.#images.code,
      data: this.#images.data,
      uninitializedSize: this.#zeroed,
      fixups: this.#fixups,
      imports: this.#imports(),
      publics: this.#publics(),
      dependencies: rest.modules,
      debug: rest.debug ? this.#debug() : [],
      start: this.#procedure('start', start),
      exit: this.#procedure('exit', exit),
      check: check === undefined ? 0 : this.#procedure('check', check),
    };
  }

  /** Code first, then data, then what is zeroed; each section at its own alignment in its image. */
  #placeSections(): void {
    const sizes = { code: 0, data: 0 };
    const stored: { section: ObjectSection; image: NlmImage; offset: number }[] = [];
    const place = (object: ObjectFile, section: ObjectSection, image: NlmImage) => {
      const offset = roundUp(sizes[image], section.alignment);
      sizes[image] = offset + section.size;
      this.#placesOf(object).set(section.index, { image, offset });
      if (!section.zeroFill) stored.push({ section, image, offset });
    };
    for (const { object } of this.#inputs) {
      for (const section of object.sections.filter(isLoaded)) {
        if (!section.zeroFill) place(object, section, section.executable ? 'code' : 'data');
      }
    }
    const filled = roundUp(sizes.data, 4);
    sizes.data = filled;
    for (const { object } of this.#inputs) {
      for (const section of object.sections.filter(isLoaded)) {
        if (section.zeroFill) place(object, section, 'data');
      }
    }
    this.#placeCommons(sizes);
    this.#images.code = new Uint8Array(sizes.code);
    this.#images.data = new Uint8Array(filled);
    this.#zeroed = sizes.data - filled;
    for (const { section, image, offset } of stored) this.#images[image].set(section.data, offset);
  }

  #placesOf(object: ObjectFile): Map<number, Place> {
    let places = this.#places.get(object);
    if (places === undefined) {
      places = new Map();
      this.#places.set(object, places);
    }
    return places;
  }

  /** A common block is as large as the largest that has its name, unless a file defines the name. */
  #placeCommons(sizes: { data: number }): void {
    const all = this.#inputs.flatMap(({ object }) => object.symbols);
    const defined = new Set(all.filter(isDefinedGlobal).map(({ name }) => name));
    for (const { name, place, size, value } of all) {
      if (place !== 'common' || defined.has(name)) continue;
      const known = this.#commons.get(name);
      this.#commons.set(name, {
        size: Math.max(size, known?.size ?? 0),
        alignment: Math.max(value, known?.alignment ?? 1),
      });
    }
    for (const [name, { size, alignment }] of this.#commons) {
      const offset = roundUp(sizes.data, alignment);
      sizes.data = offset + size;
      this.#globals.set(name, { place: { image: 'data', offset }, weak: false, from: 'a common block' });
    }
  }

  #defineSymbols(): void {
    for (const { name: from, object } of this.#inputs) {
      for (const symbol of object.symbols.filter(isDefinedGlobal)) {
        const place = this.#definedPlace(object, symbol);
        if (place === undefined) continue;
        const weak = symbol.binding === 'weak';
        const known = this.#globals.get(symbol.name);
        if (known !== undefined && !known.weak && !weak)
          throw new NlmLinkError(from, `defines ${symbol.name}, as ${known.from} does`);
        if (known === undefined || (known.weak && !weak))
          this.#globals.set(symbol.name, { place, weak, from });
      }
    }
  }

  #definedPlace(object: ObjectFile, symbol: ObjectSymbol): Place | undefined {
    if (symbol.place === 'absolute') return { image: 'absolute', offset: symbol.value };
    const section = this.#placesOf(object).get(symbol.section);
    return section && { image: section.image, offset: section.offset + symbol.value };
  }

  #relocate(input: NlmInput): void {
    for (const section of input.object.sections.filter(isLoaded)) {
      const at = this.#placesOf(input.object).get(section.index);
      if (at === undefined || at.image === 'absolute' || section.zeroFill) continue;
      for (const relocation of input.object.relocations(section.index))
        this.#apply(input, section, { image: at.image, offset: at.offset }, relocation);
    }
  }

  #apply(
    { name: from, object }: NlmInput,
    section: ObjectSection,
    base: { image: NlmImage; offset: number },
    relocation: ObjectRelocation,
  ): void {
    const { type, offset, addend } = relocation;
    if (type === R_386.NONE) return;
    const symbol = object.symbols[relocation.symbol];
    const what = `${from}: ${section.name}+0x${offset.toString(16)}`;
    const relative = type === R_386.PC32 || type === R_386.PLT32;
    if (!relative && type !== R_386[32]) {
      throw new NlmLinkError(what, `relocation type ${type} has no record in an NLM: compile with -fno-pic`);
    }
    if (!(offset >= 0 && offset + 4 <= section.size)) throw new NlmLinkError(what, 'is outside its section');
    const { buffer, byteOffset } = this.#images[base.image];
    const view = new DataView(buffer, byteOffset);
    const place = { image: base.image, offset: base.offset + offset };
    const inPlace = addend ?? view.getInt32(place.offset, true);
    const target = this.#target(object, symbol, what);
    if (target === undefined) {
      view.setInt32(place.offset, inPlace, true);
      this.#refer(symbol.name, { absolute: !relative, ...place });
    } else if (relative) {
      if (target.image !== place.image)
        throw new NlmLinkError(what, `distance to ${symbol.name}, which is in another image, has no record`);
      view.setInt32(place.offset, (target.offset + inPlace - place.offset) | 0, true);
    } else {
      view.setInt32(place.offset, (target.offset + inPlace) | 0, true);
      if (target.image !== 'absolute') this.#fixups.push({ target: target.image, ...place });
    }
  }

  /** Where the symbol is; undefined for an import. An undefined weak symbol is the address 0. */
  #target(object: ObjectFile, symbol: ObjectSymbol, what: string): Place | undefined {
    if (symbol.binding === 'local') {
      const place = this.#definedPlace(object, symbol);
      if (place === undefined) throw new NlmLinkError(what, `refers to ${symbol.name}, which is not loaded`);
      return place;
    }
    const known = this.#globals.get(symbol.name);
    if (known !== undefined) return known.place;
    return symbol.binding === 'weak' ? { image: 'absolute', offset: 0 } : undefined;
  }

  #refer(name: string, reference: NlmReference): void {
    const listed = this.#definition.imports.find((one) => unprefixed(one) === name);
    if (listed === undefined && this.#definition.imports.length > 0)
      throw new NlmLinkError(name, 'is undefined and not in the IMPORT list');
    const key = listed ?? name;
    const references = this.#references.get(key);
    if (references === undefined) this.#references.set(key, [reference]);
    else references.push(reference);
  }

  #imports(): NlmImport[] {
    return [...this.#references].map(([name, references]) => ({ name, references }));
  }

  #publics(): NlmPublic[] {
    return this.#definition.exports.map((name) => {
      const place = this.#globals.get(unprefixed(name))?.place;
      if (place === undefined || place.image === 'absolute')
        throw new NlmLinkError(name, 'is in the EXPORT list, but no object file defines it');
      return { name, image: place.image, offset: place.offset };
    });
  }

  #debug(): NlmDebugRecord[] {
    return [...this.#globals].map(([name, { place }]) => ({ name, type: place.image, offset: place.offset }));
  }

  #procedure(role: string, name: string): number {
    const place = this.#globals.get(name)?.place;
    if (place?.image !== 'code') throw new NlmLinkError(name, `the ${role} procedure is not in the code`);
    return place.offset;
  }
}

function isDefinedGlobal({ binding, place, name }: ObjectSymbol): boolean {
  return binding !== 'local' && name !== '' && (place === 'section' || place === 'absolute');
}

/** `PREFIX@name` names a library that provides `name`; behind `@` digits are the bytes of arguments instead. */
function unprefixed(name: string): string {
  const at = name.indexOf('@');
  return at < 0 || /^\d/.test(name.slice(at + 1)) ? name : name.slice(at + 1);
}

function moduleName(output: string): string {
  const name = (output.split(/[/\\:]/).at(-1) ?? '').toUpperCase();
  if (name === '' || name.length > MAX_NAME) throw new NlmLinkError(output, 'OUTPUT must be a name of 8.3');
  return name;
}
