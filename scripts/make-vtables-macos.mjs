// Makes src/systems/macos/vtables.gen.ts: the order of the virtual functions of libkern's and I/O Kit's classes in each
// release, and how large an object is. The public C++ headers of each kernel (xnu, libkern/libkern/c++ and iokit/IOKit)
// are compiled with clang, which lays out each class's vtable with the mangled names of its functions; only names, their
// order and numbers are kept.
//
//   node scripts/make-vtables-macos.mjs XNU.git [RELEASE ...]
//
// XNU.git is a clone of the public repository with the kernels of scripts/make-kpi-macos.mjs. clang 14 or newer.
import { execFileSync, spawnSync } from 'node:child_process';
import {
  existsSync,
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
import { deflateSync } from 'fflate';
import { commitsOf, TAGS } from './xnu-kernels.mjs';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const [repository, ...only] = process.argv.slice(2);
const FOLDERS = ['libkern/libkern', 'iokit/IOKit', 'osfmk', 'bsd', 'EXTERNAL_HEADERS', 'pexpert'];
const INCLUDES = ['libkern', 'libkern/libkern', 'iokit', 'osfmk', 'bsd', 'EXTERNAL_HEADERS', 'pexpert'];
/** Which architectures a release's kernel has. */
const ARCHITECTURES = {
  i386: (release) => ['10.5', '10.6', '10.7'].includes(release),
  x86_64: (release) => release !== '10.5',
};

/** What the headers expect of files that are made during Apple's own build, in as few words as compile. */
const PRELUDE = `
#define NULL 0
typedef __SIZE_TYPE__ size_t;
extern "C" {
size_t strlen(const char *); size_t strnlen(const char *, size_t); char *strncpy(char *, const char *, size_t);
size_t strlcpy(char *, const char *, size_t); size_t strlcat(char *, const char *, size_t);
void *memcpy(void *, const void *, size_t); void *memset(void *, int, size_t); void *memmove(void *, const void *, size_t);
int memcmp(const void *, const void *, size_t); int strcmp(const char *, const char *);
int strncmp(const char *, const char *, size_t);
}
#define OS_WARN_RESULT
#define OS_ALWAYS_INLINE inline
#define OS_CONST
#define __IGNORE_WCASTALIGN(x) x
#define __os_warn_unused(x) x
#define os_add_overflow(a, b, c) __builtin_add_overflow(a, b, c)
#define os_sub_overflow(a, b, c) __builtin_sub_overflow(a, b, c)
#define os_mul_overflow(a, b, c) __builtin_mul_overflow(a, b, c)
#define os_mul_and_add_overflow(a, b, x, c) ({ size_t t; __builtin_mul_overflow(a, b, &t) || __builtin_add_overflow(t, x, c); })
#define os_inc_overflow(a) __builtin_add_overflow(*(a), 1, a)
#define __counted_by(x)
#define __counted_by_or_null(x)
#define __sized_by(x)
#define __sized_by_or_null(x)
#define __ended_by(x)
#define __terminated_by(x)
#define __null_terminated
#define __single
#define __unsafe_indexable
#define __indexable
#define __bidi_indexable
#define __header_indexable
#define __header_bidi_indexable
#define OS_PTRAUTH_SIGNED_PTR(x)
#define OS_PTRAUTH_SIGNED_PTR_AUTH_NULL(x)
#define XNU_PTRAUTH_SIGNED_PTR(x)
#define XNU_PTRAUTH_SIGNED_FUNCTION_PTR(x)
#define OS_PTRAUTH_DISCRIMINATOR(x) 0
typedef void *IOStateNotificationListenerRef;
#define register
#define __ptrcheck_abi_assume_single()
#define __ptrcheck_abi_assume_unsafe_indexable()
typedef long long quad_t; typedef unsigned long long u_quad_t;
typedef char *caddr_t; typedef unsigned int u_int; typedef unsigned long u_long; typedef unsigned char u_char; typedef unsigned short u_short;
struct IORPC;
class OSKextAccount; struct OSKextActiveAccount;
`;

const temporary = mkdtempSync(join(tmpdir(), 'vtables-'));
const commits = commitsOf(repository);
/** Release and architecture to a map of class name to { parent, slots, size }. */
const columns = new Map();
try {
  for (const [release, tag] of Object.entries(TAGS)) {
    if (only.length > 0 && !only.includes(release)) continue;
    const folder = headersOf(release, commits.get(tag) ?? tag);
    for (const [architecture, has] of Object.entries(ARCHITECTURES)) {
      if (!has(release)) continue;
      const classes = extract(folder, architecture);
      columns.set(`${architecture} ${release}`, classes);
      console.log(`${architecture} ${release}: ${classes.size} classes`);
    }
  }
} finally {
  rmSync(temporary, { recursive: true, force: true });
}
if (only.length === 0) save();
else console.log([...columns.values()][0]);

function headersOf(release, commit) {
  const folder = join(temporary, release);
  mkdirSync(folder, { recursive: true });
  const there = execFileSync('git', ['-C', repository, 'ls-tree', '--name-only', commit], {
    encoding: 'utf8',
  });
  const wanted = FOLDERS.filter((one) => there.split('\n').includes(one.split('/')[0]));
  const tar = execFileSync('git', ['-C', repository, 'archive', commit, ...wanted], { maxBuffer: 1 << 30 });
  execFileSync('tar', ['x', '-C', folder, '--wildcards', '*.h'], { input: tar });
  return folder;
}

/** Every class with its header and parent, as the text of the headers declares them. */
function declared(folder) {
  const classes = new Map();
  const walk = (at, base) => {
    if (!existsSync(join(folder, base, at))) return;
    for (const entry of readdirSync(join(folder, base, at), { withFileTypes: true })) {
      const path = `${at}/${entry.name}`;
      if (entry.isDirectory()) walk(path, base);
      else if (entry.name.endsWith('.h')) scan(path, base);
    }
  };
  const scan = (path, base) => {
    const text = readFileSync(join(folder, base, path), 'latin1').replace(/\/\*[\s\S]*?\*\/|\/\/.*/g, '');
    for (const [, name, parent] of text.matchAll(
      /\bclass\s+(?:[A-Z_0-9]+\s+)?(\w+)\s*(?:final\s*)?:\s*public\s+(\w+)\s*\{/g,
    )) {
      if (!classes.has(name)) classes.set(name, { header: path, parent });
    }
  };
  walk('libkern/c++', 'libkern');
  walk('IOKit', 'iokit');
  return classes;
}

function source(classes, headers, names) {
  const methods = [...classes.keys(), 'OSObject', 'OSMetaClassBase', 'OSAction'].flatMap((name) => [
    `#define ${name}_Methods public: virtual int Dispatch(const IORPC rpc) override;`,
    `#define ${name}_KernelMethods`,
  ]);
  const includes = ['IOKit/IOReturn.h', ...headers].map((header) => `#include <${header}>`);
  // A vtable is written where the first function of the class that is neither inline nor pure is defined.
  const keys = names.map((name) => `const OSMetaClass *${name}::getMetaClass() const { return 0; }`);
  keys.push('void OSMetaClass::retain() const {}');
  const sizes = [...names, 'OSMetaClass'].map(
    (name) => `extern "C" const unsigned long lkm_size_${name} = sizeof(${name});`,
  );
  return [PRELUDE, ...methods, ...includes, ...keys, ...sizes].join('\n');
}

/** Compiles, taking out what does not compile, and making empty files of what is not there. */
function extract(folder, architecture) {
  const classes = declared(folder);
  const stubs = join(folder, 'stubs');
  mkdirSync(stubs, { recursive: true });
  const bad = new Set();
  const file = join(folder, 'classes.cpp');
  for (let round = 0; round < 200; round++) {
    const names = [...classes.keys()].filter(
      (name) => !bad.has(name) && !bad.has(classes.get(name).header) && name !== 'OSMetaClass',
    );
    const headers = [...new Set(names.map((name) => classes.get(name).header))].sort();
    const text = source(classes, headers, names);
    writeFileSync(file, text);
    const { stdout, stderr, status } = compile(folder, architecture, file, stubs);
    if (status === 0) return vtables(stdout, names, classes);
    if (!blame(stderr, text.split('\n'), stubs, folder, bad)) throw new Error(stderr.slice(0, 3000));
  }
  throw new Error('no end of errors');
}

function compile(folder, architecture, file, stubs) {
  // Headers of 10.5 are of the older language.
  const standard = folder.endsWith('/10.5') ? 'gnu++98' : 'gnu++17';
  const flags = ['-x', 'c++', `-std=${standard}`, '-fno-rtti', '-fno-exceptions', '-w'];
  if (architecture !== 'i386') flags.push('-fapple-kext', '-mkernel');
  const defines = [
    'KERNEL',
    'APPLE',
    'NeXT',
    '__APPLE_API_PRIVATE',
    '__APPLE_API_UNSTABLE',
    'IOKIT',
    'LIBKERNCPP',
  ];
  return spawnSync(
    'clang',
    [
      ...[
        '-target',
        `${architecture}-apple-macosx10.9`,
        '-nostdinc',
        '-ferror-limit=1',
        '-fblocks',
        ...flags,
      ],
      ...defines.map((name) => `-D${name}=1`),
      ...INCLUDES.flatMap((one) => ['-I', join(folder, one)]),
      ...['-I', stubs, '-S', '-emit-llvm', '-Xclang', '-disable-llvm-passes', '-o', '-', file],
    ],
    { encoding: 'utf8', maxBuffer: 1 << 28 },
  );
}

/** What the first error is about is left out from then on. */
function blame(stderr, lines, stubs, folder, bad) {
  const missing = /fatal error: '([^']+)' file not found/.exec(stderr);
  if (missing !== null) {
    mkdirSync(dirname(join(stubs, missing[1])), { recursive: true });
    writeFileSync(join(stubs, missing[1]), '');
    return true;
  }
  const error = /^(\S+?):(\d+):\d+: (?:fatal )?error: (.*)/m.exec(stderr);
  if (error === null) return false;
  const included = /classes\.cpp:(\d+):/.exec(stderr);
  const line = lines[Number((error[1].endsWith('classes.cpp') ? error[2] : included?.[1]) ?? 0) - 1] ?? '';
  const name = /OSMetaClass \*(\w+)::|lkm_size_(\w+)/.exec(line);
  const what = name?.[1] ?? name?.[2] ?? /#include <(.*)>/.exec(line)?.[1];
  if (what === undefined || bad.has(what)) return false;
  console.error(`${folder}: without ${what}: ${error[1].slice(folder.length)}:${error[2]}: ${error[3]}`);
  bad.add(what);
  return true;
}

