// Builds fixtures/freebsd/*.c with clang and lld and writes the results to fixtures/freebsd/built, which is committed, so
// that neither the tour nor the tests need a compiler. Run it after a source changes.
//
//   node scripts/build-fixtures-freebsd.mjs [NAME...]
//
// Needs clang, ld.lld and llvm-objcopy.
import { execFileSync } from 'node:child_process';
import { copyFileSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const sources = join(root, 'fixtures/freebsd');
const built = join(sources, 'built');

/** Headers of another release than the rest: the textbook case of a module that was built for 6.0, and vnodes of 10.1. */
const versions = { old: 600034, tinyfs: 1001000, 'hello-arm64': 1400097 };
/** Those of further machines are built for the same release as that for arm64. */
for (const name of ['riscv64', 'arm', 'powerpc', 'powerpc64'])
  versions[`hello-${name}`] = versions['hello-arm64'];
/** The same source under other names. */
const sourceOf = {
  old: 'hello',
  hello32: 'hello',
  echo32: 'echo',
  shared: 'hello',
  'hello-arm64': 'hello',
  'hello-riscv64': 'hello',
  'hello-arm': 'hello',
  'hello-powerpc': 'hello',
  'hello-powerpc64': 'hello',
};
/** Machines whose modules are described and linked, and not run. */
const OTHERS = {
  'hello-arm64': {
    target: 'aarch64-unknown-freebsd',
    flags: ['-mgeneral-regs-only', '-fPIC'],
    emulation: 'aarch64elf',
  },
  'hello-riscv64': {
    target: 'riscv64-unknown-freebsd',
    flags: ['-march=rv64imac', '-mabi=lp64', '-mcmodel=medany', '-fPIC'],
    emulation: 'elf64lriscv',
  },
  'hello-arm': {
    target: 'armv7-unknown-freebsd',
    flags: ['-march=armv7-a', '-mfloat-abi=soft', '-fPIC'],
    emulation: 'armelf',
  },
  'hello-powerpc': {
    target: 'powerpc-unknown-freebsd',
    flags: ['-msoft-float', '-fPIC'],
    emulation: 'elf32ppc_fbsd',
  },
  'hello-powerpc64': {
    target: 'powerpc64-unknown-freebsd',
    flags: ['-mabi=elfv2', '-msoft-float', '-fPIC'],
    emulation: 'elf64ppc',
  },
};

const COMMON =
  '-O2 -g0 -std=c11 -ffreestanding -fno-builtin -fno-common -fno-stack-protector -fno-asynchronous-unwind-tables'.split(
    ' ',
  );
const WARNINGS = '-Wall -Wextra -Werror -Wno-initializer-overrides'.split(' ');
/** sys/conf/kern.mk: the kernel's code model, no red zone, no vector registers. */
const AMD64 = '-mcmodel=kernel -mno-red-zone -mno-mmx -mno-sse -fno-pic'.split(' ');
const I386 = '-mno-mmx -mno-sse -fno-pic'.split(' ');

/** amd64 modules are relocatable (`ld -r`); those of i386, and `shared`, are shared objects. */
function build(name, to, work) {
  const source = join(sources, `${sourceOf[name] ?? name}.c`);
  const bits32 = name.endsWith('32');
  const other = OTHERS[name];
  const target = other?.target ?? (bits32 ? 'i386-unknown-freebsd' : 'x86_64-unknown-freebsd');
  const object = join(work, `${name}.o`);
  const out = join(to, `${name}.ko`);
  const machine =
    other !== undefined
      ? other.flags
      : bits32
        ? I386
        : name === 'shared'
          ? ['-mno-red-zone', '-mno-sse', '-fPIC']
          : AMD64;
  const version = versions[name] === undefined ? [] : [`-DFREEBSD_VERSION=${versions[name]}`];
  execFileSync('clang', [
    `--target=${target}`,
    ...COMMON,
    ...WARNINGS,
    ...machine,
    ...version,
    '-c',
    source,
    '-o',
    object,
  ]);
  const shared = [
    '-shared',
    '-Bsymbolic',
    '-z',
    'notext',
    '-z',
    'norelro',
    '--hash-style=sysv',
    '--build-id=none',
  ];
  const emulation = ['-m', other?.emulation ?? (bits32 ? 'elf_i386_fbsd' : 'elf_x86_64_fbsd')];
  execFileSync('ld.lld', [
    ...emulation,
    ...(bits32 || other !== undefined || name === 'shared' ? shared : ['-r']),
    '-o',
    out,
    object,
  ]);
  execFileSync('llvm-objcopy', [
    '--strip-debug',
    '--remove-section=.comment',
    '--remove-section=.llvm_addrsig',
    out,
  ]);
}

/** What a tool can see of kernels of two releases, for `lkm check` and `lkm boot`; nothing of them is ever run. */
function buildKernel(name, version, to, work, machine) {
  const object = join(work, `${name}.o`);
  const defines = [`-DFREEBSD_VERSION=${version}`];
  const { target, flags, emulation, base } = machine ?? {
    target: 'x86_64-unknown-freebsd',
    flags: AMD64,
    emulation: 'elf_x86_64_fbsd',
    base: '0xffffffff80200000',
  };
  const source = join(sources, 'kernel/kernel.c');
  const compiler = [`--target=${target}`, ...COMMON, ...flags, ...defines];
  execFileSync('clang', [...compiler, '-c', source, '-o', object]);
  const place = [`--image-base=${base}`, '-e', 'btext', '--build-id=none', '-z', 'max-page-size=4096'];
  execFileSync('ld.lld', ['-m', emulation, '-static', ...place, '-o', join(to, name), object]);
  execFileSync('llvm-objcopy', ['--strip-debug', '--remove-section=.comment', join(to, name)]);
}

mkdirSync(built, { recursive: true });
const all = readdirSync(sources)
  .filter((name) => name.endsWith('.c'))
  .map((name) => name.slice(0, -2));
const wanted = process.argv.slice(2);
const work = mkdtempSync(join(tmpdir(), 'lkm-freebsd-'));
for (const name of [...all, ...Object.keys(sourceOf)]) {
  if (wanted.length === 0 || wanted.includes(name)) build(name, built, work);
}
for (const [name, version] of Object.entries({ 'kernel-13.2': 1302001, 'kernel-14.0': 1400097 })) {
  if (wanted.length === 0 || wanted.includes(name)) buildKernel(name, version, built, work);
}
if (wanted.length === 0)
  buildKernel('kernel-14.0-arm64', 1400097, built, work, {
    ...OTHERS['hello-arm64'],
    base: '0xffff000000000000',
  });
/** A machine to boot: its configuration is written by hand, its kernel and modules are these. */
const machine = join(sources, 'machine/boot');
mkdirSync(join(machine, 'kernel'), { recursive: true });
mkdirSync(join(machine, 'modules'), { recursive: true });
copyFileSync(join(built, 'kernel-13.2'), join(machine, 'kernel/kernel'));
for (const name of ['hello', 'exporter', 'importer', 'pnp', 'old'])
  copyFileSync(join(built, `${name}.ko`), join(machine, `modules/${name}.ko`));
rmSync(work, { recursive: true });
