// Builds fixtures/linux/*.c against the headers of a Debian kernel and writes the results to fixtures/linux/built.
// The built files are committed, so that neither the tour nor the tests need a compiler. Run it after a source changes.
//
//   node scripts/build-fixtures-linux.mjs [--headers /lib/modules/6.1.0-56-amd64/build] [NAME...]
//
// Needs make, gcc and binutils, and Debian's linux-headers-*-amd64.
//
// With the headers of a 32-bit kernel (and gcc-multilib) the modules of `narrow` go to fixtures/linux/built-686. Such headers
// need not be installed: unpack linux-headers-*-686-pae and linux-headers-*-common of i386 with `dpkg-deb -x PACKAGE DIR` and
// give DIR/usr/src/linux-headers-*-686-pae; their Makefile, which names its other half by an absolute path, is mended.
import { execFileSync } from 'node:child_process';
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const sources = join(root, 'fixtures/linux');
let built = join(sources, 'built');

/** What is kept for i386: one of each kind, so that the files stay small. */
const narrow =
  'chardev containers exporter formats hashing hello importer_gpl locking memories oops_init params percpus procfile ' +
  'statickey staticcall sysattr threads timers tinyfs works';

/** Modules that must not see the exports of the rest while they are built: each is made alone, by itself. */
const apart = new Set(['twin_b']);

/** Extra compiler flags by module. */
const flags = { common: '-fcommon', formats: '-Wno-format' };

/**
 * Files that no compiler makes: each is another module with some of its bytes changed.
 * Sources are named by the module they come from; `edit` gets the bytes and an index of the sections.
 */
const derived = {
  wrong_vermagic: {
    from: 'hello',
    edit: (b, s) => replace(b, s['.modinfo'], 'SMP preempt mod_unload', 'UP  preempt mod_unload'),
  },
  wrong_release: {
    from: 'hello',
    edit: (b, s) => replaceAfter(b, s['.modinfo'], 'vermagic=', 'X'),
  },
  no_vermagic: { from: 'hello', edit: (b, s) => blank(b, s['.modinfo'], 'vermagic=') },
  no_licence: { from: 'no_licence', edit: (b, s) => blank(b, s['.modinfo'], 'license=') },
  no_retpoline: { from: 'hello', edit: (b, s) => blank(b, s['.modinfo'], 'retpoline=') },
  no_this_module: {
    from: 'hello',
    edit: (b, s) => renameSection(b, s, '.gnu.linkonce.this_module', '.gnu.linkonce.that_module'),
  },
  // SHF_WRITE beside SHF_ALLOC and SHF_EXECINSTR.
  bad_flags: { from: 'hello', edit: (b, s) => poke(b, s['.init.text'].header + 8, [7]) },
  bad_link: { from: 'hello', edit: (b, s) => poke(b, s['.symtab'].header + 40, [0xff, 0xff, 0, 0]) },
  bad_section: {
    from: 'hello',
    edit: (b, s) => poke(b, s['.modinfo'].header + 24, [0xff, 0xff, 0xff, 0x7f]),
  },
  // R_X86_64_32 cannot hold an address of the kernel.
  overflow_relocation: {
    from: 'hello',
    edit: (b, s) => poke(b, s['.rela.init.text'].offset + 8, [10, 0, 0, 0]),
  },
  no_crcs: { from: 'hello', edit: (b, s) => renameSection(b, s, '__versions', '__versionz') },
  wrong_crc: { from: 'hello', edit: (b, s) => flipCrc(b, s['__versions'], '_printk') },
  wrong_layout: { from: 'hello', edit: (b, s) => flipCrc(b, s['__versions'], 'module_layout') },
  missing_crc: { from: 'hello', edit: (b, s) => renameVersion(b, s['__versions'], '_printk', '_printj') },
  no_namespace: { from: 'spaced_importer', edit: (b, s) => blank(b, s['.modinfo'], 'import_ns=') },
  proprietary: { from: 'proprietary', edit: proprietary },
  proprietary_export: { from: 'proprietary_export', edit: proprietary },
  proprietary_gplonly: {
    from: 'importer_gpl',
    edit: (b, s) => replace(b, s['.modinfo'], 'license=GPL v2', 'license=Closed'),
  },
  // A built-in part of the kernel already has /sys/module/block.
  block: {
    from: 'hello',
    edit: (b, s) => {
      replace(b, s['.modinfo'], 'name=hello', 'name=block');
      return replace(b, s['.gnu.linkonce.this_module'], 'hello', 'block');
    },
  },
  clash: { from: 'clash', edit: (b) => replaceAll(b, 'utf8_to_utf3x', 'utf8_to_utf32') },
  truncated: { from: 'hello', edit: (b) => b.subarray(0, b.length >> 1) },
  tiny: { from: 'hello', edit: (b) => b.subarray(0, 40) },
  bad_magic: { from: 'hello', edit: (b) => poke(b, 0, [0x7e]) },
  not_relocatable: { from: 'hello', edit: (b) => poke(b, 16, [3, 0]) },
  other_machine: { from: 'hello', edit: (b) => poke(b, 18, [0xb7, 0]) },
  bad_shentsize: { from: 'hello', edit: (b) => poke(b, 58, [63, 0]) },
  bad_shstrndx: { from: 'hello', edit: (b) => poke(b, 62, [0xff, 0x7f]) },
  bad_relocation: { from: 'hello', edit: (b, s) => poke(b, s['.rela.init.text'].offset + 8, [9, 0, 0, 0]) },
  dirty_target: {
    from: 'hello',
    edit: (b, s) => poke(b, s['.init.text'].offset + relocationOffset(b, s['.rela.init.text']), [1]),
  },
  bad_signature: { from: 'hello', edit: (b) => Buffer.concat([b, signatureTrailer(16)]) },
  empty: { from: 'hello', edit: () => Buffer.alloc(0) },
};

