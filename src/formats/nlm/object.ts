/** NlmFile -> the neutral ObjectFile that the linker, the catalogue and the systems work on. */
import type { ObjectFile, ObjectRelocation, ObjectSection, ObjectSymbol } from '../object.ts';
import type { NlmFile, NlmImage } from './file.ts';
import { NLM_RELOCATION } from './layout.ts';
import { readNlm } from './read.ts';

/** Section numbers of the neutral file; 0 is nobody, as in ELF. */
export const NLM_SECTION = { code: 1, data: 2 } as const;

/** @throws BadMagic, Truncated, Invalid, Unsupported */
export function readNlmObject(bytes: Uint8Array): ObjectFile {
  return nlmObject(readNlm(bytes));
}

/**
 * Section 1 is the code image, section 2 the data image with what is zeroed behind it. Symbols 1 and 2 are these two
 * (fixups refer to them), then come imports and publics.
 */
export function nlmObject(nlm: NlmFile): ObjectFile {
  const symbols = symbolsOf(nlm);
  const bySection = relocationsOf(nlm);
  return {
    format: 'nlm',
    machine: 'i386',
    bits: 32,
    littleEndian: true,
    kind: 'relocatable',
    sections: sectionsOf(nlm),
    symbols,
    relocations: (section) => bySection[section] ?? [],
    bytes: nlm.bytes,
  };
}

function sectionsOf(nlm: NlmFile): ObjectSection[] {
  const none = { writable: false, executable: false, zeroFill: false, address: 0, alignment: 1 };
  const empty = new Uint8Array(0);
  const { code, data, uninitializedSize } = nlm;
  return [
    { ...none, index: 0, name: '', allocated: false, size: 0, data: empty },
    {
      ...none,
      index: NLM_SECTION.code,
      name: 'code',
      allocated: true,
      executable: true,
      alignment: 16,
      size: code.length,
      data: code,
    },
    {
      ...none,
      index: NLM_SECTION.data,
      name: 'data',
      allocated: true,
      writable: true,
      alignment: 16,
      size: data.length + uninitializedSize,
      data,
    },
  ];
}

function symbolsOf(nlm: NlmFile): ObjectSymbol[] {
  const section = (image: NlmImage): ObjectSymbol => ({
    index: NLM_SECTION[image],
    name: image,
    binding: 'local',
    type: 'section',
    place: 'section',
    section: NLM_SECTION[image],
    value: 0,
    size: 0,
  });
  const nothing = { ...section('code'), index: 0, name: '', place: 'undefined', section: 0 } as const;
  const first = 3;
  const imports = nlm.imports.map(
    ({ name }, i): ObjectSymbol => ({
      index: first + i,
      name,
      binding: 'global',
      type: 'none',
      place: 'undefined',
      section: 0,
      value: 0,
      size: 0,
    }),
  );
  const publics = nlm.publics.map(
    ({ name, image, offset }, i): ObjectSymbol => ({
      index: first + imports.length + i,
      name,
      binding: 'global',
      type: image === 'code' ? 'function' : 'object',
      place: 'section',
      section: NLM_SECTION[image],
      value: offset,
      size: 0,
    }),
  );
  return [nothing, section('code'), section('data'), ...imports, ...publics];
}

/** By section number. What is added stands in the place itself. */
function relocationsOf(nlm: NlmFile): ObjectRelocation[][] {
  const bySection: ObjectRelocation[][] = [[], [], []];
  for (const { target, image, offset } of nlm.fixups) {
    const section = NLM_SECTION[image];
    const { ABSOLUTE: type } = NLM_RELOCATION;
    bySection[section].push({ section, offset, type, symbol: NLM_SECTION[target], addend: undefined });
  }
  for (const [i, { references }] of nlm.imports.entries()) {
    for (const { absolute, image, offset } of references) {
      const section = NLM_SECTION[image];
      const type = absolute ? NLM_RELOCATION.ABSOLUTE : NLM_RELOCATION.RELATIVE;
      bySection[section].push({ section, offset, type, symbol: 3 + i, addend: undefined });
    }
  }
  return bySection;
}
