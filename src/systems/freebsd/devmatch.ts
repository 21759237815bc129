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

/** How devmatch(8) searches, beside the device. */
export interface DeviceSearch {
  /** Tables of the kernel itself count, too (-u). */
  readonly kernelToo?: boolean;
  /** Is told every step, in the words of -v. */
  readonly trace?: (line: string) => void;
  /** The file of a module that wants the device, as often as an entry matches. */
  readonly found: (file: string) => void;
}

/** Goes through an index in its order. */
export function searchHints(hints: readonly Hint[], device: UnmatchedDevice, search: DeviceSearch): void {
  const { bus, pnp } = device;
  const { trace } = search;
  let file: string | undefined;
  trace?.(`Searching bus ${bus} dev  for pnpinfo ${pnp}`);
  for (const hint of hints) {
    if (hint.type === 'module') file = hint.file;
    if (hint.type === 'pnp' && file === 'kernel' && search.kernelToo !== true) continue;
    if (hint.type !== 'other') trace?.(hintText(hint, file));
    if (hint.type !== 'pnp') continue;
    if (hint.bus === 'usb') trace?.('Treating usb as uhub -- bug in source table still?');
    // Tables of old drivers name the bus after its class.
    const own = hint.bus === 'usb' ? 'uhub' : hint.bus;
    if (own !== bus) trace?.(`Skipped because table for bus ${own}, looking for ${bus}`);
    else searchTable(hint, pnp, { ...search, found: () => search.found(file ?? '(null)') });
  }
}

/** A record as -d and -v show it; `file` is that of the last module. */
export function hintText(hint: Exclude<Hint, { type: 'other' }>, file: string | undefined): string {
  if (hint.type === 'version') return `Version: if ${hint.module}.${hint.version} kmod ${hint.file}`;
  if (hint.type === 'module') return `Module ${hint.module} in ${hint.file}`;
  const { bus, description, entries } = hint;
  return `PNP info for bus ${bus} format ${description} ${entries} entries (${file ?? '(null)'})`;
}

/** Files of the modules that want the device. */
export function matchDevice(hints: readonly Hint[], device: UnmatchedDevice): string[] {
  const files: string[] = [];
  searchHints(hints, device, { found: (file) => files.push(file) });
  return files;
}

interface Field {
  readonly letter: string;
  readonly key: string;
  /** The description from the key on, which is what -v shows. */
  readonly rest: string;
}

function fieldsOf(description: string): Field[] {
  const fields: Field[] = [];
  for (let at = 0; at < description.length; ) {
    const end = description.indexOf(';', at);
    const text = description.slice(at, end < 0 ? undefined : end);
    if (text !== '') fields.push({ letter: text[0], key: text.slice(2), rest: description.slice(at + 2) });
    at += text.length + 1;
  }
  return fields;
}

function searchTable(hint: HintPnp, pnp: string, search: DeviceSearch): void {
  const { description, values } = hint;
  const fields = fieldsOf(description);
  let at = 0;
  for (let entry = 0; entry < rowsOf(hint); entry++) {
    search.trace?.(`---------- Entry ${entry} ----------`);
    const row = fields.map(({ letter }) => (letter === 'T' ? undefined : values[at++]));
    if (rowMatches(fields, row, pnp, search.trace)) search.found('');
  }
}

/** As printf's %#x: zero has no prefix. */
export const hexText = (value: number): string => (value === 0 ? '0' : `0x${(value >>> 0).toString(16)}`);

/** An M field is a mask of the fields behind it: those whose bit is clear do not count. All fields are looked at. */
function rowMatches(
  fields: readonly Field[],
  row: readonly (number | string | undefined)[],
  pnp: string,
  trace: DeviceSearch['trace'],
): boolean {
  let mask = -1;
  let misses = 0;
  for (const [i, { letter, key, rest }] of fields.entries()) {
    const value = row[i];
    const bit = i - 1;
    if (letter === 'T') {
      const place = pnp.indexOf(key);
      if (place < 0 || (place > 0 && pnp[place - 1] !== ' ')) misses++;
    }
    if (value === undefined || letter === 'D' || (bit >= 0 && ((1 << bit) & mask) === 0)) continue;
    // A key with `#` in front is of the driver's own use.
    if (key.startsWith('#')) continue;
    if (typeof value === 'string') {
      if (textOf(pnp, key) !== value) misses++;
      continue;
    }
    const own = integerOf(pnp, key);
    trace?.(`Matching ${rest} (${letter}) table=${hexText(own)} tomatch=${hexText(value)}`);
    if (letter === 'M') mask = value;
    else if (!numberMatches(letter, value, own)) misses++;
  }
  return misses === 0;
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