/** Derived by binutils rather than by changing bytes. */
const stripped = { stripped: { from: 'hello', arguments: ['--strip-all'] } };

function sectionsOf(bytes) {
  const table = Number(bytes.readBigUInt64LE(40));
  const count = bytes.readUInt16LE(60);
  const header = (i) => {
    const at = table + i * 64;
    return {
      header: at,
      name: bytes.readUInt32LE(at),
      offset: Number(bytes.readBigUInt64LE(at + 24)),
      size: Number(bytes.readBigUInt64LE(at + 32)),
    };
  };
  const names = header(bytes.readUInt16LE(62)).offset;
  const sections = {};
  for (let i = 1; i < count; i++) {
    const s = header(i);
    const start = names + s.name;
    const name = bytes.toString('latin1', start, bytes.indexOf(0, start));
    sections[name] = { ...s, nameAt: start };
  }
  return sections;
}

function find(bytes, section, text) {
  const at = bytes.subarray(section.offset, section.offset + section.size).indexOf(text, 0, 'latin1');
  if (at < 0) throw new Error(`'${text}' is not in the section`);
  return section.offset + at;
}

function poke(bytes, at, values) {
  Buffer.from(values).copy(bytes, at);
  return bytes;
}

function replace(bytes, section, old, text) {
  if (text.length !== old.length) throw new Error(`'${text}' and '${old}' differ in length`);
  bytes.write(text, find(bytes, section, old), 'latin1');
  return bytes;
}

function replaceAll(bytes, old, text) {
  for (let at = bytes.indexOf(old); at >= 0; at = bytes.indexOf(old, at)) bytes.write(text, at, 'latin1');
  return bytes;
}

function replaceAfter(bytes, section, tag, text) {
  bytes.write(text, find(bytes, section, tag) + tag.length, 'latin1');
  return bytes;
}

/** Overwrites a whole string of .modinfo with zeros, which readers skip. */
function blank(bytes, section, tag) {
  const at = find(bytes, section, tag);
  return bytes.fill(0, at, bytes.indexOf(0, at));
}

function renameSection(bytes, sections, from, to) {
  bytes.write(to, sections[from].nameAt, 'latin1');
  return bytes;
}

function versionEntry(bytes, section, symbol) {
  return find(bytes, section, `${symbol}\0`) - 8;
}

function flipCrc(bytes, section, symbol) {
  const at = versionEntry(bytes, section, symbol);
  bytes[at] ^= 0xff;
  return bytes;
}

function renameVersion(bytes, section, from, to) {
  bytes.write(to, versionEntry(bytes, section, from) + 8, 'latin1');
  return bytes;
}

function proprietary(bytes, sections) {
  return replace(
    bytes,
    sections['.modinfo'],
    'license=GPL and additional rights',
    `license=Proprietary${'\0'.repeat(14)}`,
  );
}

/** Where the first relocation of a section applies. */
function relocationOffset(bytes, rela) {
  return Number(bytes.readBigUInt64LE(rela.offset));
}

/** A signature trailer whose PKCS#7 part is not one. */
function signatureTrailer(length) {
  const info = Buffer.alloc(12);
  info[2] = 2;
  info.writeUInt32BE(length, 8);
  return Buffer.concat([Buffer.alloc(length, 0x2e), info, Buffer.from('~Module signature appended~\n')]);
}

