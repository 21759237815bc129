/** Small module files made by hand: any class and byte order, any symbols, versions and .modinfo strings. */

export interface OddModule {
  readonly bits?: 32 | 64;
  readonly littleEndian?: boolean;
  readonly machine?: number;
  /** Undefined symbols; `?` in front makes a weak one. */
  readonly needs?: readonly string[];
  /** Exported symbols with their versions: `__crc_NAME`, absolute. */
  readonly exports?: readonly (readonly [name: string, crc: number])[];
  /** Names in __ksymtab_strings, without versions. */
  readonly names?: readonly string[];
  /** Entries of __versions. */
  readonly versions?: readonly (readonly [name: string, crc: number])[];
  readonly modinfo?: readonly string[];
  /** Versions stand in a section, as newer kernels have them. */
  readonly crcSection?: boolean;
}

interface Section {
  readonly name: string;
  readonly type: number;
  readonly bytes: Uint8Array;
  readonly link?: number;
  readonly entry?: number;
}

const latin = (text: string): Uint8Array => Uint8Array.from(text, (char) => char.charCodeAt(0));

class Bytes {
  private readonly parts: number[] = [];
  private readonly little: boolean;

  constructor(little: boolean) {
    this.little = little;
  }

  get length(): number {
    return this.parts.length;
  }

  put(value: number | bigint, size: number): this {
    let rest = BigInt.asUintN(64, BigInt(value));
    const bytes: number[] = [];
    for (let i = 0; i < size; i++) {
      bytes.push(Number(rest & 255n));
      rest >>= 8n;
    }
    this.parts.push(...(this.little ? bytes : bytes.reverse()));
    return this;
  }

  raw(bytes: Iterable<number>): this {
    for (const byte of bytes) this.parts.push(byte);
    return this;
  }

  take(): Uint8Array {
    return Uint8Array.from(this.parts);
  }
}

export function oddModule(of: OddModule): Uint8Array {
  const { bits = 64, littleEndian = true } = of;
  const wide = bits === 64;
  const words = (): Bytes => new Bytes(littleEndian);
  const strings = words().raw([0]);
  const nameOf = (text: string): number => {
    const at = strings.length;
    strings.raw(latin(text)).raw([0]);
    return at;
  };
  const symbols = words().raw(new Uint8Array(wide ? 24 : 16));
  const symbol = (name: string, info: number, section: number, value: number): void => {
    if (wide) symbols.put(nameOf(name), 4).put(info, 1).put(0, 1).put(section, 2).put(value, 8).put(0, 8);
    else symbols.put(nameOf(name), 4).put(value, 4).put(0, 4).put(info, 1).put(0, 1).put(section, 2);
  };
  const sections: Section[] = [];
  const crcs = words();
  (of.exports ?? []).forEach(([name, crc], i) => {
    crcs.put(crc, 4);
    if (of.crcSection === true) symbol(`__crc_${name}`, 0x10, 1, 4 * i);
    else symbol(`__crc_${name}`, 0x10, 0xfff1, crc);
  });
  if (of.crcSection === true) sections.push({ name: '__kcrctab', type: 1, bytes: crcs.take() });
  for (const need of of.needs ?? [])
    symbol(need.replace(/^\?/, ''), need.startsWith('?') ? 0x20 : 0x10, 0, 0);
  if (of.names !== undefined)
    sections.push({
      name: '__ksymtab_strings',
      type: 1,
      bytes: latin(of.names.map((one) => `${one}\0`).join('')),
    });
  if (of.versions !== undefined) {
    const table = words();
    for (const [name, crc] of of.versions) {
      const room = wide ? 56 : 60;
      table.put(crc, wide ? 8 : 4).raw(latin(name.slice(0, room - 1).padEnd(room, '\0')));
    }
    sections.push({ name: '__versions', type: 1, bytes: table.take() });
  }
  if (of.modinfo !== undefined)
    sections.push({ name: '.modinfo', type: 1, bytes: latin(of.modinfo.map((one) => `${one}\0`).join('')) });
  sections.push({
    name: '.symtab',
    type: 2,
    bytes: symbols.take(),
    entry: wide ? 24 : 16,
    link: sections.length + 2,
  });
  sections.push({ name: '.strtab', type: 3, bytes: strings.take() });
  return file(of, sections, words);
}

function file(
  { bits = 64, machine = 62 }: OddModule,
  sections: readonly Section[],
  words: () => Bytes,
): Uint8Array {
  const wide = bits === 64;
  const head = wide ? 64 : 52;
  const size = wide ? 8 : 4;
  const names = words().raw([0]);
  const at = [...sections, { name: '.shstrtab' }].map(({ name }) => {
    const start = names.length;
    names.raw(latin(name)).raw([0]);
    return start;
  });
  const all: Section[] = [...sections, { name: '.shstrtab', type: 3, bytes: names.take() }];
  const body = words();
  const offsets = all.map(({ bytes }) => {
    while ((head + body.length) % 8 !== 0) body.raw([0]);
    const start = head + body.length;
    body.raw(bytes);
    return start;
  });
  while ((head + body.length) % 8 !== 0) body.raw([0]);
  const out = words().raw([
    0x7f,
    0x45,
    0x4c,
    0x46,
    wide ? 2 : 1,
    words().put(1, 2).take()[0] === 1 ? 1 : 2,
    1,
  ]);
  out.raw(new Uint8Array(9)).put(1, 2).put(machine, 2).put(1, 4).put(0, size).put(0, size);
  out
    .put(head + body.length, size)
    .put(0, 4)
    .put(head, 2)
    .put(0, 2)
    .put(0, 2);
  out
    .put(wide ? 64 : 40, 2)
    .put(all.length + 1, 2)
    .put(all.length, 2)
    .raw(body.take());
  out.raw(new Uint8Array(wide ? 64 : 40));
  all.forEach(({ type, bytes, link = 0, entry = 0 }, i) => {
    out.put(at[i], 4).put(type, 4).put(0, size).put(0, size).put(offsets[i], size).put(bytes.length, size);
    out.put(link, 4).put(0, 4).put(1, size).put(entry, size);
  });
  return out.take();
}
