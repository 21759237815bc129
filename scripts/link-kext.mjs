// A small linker for kernel extensions: x86_64 Mach-O object files in, one MH_KEXT_BUNDLE out, as `ld -kext` of Apple's
// tools would make it. LLVM's ld64.lld does not know that file type.
import { createHash } from 'node:crypto';

const PAGE = 4096;
const N_EXT = 1;
const N_PEXT = 0x10;
const N_SECT = 0xe;
const UNSIGNED = 0;
const GOT_LOAD = 3;
const GOT = 4;
const SUBTRACTOR = 5;

/** @param {Uint8Array[]} objects @returns {Uint8Array} */
export function linkKext(objects, { minimum = 0x000a0800 } = {}) {
  const inputs = objects.map(readObject);
  const globals = new Map();
  for (const input of inputs)
    for (const symbol of input.symbols)
      if (symbol.section && symbol.type & N_EXT && !globals.has(symbol.name))
        globals.set(symbol.name, symbol);
  const out = layOut(inputs);
  const got = collectGot(inputs);
  placeGot(out, got);
  assignAddresses(out);
  return write(out, inputs, globals, got, minimum);
}

function readObject(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const u32 = (at) => view.getUint32(at, true);
  const u64 = (at) => Number(view.getBigUint64(at, true));
  if (u32(0) !== 0xfeedfacf || u32(12) !== 1) throw new Error('an x86_64 object file is wanted');
  const sections = [];
  let symtab;
  for (let i = 0, at = 32; i < u32(16); at += u32(at + 4), i++) {
    if (u32(at) === 2) symtab = { symoff: u32(at + 8), nsyms: u32(at + 12), stroff: u32(at + 16) };
    if (u32(at) !== 0x19) continue;
    for (let s = 0; s < u32(at + 64); s++) {
      const from = at + 72 + s * 80;
      const flags = u32(from + 64);
      const zero = (flags & 0xff) === 1;
      sections.push({
        name: text(bytes, from, 16),
        segment: text(bytes, from + 16, 16),
        address: u64(from + 32),
        size: u64(from + 40),
        align: 2 ** u32(from + 52),
        flags,
        zero,
        data: zero ? undefined : bytes.slice(u32(from + 48), u32(from + 48) + u64(from + 40)),
        relocations: Array.from({ length: u32(from + 60) }, (_, r) =>
          relocation(u32, u32(from + 56) + r * 8),
        ),
      });
    }
  }
  const symbols = Array.from({ length: symtab?.nsyms ?? 0 }, (_, i) => {
    const at = symtab.symoff + i * 16;
    const type = bytes[at + 4];
    const section = (type & 0xe) === N_SECT ? sections[bytes[at + 5] - 1] : undefined;
    const name = text(bytes, symtab.stroff + u32(at), 65536);
    return {
      name,
      type,
      desc: view.getUint16(at + 6, true),
      section,
      offset: section ? u64(at + 8) - section.address : 0,
    };
  });
  return { sections, symbols };
}

function relocation(u32, at) {
  const word = u32(at + 4);
  return {
    at: u32(at),
    symbol: word & 0xffffff,
    pcrel: (word >>> 24) & 1,
    length: (word >>> 25) & 3,
    external: (word >>> 27) & 1,
    type: word >>> 28,
  };
}

function text(bytes, at, most) {
  let end = at;
  while (end < at + most && bytes[end] !== 0) end++;
  return new TextDecoder().decode(bytes.subarray(at, end));
}

/** Output sections by segment and name, __TEXT before __DATA, zero-fill last. */
function layOut(inputs) {
  const out = new Map();
  for (const { sections } of inputs) {
    for (const section of sections) {
      if (section.segment === '__LD' || section.segment === '__DWARF' || section.name === '__eh_frame')
        continue;
      const key = `${section.segment},${section.name}`;
      if (!out.has(key))
        out.set(key, {
          name: section.name,
          segment: section.segment,
          flags: section.flags,
          align: 1,
          size: 0,
          zero: section.zero,
          parts: [],
        });
      const to = out.get(key);
      to.align = Math.max(to.align, section.align);
      section.out = to;
      section.outOffset = Math.ceil(to.size / section.align) * section.align;
      to.size = section.outOffset + section.size;
      to.parts.push(section);
    }
  }
  return [...out.values()].sort((a, b) => rank(a) - rank(b));
}

const rank = ({ segment, zero }) => (segment === '__TEXT' ? 0 : 1) + (zero ? 1 : 0);

function collectGot(inputs) {
  const names = new Set();
  for (const { sections, symbols } of inputs)
    for (const { relocations } of sections)
      for (const { type, symbol } of relocations)
        if (type === GOT_LOAD || type === GOT) names.add(symbols[symbol].name);
  return [...names];
}

