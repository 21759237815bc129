/**
 * MODULE_PNP_INFO: a driver describes a table of the devices it supports, `TYPE:name[/name];`, and kldxref(8) copies the
 * table into linker.hints in a form that does not depend on the machine (usr.sbin/kldxref/kldxref.c).
 */
import { roundUp } from '../../bytes/align.ts';
import { Invalid } from '../../bytes/errors.ts';
import type { Place, StaticImage } from './image.ts';
import type { PnpRecord } from './kldfile.ts';

export type PnpValue = number | string;

/** What is done with one field of the table. */
interface Field {
  /** Letter in linker.hints; undefined = skipped there. */
  readonly letter: string | undefined;
  readonly bytes: number;
  readonly signedWildcard: boolean;
  readonly kind: 'number' | 'string' | 'eisa' | 'pair' | 'skip';
  readonly names: readonly string[];
}

export interface PnpTable {
  readonly description: string;
  readonly entries: number;
  readonly values: readonly PnpValue[];
}

/** Most values that are read of one table: far more than any driver supports devices. */
const MAX_VALUES = 200_000;

/** Reads a driver's table as kldxref does. @throws Invalid for a description that it would refuse */
export function readPnpTable(image: StaticImage, record: PnpRecord): PnpTable {
  const { text, fields } = convertDescription(record.description, image.word);
  const values: PnpValue[] = [];
  const start = record.table;
  if (start === undefined) return { description: text, entries: 0, values };
  const count = record.entries;
  const places = layOut(fields, image.word);
  const present = Math.floor((start.section.size - start.offset) / Math.max(1, record.entryBytes));
  if (count > present || count * fields.length > MAX_VALUES)
    throw new Invalid('MODULE_PNP_INFO', 'the table has fewer entries than it says', { value: count });
  for (let i = 0; i < count; i++) {
    fields.forEach((field, n) => {
      const at = image.at(start, i * record.entryBytes + places[n]);
      for (const value of readField(image, field, at)) values.push(value);
    });
  }
  return { description: text, entries: count, values };
}

const NUMBERS: Readonly<Record<string, { letter: string; bytes: number }>> = {
  U8: { letter: 'I', bytes: 1 },
  V8: { letter: 'J', bytes: 1 },
  G16: { letter: 'G', bytes: 2 },
  L16: { letter: 'L', bytes: 2 },
  M16: { letter: 'M', bytes: 2 },
  U16: { letter: 'I', bytes: 2 },
  V16: { letter: 'J', bytes: 2 },
  U32: { letter: 'I', bytes: 4 },
  V32: { letter: 'J', bytes: 4 },
};

/** The description in the letters of linker.hints, and what each field of the table is. */
export function convertDescription(source: string, word: number): { text: string; fields: Field[] } {
  const fields: Field[] = [];
  let text = '';
  for (const part of source.split(';')) {
    const item = part.trim();
    if (item === '') continue;
    const colon = item.indexOf(':');
    if (colon < 0) throw new Invalid('MODULE_PNP_INFO', `field '${item}' has no type`, { value: source });
    const [type, name] = [item.slice(0, colon), item.slice(colon + 1)];
    if (type === 'T') {
      text += `T:${name};`;
      continue;
    }
    const field = fieldOf(type, name, word);
    if (field.letter !== undefined) for (const one of field.names) text += `${field.letter}:${one};`;
    fields.push(field);
  }
  return { text, fields };
}

function fieldOf(type: string, name: string, word: number): Field {
  const number = NUMBERS[type];
  if (number !== undefined) {
    return {
      letter: number.letter,
      bytes: number.bytes,
      signedWildcard: type.startsWith('V'),
      kind: 'number',
      names: [name],
    };
  }
  const plain = { signedWildcard: false, names: [name] };
  // Two 16-bit numbers that lie in one 32-bit word: vendor/device.
  if (type === 'W32') return { ...plain, letter: 'I', bytes: 4, kind: 'pair', names: name.split('/') };
  if (type === 'E') return { ...plain, letter: 'Z', bytes: 4, kind: 'eisa' };
  if (type === 'Z') return { ...plain, letter: 'Z', bytes: word, kind: 'string' };
  if (type === 'D') return { ...plain, letter: 'D', bytes: word, kind: 'string' };
  if (type === 'P') return { ...plain, letter: undefined, bytes: word, kind: 'skip' };
  throw new Invalid('MODULE_PNP_INFO', `there is no field type '${type}'`, { value: name });
}

function layOut(fields: readonly Field[], word: number): number[] {
  let at = 0;
  return fields.map(({ bytes }) => {
    const place = roundUp(at, Math.min(bytes, word));
    at = place + bytes;
    return place;
  });
}

function readField(image: StaticImage, field: Field, at: Place): PnpValue[] {
  switch (field.kind) {
    case 'skip':
      return [];
    case 'string':
      return [image.string(image.pointer(at)) ?? ''];
    case 'eisa':
      return [eisaName(image.u32(at))];
    case 'pair': {
      const value = image.u32(at);
      return [value & 0xffff, value >>> 16];
    }
    case 'number': {
      const value = numberAt(image, at, field.bytes);
      const ones = field.bytes === 4 ? 0xffffffff : (1 << (field.bytes * 8)) - 1;
      if (field.signedWildcard && value === ones) return [-1];
      return [value | 0];
    }
  }
}

function numberAt(image: StaticImage, at: Place, bytes: number): number {
  const data = image.bytes(at, bytes);
  const order = image.file.littleEndian ? [...data].reverse() : [...data];
  return order.reduce((value, byte) => value * 256 + byte, 0);
}

/** An EISA identifier: three letters of five bits each, then four hexadecimal digits (PNP0303). */
export function eisaName(id: number): string {
  const swapped = ((id & 0xff) << 8) | ((id >>> 8) & 0xff);
  const letter = (shift: number) => String.fromCharCode(64 + ((swapped >> shift) & 0x1f));
  const digits = (((id >>> 16) & 0xff) << 8) | (id >>> 24);
  return letter(10) + letter(5) + letter(0) + digits.toString(16).toUpperCase().padStart(4, '0');
}
