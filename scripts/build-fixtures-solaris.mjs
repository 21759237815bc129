// Builds fixtures/solaris/*.c with clang for a Solaris target and writes the results to fixtures/solaris/built,
// laid out as a Solaris system has them.
// The built files are committed, so that neither the tour nor the tests need a compiler. Run it after a source changes.
//
//   node scripts/build-fixtures-solaris.mjs [NAME...]
//
// Needs clang with the X86 and Sparc targets. What only Solaris's own linker does (`ld -r -dy -N misc/tally`: a
// dynamic section in a relocatable file) is done here.
import { execFileSync } from 'node:child_process';
import {
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const sources = join(root, 'fixtures/solaris');
const built = join(sources, 'built');

const common = [
  '-c',
  '-O2',
  '-ffreestanding',
  '-fno-builtin',
  '-fno-pic',
  '-fno-addrsig',
  '-fno-ident',
  '-fno-asynchronous-unwind-tables',
  '-fno-stack-protector',
  '-Wall',
  '-Werror',
];
const targets = {
  amd64: ['--target=x86_64-pc-solaris2.11', '-mcmodel=kernel', '-mno-red-zone', '-mno-sse'],
  i386: ['--target=i386-pc-solaris2.11', '-mno-sse', '-mno-mmx'],
  sparcv9: ['--target=sparcv9-sun-solaris2.11', '-mcmodel=medlow', '-DSPARC'],
};

/** Which modules other machines than amd64 get: for sparcv9 they are only described. */
const only = { sparcv9: new Set(['hello', 'echo', 'teller']) };

/** Where modules live: below /usr/kernel, in the directory of their class; 64-bit ones in a directory of their ISA. */
const classes = {
  echo: 'drv',
  loopy: 'drv',
  packets: 'drv',
  ramdisk: 'drv',
  tinyfs: 'fs',
  oldfs: 'fs',
  sumcall: 'sys',
  pair: 'sys',
  upper: 'strmod',
};
const directory = (isa, name) =>
  join(built, 'usr/kernel', classes[name] ?? 'misc', isa === 'i386' ? '' : isa);

/** What `-N` names. */
const needed = { teller: ['misc/tally'], packets: ['misc/mac'] };

/** Files made of another source with other definitions. */
const variants = { oldfs: { from: 'tinyfs', flags: ['-DVERSION=4'] } };

const SHT_STRTAB = 3;
const SHT_DYNAMIC = 6;
const DT_NEEDED = 1;
const DT_FLAGS_1 = 0x6ffffffb;

/** Fields of the ELF header and of section headers, by class. */
const LAYOUT = {
  32: { shoff: 32, shentsize: 40, shnum: 48, shstrndx: 50, name: 0, offset: 16, size: 20, dyn: 8 },
  64: { shoff: 40, shentsize: 64, shnum: 60, shstrndx: 62, name: 0, offset: 24, size: 32, dyn: 16 },
};

/** Appends `.dynstr` and `.dynamic` to a relocatable file, as Solaris's ld does for -N. */
function addDependencies(bytes, names) {
  const wide = bytes[4] === 2;
  const little = bytes[5] === 1;
  const at = LAYOUT[wide ? 64 : 32];
  const read16 = (o) => (little ? bytes.readUInt16LE(o) : bytes.readUInt16BE(o));
  const word = (b, o, v) => (little ? b.writeUInt32LE(v, o) : b.writeUInt32BE(v, o));
  const half = (b, o, v) => (little ? b.writeUInt16LE(v, o) : b.writeUInt16BE(v, o));
  const address = (b, o, v) => {
    if (!wide) return word(b, o, v);
    return little ? b.writeBigUInt64LE(BigInt(v), o) : b.writeBigUInt64BE(BigInt(v), o);
  };
  const readAddress = (o) => {
    if (!wide) return little ? bytes.readUInt32LE(o) : bytes.readUInt32BE(o);
    return Number(little ? bytes.readBigUInt64LE(o) : bytes.readBigUInt64BE(o));
  };
  const shoff = readAddress(at.shoff);
  const count = read16(at.shnum);
  const table = Buffer.from(bytes.subarray(shoff, shoff + count * at.shentsize));
  const nameHeader = shoff + read16(at.shstrndx) * at.shentsize;
  const oldNames = bytes.subarray(
    readAddress(nameHeader + at.offset),
    readAddress(nameHeader + at.offset) + readAddress(nameHeader + at.size),
  );
  const strings = Buffer.from(`\0${names.join('\0')}\0`);
  let string = 1;
  const tags = names.map((name) => {
    const tag = [DT_NEEDED, string];
    string += name.length + 1;
    return tag;
  });
  tags.push([DT_FLAGS_1, 0], [0, 0]);
  const dynamic = Buffer.alloc(tags.length * at.dyn);
  for (const [i, [tag, value]] of tags.entries()) {
    address(dynamic, i * at.dyn, tag);
    address(dynamic, i * at.dyn + at.dyn / 2, value);
  }
  const extra = Buffer.from('.dynstr\0.dynamic\0.shstrtab\0');
  const allNames = Buffer.concat([oldNames, extra]);
  const parts = [bytes.subarray(0, bytes.length)];
  let length = bytes.length;
  const place = (part) => {
    const pad = Buffer.alloc((8 - (length % 8)) % 8);
    parts.push(pad, part);
    const where = length + pad.length;
    length = where + part.length;
    return where;
  };
  const header = (name, type, part, link, entsize) => {
    const h = Buffer.alloc(at.shentsize);
    word(h, 0, oldNames.length + name);
    word(h, 4, type);
    address(h, at.offset, place(part));
    address(h, at.size, part.length);
    word(h, wide ? 40 : 24, link);
    address(h, wide ? 48 : 32, type === SHT_DYNAMIC ? 8 : 1);
    address(h, wide ? 56 : 36, entsize);
    return h;
  };
  const added = [
    header(0, SHT_STRTAB, strings, 0, 0),
    header(8, SHT_DYNAMIC, dynamic, count, at.dyn),
    header(17, SHT_STRTAB, allNames, 0, 0),
  ];
  const newTable = place(Buffer.concat([table, ...added]));
  const result = Buffer.concat(parts);
  address(result, at.shoff, newTable);
  half(result, at.shnum, count + 3);
  half(result, at.shstrndx, count + 2);
  return result;
}

function compile(isa, name, work) {
  const { from = name, flags = [] } = variants[name] ?? {};
  const out = join(work, `${isa}-${name}.o`);
  execFileSync('clang', [...targets[isa], ...common, ...flags, `${from}.c`, '-o', out], {
    cwd: sources,
    stdio: ['ignore', 'inherit', 'inherit'],
  });
  const bytes = readFileSync(out);
  return needed[name] === undefined ? bytes : addDependencies(bytes, needed[name]);
}

function main() {
  const chosen = process.argv.slice(2);
  const files = readdirSync(sources);
  const names = [
    ...files.filter((file) => file.endsWith('.c')).map((file) => file.slice(0, -2)),
    ...Object.keys(variants),
  ].filter((name) => chosen.length === 0 || chosen.includes(name));
  const work = mkdtempSync(join(tmpdir(), 'fixtures-solaris-'));
  try {
    for (const isa of Object.keys(targets)) {
      for (const name of names) {
        if (only[isa] !== undefined && !only[isa].has(name)) continue;
        mkdirSync(directory(isa, name), { recursive: true });
        writeFileSync(join(directory(isa, name), name), compile(isa, name, work));
      }
    }
    for (const file of files.filter((name) => name.endsWith('.conf')))
      copyFileSync(join(sources, file), join(built, 'usr/kernel/drv', file));
    if (chosen.length === 0) buildMachine(work);
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

/** A root folder to boot and to check against: the files of a kernel as tools see them, and copies of some modules. */
function buildMachine(work) {
  const machine = join(sources, 'machine');
  const parts = {
    unix: ['platform/i86pc/kernel/amd64', '-DUNIX'],
    genunix: ['kernel/amd64', '-DGENUNIX'],
  };
  for (const [name, [folder, define]] of Object.entries(parts)) {
    const object = join(work, `${name}.o`);
    const source = join(sources, 'kernel/kernel.c');
    execFileSync('clang', [...targets.amd64, ...common, define, source, '-o', object]);
    mkdirSync(join(machine, folder), { recursive: true });
    const place = ['--image-base=0xfffffffffb800000', '--build-id=none', '-z', 'max-page-size=4096'];
    const entry = name === 'unix' ? '_start' : 'kobj_loaded';
    execFileSync('ld.lld', [
      '-m',
      'elf_x86_64',
      '-static',
      ...place,
      '-e',
      entry,
      '-o',
      join(machine, folder, name),
      object,
    ]);
  }
  for (const name of ['hello', 'teller', 'tally', 'busy', 'stray', 'sumcall', 'echo']) {
    const to = join(machine, 'usr/kernel', classes[name] ?? 'misc', 'amd64');
    mkdirSync(to, { recursive: true });
    copyFileSync(join(directory('amd64', name), name), join(to, name));
  }
}

main();