function placeGot(out, got) {
  if (got.length === 0) return;
  const at = out.findIndex(({ segment }) => segment !== '__TEXT');
  const section = {
    name: '__got',
    segment: '__DATA',
    flags: 0,
    align: 8,
    size: got.length * 8,
    zero: false,
    parts: [],
    got: true,
  };
  out.splice(at < 0 ? out.length : at, 0, section);
}

/** Sections follow the header, segments begin on pages; file offsets equal addresses, as the image starts at 0. */
function assignAddresses(out) {
  const data = out.some(({ segment }) => segment !== '__TEXT');
  out.commandBytes = 72 * (data ? 3 : 2) + out.length * 80 + 24 + 80 + 24 + 16;
  let at = 32 + out.commandBytes;
  let segment = '__TEXT';
  for (const section of out) {
    if (section.segment !== segment) at = Math.ceil(at / PAGE) * PAGE;
    segment = section.segment;
    at = Math.ceil(at / section.align) * section.align;
    section.address = at;
    at += section.size;
  }
  out.end = Math.ceil(at / PAGE) * PAGE;
}

const addressOf = (section, offset) => section.out.address + section.outOffset + offset;

function write(out, inputs, globals, got, minimum) {
  const image = Buffer.alloc(out.end);
  const table = symbolTable(out, inputs, globals);
  const external = [];
  const local = [];
  const gotAt = (name) => out.find((section) => section.got).address + got.indexOf(name) * 8;
  const ordinal = (section) => out.indexOf(section) + 1;
  const pointer = (at, target, addend) => {
    if (target.defined) {
      image.writeBigInt64LE(BigInt(target.address + addend), at);
      local.push(entry(at, ordinal(target.section), 0, 3, 0, UNSIGNED));
    } else {
      image.writeBigInt64LE(BigInt(addend), at);
      external.push(entry(at, table.index.get(target.name), 0, 3, 1, UNSIGNED));
    }
  };
  const targetOf = (input, symbol) => {
    const own = input.symbols[symbol];
    const found = own.section ? own : globals.get(own.name);
    if (!found) return { defined: false, name: own.name };
    return {
      defined: true,
      name: own.name,
      section: found.section.out,
      address: addressOf(found.section, found.offset),
    };
  };
  for (const input of inputs) {
    for (const section of input.sections) {
      if (!section.out || section.zero) continue;
      const base = addressOf(section, 0);
      image.set(section.data, base);
      for (const r of section.relocations) relocate(input, base, r);
    }
  }
  for (const name of got) {
    const found = globals.get(name);
    const target = found
      ? { defined: true, name, section: found.section.out, address: addressOf(found.section, found.offset) }
      : { defined: false, name };
    pointer(gotAt(name), target, 0);
  }

  function relocate(input, base, r) {
    const at = base + r.at;
    if (r.type === SUBTRACTOR)
      throw new Error('differences of symbols are not linked: compile without unwind tables');
    if (r.type === UNSIGNED) {
      if (r.length !== 3) throw new Error('only pointers of 64 bits are linked');
      const addend = Number(image.readBigInt64LE(at));
      if (r.external) return pointer(at, targetOf(input, r.symbol), addend);
      const section = input.sections[r.symbol - 1];
      const target = {
        defined: true,
        section: section.out,
        address: addressOf(section, 0) - section.address,
      };
      return pointer(at, target, addend);
    }
    const addend = image.readInt32LE(at);
    if (r.type === GOT_LOAD || r.type === GOT) {
      const { name } = input.symbols[r.symbol];
      return image.writeInt32LE(gotAt(name) + addend - (at + 4), at);
    }
    if (!r.external) {
      const section = input.sections[r.symbol - 1];
      const here = input.sections.find((one) => one.relocations.includes(r));
      const moved = addressOf(section, 0) - section.address - (addressOf(here, 0) - here.address);
      return image.writeInt32LE(addend + moved, at);
    }
    const target = targetOf(input, r.symbol);
    if (target.defined) return image.writeInt32LE(target.address + addend - (at + 4), at);
    external.push(entry(at, table.index.get(target.name), 1, 2, 1, r.type));
  }

  const linkedit = Buffer.concat([...external, ...local, table.entries, table.strings]);
  return Buffer.concat([header(out, image, linkedit, { external, local, table, minimum }), linkedit]);
}

function entry(at, symbol, pcrel, length, ext, type) {
  const bytes = Buffer.alloc(8);
  bytes.writeInt32LE(at, 0);
  bytes.writeUInt32LE((symbol | (pcrel << 24) | (length << 25) | (ext << 27) | (type << 28)) >>> 0, 4);
  return bytes;
}