/** Names in each vtable behind its two words of head, and sizes, from the text of LLVM's intermediate code. */
function vtables(text, names, classes) {
  const slots = new Map();
  for (const [, table, body] of text.matchAll(
    /^@_ZTV(\w+) = [^\n]*?constant \{ \[\d+ x [^\]]+\] \} \{ \[\d+ x [^\]]+\] \[([^\n]*?)\] \}/gm,
  )) {
    const entries = body.split(/, (?=i8\* |ptr )/).slice(2);
    // Kernel code's tables end in a null pointer.
    if (/null\s*$/.test(entries.at(-1) ?? '')) entries.pop();
    slots.set(
      table,
      entries.map((entry) => /@(\w+)/.exec(entry)?.[1] ?? ''),
    );
  }
  const sizes = new Map();
  for (const [, name, size] of text.matchAll(
    /^@(?:"\\01_)?lkm_size_(\w+?)"? = [^\n]*?constant i(?:64|32) (\d+)/gm,
  ))
    sizes.set(name, Number(size));
  const all = new Map();
  for (const name of [...names, 'OSMetaClassBase', 'OSMetaClass']) {
    const found = slots.get(`${name.length}${name}`);
    if (found !== undefined)
      all.set(name, { parent: classes.get(name)?.parent ?? '', slots: found, size: sizes.get(name) ?? 0 });
  }
  return all;
}

