/**
 * devmatch(8): which modules want a device that no driver took, by the PNP tables in linker.hints
 * (sbin/devmatch/devmatch.c). A device describes itself as `key=value` pairs.
 */
import { type Hint, type HintPnp, rowsOf } from './hints.ts';

/** A device as the kernel's nomatch event tells it: `? at KEY=VALUE... on BUSn`. */
export interface UnmatchedDevice {
  /** Without the unit number. */
  readonly bus: string;
  /** Location and PNP pairs, as they stand in the event. */
  readonly pnp: string;
}

/** Reads the text of a nomatch event; a string says what is wrong with it. */
export function readNomatch(event: string): UnmatchedDevice | string {
  const on = event.lastIndexOf(' on ');
  if (on <= 0) return `No bus found in nomatch string: '${event}'`;
  const text = event.slice(event.startsWith('?') ? 1 : 0, on);
  if (!text.startsWith(' at ')) return `Malformed NOMATCH string: '${event.slice(0, on)}'`;
  return { bus: event.slice(on + 4).replace(/\d+$/, ''), pnp: text.slice(4) };
}

/** Files of the modules that want the device, in the order of the index, each as often as an entry matches. */
export function matchDevice(hints: readonly Hint[], { bus, pnp }: UnmatchedDevice): string[] {
  const found: string[] = [];
  let file: string | undefined;
  for (const hint of hints) {
    if (hint.type === 'module') file = hint.file;
    if (hint.type !== 'pnp' || file === undefined || file === 'kernel') continue;
    // Tables of old drivers name the bus after its class.
    const own = hint.bus === 'usb' ? 'uhub' : hint.bus;
    if (own === bus) for (let n = matches(hint, pnp); n > 0; n--) found.push(file);
  }
  return found;
}

interface Field {
  readonly letter: string;
  readonly key: string;
}

const fieldsOf = (description: string): Field[] =>
  description
    .split(';')
    .filter((field) => field !== '')
    .map((field) => ({ letter: field[0], key: field.slice(2) }));

/** How many entries of a table match. */
function matches(hint: HintPnp, pnp: string): number {
  const { description, values } = hint;
  const fields = fieldsOf(description);
  let at = 0;
  let count = 0;
  for (let entry = 0; entry < rowsOf(hint); entry++) {
    const row = fields.map(({ letter }) => (letter === 'T' ? undefined : values[at++]));
    if (rowMatches(fields, row, pnp)) count++;
  }
  return count;
}

/** An M field is a mask of the fields behind it: those whose bit is clear do not count. */
function rowMatches(
  fields: readonly Field[],
  row: readonly (number | string | undefined)[],
  pnp: string,
): boolean {
  let mask = -1;
  for (const [i, { letter, key }] of fields.entries()) {
    const value = row[i];
    const bit = i - 1;
    if (typeof value === 'number') {
      if (bit >= 0 && ((1 << bit) & mask) === 0) continue;
      if (letter === 'M') mask = value;
      else if (!numberMatches(letter, value, integerOf(pnp, key))) return false;
    } else if (letter === 'Z' && textOf(pnp, key) !== value) return false;
    else if (letter === 'T' && !pnp.split(' ').includes(key)) return false;
  }
  return true;
}

function numberMatches(letter: string, wanted: number, value: number): boolean {
  if (letter === 'J' && wanted === -1) return true;
  if (letter === 'G') return value >= wanted;
  if (letter === 'L') return value <= wanted;
  return value === wanted;
}

function rawOf(pnp: string, key: string): string | undefined {
  const start = pnp.startsWith(`${key}=`) ? 0 : pnp.indexOf(` ${key}=`) + 1;
  if (start === 0 && !pnp.startsWith(`${key}=`)) return undefined;
  return pnp.slice(start + key.length + 1);
}

/** As strtol(3) with base 0 reads it; -1 where the device says nothing of it. */
function integerOf(pnp: string, key: string): number {
  const raw = rawOf(pnp, key);
  if (raw === undefined) return -1;
  const match = /^\s*([+-]?)(0x[0-9a-f]+|0[0-7]*|[1-9]\d*)/i.exec(raw);
  if (match === null) return 0;
  const digits = match[2];
  const value = /^0[0-7]+$/.test(digits) ? Number.parseInt(digits, 8) : Number(digits);
  return (match[1] === '-' ? -value : value) | 0;
}

function textOf(pnp: string, key: string): string {
  const raw = rawOf(pnp, key);
  if (raw === undefined) return 'MISSING';
  const quote = raw[0] === "'" || raw[0] === '"' ? raw[0] : ' ';
  const body = quote === ' ' ? raw : raw.slice(1);
  const end = body.indexOf(quote);
  return end < 0 ? body : body.slice(0, end);
}