function kbuild(names) {
  const lines = [`obj-m := ${names.map((n) => `${n}.o`).join(' ')}`];
  for (const [name, value] of Object.entries(flags)) lines.push(`CFLAGS_${name}.o := ${value}`);
  return `${lines.join('\n')}\n`;
}

function make(headers, names, work) {
  for (const f of readdirSync(sources)) if (/\.[ch]$/.test(f)) copyFileSync(join(sources, f), join(work, f));
  writeFileSync(join(work, 'Kbuild'), kbuild(names));
  // BUG(), WARN() and the build id remember file names: they must not depend on where the build ran.
  const prefix = `KCFLAGS=-ffile-prefix-map=${work}/=`;
  // Unresolved symbols are the point of some fixtures: modpost shall warn, not stop.
  const text = execFileSync(
    'make',
    ['-C', headers, `M=${work}`, 'KBUILD_MODPOST_WARN=1', prefix, '-j2', 'modules'],
    {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'inherit'],
    },
  );
  if (process.env.VERBOSE) process.stdout.write(text);
  for (const name of names) execFileSync('strip', ['--strip-debug', join(work, `${name}.ko`)]);
}

function keep(name, bytes) {
  writeFileSync(join(built, `${name}.ko`), bytes);
}

const isNarrow = (headers) => !readFileSync(join(headers, '.config'), 'utf8').includes('CONFIG_64BIT=y');

/** Headers that were unpacked rather than installed: both halves find each other and the host's kbuild. */
function mendUnpacked(headers) {
  const file = join(headers, 'Makefile');
  const [, common] = /^include (\S+)\/Makefile$/m.exec(readFileSync(file, 'utf8')) ?? [];
  if (common === undefined || existsSync(common)) return;
  writeFileSync(file, `include ${join(dirname(headers), basename(common))}/Makefile\n`);
  const scripts = join(dirname(dirname(headers)), 'lib');
  mkdirSync(scripts, { recursive: true });
  for (const name of readdirSync('/usr/lib').filter((entry) => entry.startsWith('linux-kbuild-'))) {
    if (!existsSync(join(scripts, name))) symlinkSync(join('/usr/lib', name), join(scripts, name));
  }
}

function options(args) {
  const chosen = [];
  let headers;
  for (let i = 0; i < args.length; i++) {
    if (args[i] === '--headers') headers = args[++i];
    else chosen.push(args[i]);
  }
  headers ??= readdirSync('/lib/modules')
    .map((v) => `/lib/modules/${v}/build`)
    .filter((d) => existsSync(d))
    .at(-1);
  if (!headers) throw new Error('no kernel headers below /lib/modules: install linux-headers-amd64');
  return { headers: resolve(headers), chosen };
}

function main() {
  const { headers, chosen } = options(process.argv.slice(2));
  mendUnpacked(headers);
  const wide = !isNarrow(headers);
  if (!wide) {
    built = join(sources, 'built-686');
    chosen.push(...(chosen.length === 0 ? narrow.split(' ') : []));
  }
  const all = readdirSync(sources)
    .filter((f) => f.endsWith('.c'))
    .map((f) => f.slice(0, -2))
    .filter((n) => chosen.length === 0 || chosen.includes(n));
  const work = mkdtempSync(join(tmpdir(), 'fixtures-'));
  mkdirSync(built, { recursive: true });
  try {
    const groups = [all.filter((n) => !apart.has(n)), ...all.filter((n) => apart.has(n)).map((n) => [n])];
    const made = new Map();
    for (const [i, names] of groups.entries()) {
      if (names.length === 0) continue;
      const dir = join(work, String(i));
      mkdirSync(dir);
      make(headers, names, dir);
      for (const n of names) made.set(n, readFileSync(join(dir, `${n}.ko`)));
    }
    for (const [name, bytes] of made) keep(name, bytes);
    for (const [name, d] of Object.entries(wide ? derived : {})) {
      const from = made.get(d.from);
      if (from) keep(name, d.edit(Buffer.from(from), sectionsOf(from)));
    }
    for (const [name, d] of Object.entries(wide ? stripped : {})) {
      const from = made.get(d.from);
      if (!from) continue;
      keep(name, from);
      execFileSync('strip', [...d.arguments, join(built, `${name}.ko`)]);
    }
  } finally {
    if (!process.env.KEEP) rmSync(work, { recursive: true });
  }
  const files = readdirSync(built);
  const total = files.reduce((sum, f) => sum + statSync(join(built, f)).size, 0);
  console.log(`${files.length} files, ${total} bytes in ${built}`);
}

try {
  main();
} catch (error) {
  console.error(error.message);
  process.exitCode = 1;
}