/** Local symbols, defined ones that others see, undefined ones: each group by name. */
function symbolTable(out, inputs, globals) {
  const locals = [];
  const undefinedNames = new Set();
  for (const { symbols } of inputs) {
    for (const symbol of symbols) {
      if (
        symbol.section?.out &&
        !(symbol.type & N_EXT) &&
        !symbol.name.startsWith('L') &&
        !symbol.name.startsWith('l')
      )
        locals.push(symbol);
      if (!symbol.section && !globals.has(symbol.name)) undefinedNames.add(symbol.name);
    }
  }
  const byName = (a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0);
  const hidden = [...globals.values()].filter((s) => s.section.out && s.type & N_PEXT);
  const exported = [...globals.values()].filter((s) => s.section.out && !(s.type & N_PEXT)).sort(byName);
  const groups = [
    [...locals, ...hidden].sort(byName),
    exported,
    [...undefinedNames].sort().map((name) => ({ name })),
  ];
  const strings = [Buffer.from(' \0')];
  let strx = 2;
  const index = new Map();
  const entries = groups.flat().map((symbol, i) => {
    const bytes = Buffer.alloc(16);
    bytes.writeUInt32LE(strx, 0);
    bytes[4] = symbol.section ? symbol.type : N_EXT;
    bytes[5] = symbol.section ? out.indexOf(symbol.section.out) + 1 : 0;
    bytes.writeUInt16LE(symbol.section ? symbol.desc & ~0x7f : 0, 6);
    if (symbol.section) bytes.writeBigUInt64LE(BigInt(addressOf(symbol.section, symbol.offset)), 8);
    const name = Buffer.from(`${symbol.name}\0`);
    strings.push(name);
    strx += name.length;
    index.set(symbol.name, i);
    return bytes;
  });
  const padded = Buffer.concat([...strings, Buffer.alloc((8 - (strx % 8)) % 8)]);
  return {
    entries: Buffer.concat(entries),
    strings: padded,
    index,
    counts: groups.map((group) => group.length),
  };
}

function header(out, image, linkedit, { external, local, table, minimum }) {
  const segments = ['__TEXT', '__DATA'].filter((name) => out.some(({ segment }) => segment === name));
  let at = 32;
  const put32 = (value) => {
    image.writeUInt32LE(value >>> 0, at);
    at += 4;
  };
  const put64 = (value) => {
    image.writeBigUInt64LE(BigInt(value), at);
    at += 8;
  };
  const name16 = (name) => {
    image.write(name, at);
    at += 16;
  };
  const segment = (name, address, size, offset, filesize, prot, sections) => {
    put32(0x19);
    put32(72 + sections.length * 80);
    name16(name);
    for (const value of [address, size, offset, filesize]) put64(value);
    for (const value of [7, prot, sections.length, 0]) put32(value);
    for (const one of sections) {
      name16(one.name);
      name16(one.segment);
      put64(one.address);
      put64(one.size);
      for (const value of [one.zero ? 0 : one.address, Math.log2(one.align), 0, 0, one.flags, 0, 0, 0])
        put32(value);
    }
  };
  for (const name of segments) {
    const sections = out.filter((section) => section.segment === name);
    const start = name === '__TEXT' ? 0 : Math.floor(sections[0].address / PAGE) * PAGE;
    const last = sections.at(-1);
    const size = Math.ceil((last.address + last.size) / PAGE) * PAGE - start;
    segment(name, start, size, start, size, name === '__TEXT' ? 5 : 3, sections);
  }
  segment('__LINKEDIT', out.end, Math.ceil(linkedit.length / PAGE) * PAGE, out.end, linkedit.length, 1, []);
  const externalAt = out.end;
  const localAt = externalAt + external.length * 8;
  const symbolsAt = localAt + local.length * 8;
  for (const value of [
    2,
    24,
    symbolsAt,
    table.entries.length / 16,
    symbolsAt + table.entries.length,
    table.strings.length,
  ])
    put32(value);
  const [locals, exported, missing] = table.counts;
  for (const value of [
    0xb,
    80,
    0,
    locals,
    locals,
    exported,
    locals + exported,
    missing,
    0,
    0,
    0,
    0,
    0,
    0,
    0,
    0,
  ])
    put32(value);
  for (const value of [externalAt, external.length, localAt, local.length]) put32(value);
  put32(0x1b);
  put32(24);
  const uuidAt = at;
  at += 16;
  for (const value of [0x24, 16, minimum, minimum]) put32(value);
  image.writeUInt32LE(0xfeedfacf, 0);
  for (const [offset, value] of [
    [4, 0x01000007],
    [8, 3],
    [12, 0xb],
    [16, segments.length + 5],
    [20, at - 32],
    [24, 0x85],
    [28, 0],
  ])
    image.writeUInt32LE(value, offset);
  // The identity of a build is a hash of what was built: the same sources give the same file.
  const uuid = createHash('sha256').update(image).update(linkedit).digest().subarray(0, 16);
  uuid[6] = (uuid[6] & 0x0f) | 0x40;
  uuid[8] = (uuid[8] & 0x3f) | 0x80;
  image.set(uuid, uuidAt);
  return image;
}