/**
 * A line a class and content: `NAME MASK PARENT SIZE SLOTS`, the mask of columns in base 36. SLOTS are only those that differ
 * from the parent's: `INDEX NAME`, an index that follows the one before left out. `!` is a pure function.
 */
function save() {
  const order = [...columns.keys()];
  const lines = new Map();
  for (const [column, key] of order.entries()) {
    const classes = columns.get(key);
    for (const [name, { parent, slots, size }] of classes) {
      const base = classes.get(parent)?.slots ?? [];
      const words = [];
      let next = 0;
      for (const [i, slot] of slots.entries()) {
        if (base[i] === slot) continue;
        if (i !== next) words.push(String(i));
        words.push(slot === '__cxa_pure_virtual' ? '!' : slot.replace(/^_Z/, ''));
        next = i + 1;
      }
      const line = `${classes.has(parent) ? parent : '-'} ${size} ${words.join(' ')}`;
      const at = `${name} ${line}`;
      lines.set(at, { name, line, mask: (lines.get(at)?.mask ?? 0) | (1 << column) });
    }
  }
  const text = [
    order.join(','),
    ...[...lines.values()].map(({ name, line, mask }) => `${name} ${mask.toString(36)} ${line}`).sort(),
  ];
  const packed = Buffer.from(deflateSync(Buffer.from(text.join('\n')), { level: 9 })).toString('base64');
  writeFileSync(
    join(root, 'src/systems/macos/vtables.gen.ts'),
    `// Made by scripts/make-vtables-macos.mjs; do not edit. Deflated text: vtables.ts says how it is read.
export const VTABLES =
  '${packed}';
`,
  );
  console.log(`${lines.size} entries, ${order.length} columns, ${packed.length} bytes`);
}
