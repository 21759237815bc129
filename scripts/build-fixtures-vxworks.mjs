// Builds fixtures/vxworks/*.c and *.cpp as relocatable objects, for the machines that run here and for some that are only
// described and linked, and writes them to fixtures/vxworks/built. They are committed: tests need no compiler.
//
//   node scripts/build-fixtures-vxworks.mjs [NAME...]
//
// Needs gcc with 32-bit code generation (-m32 -c needs no libraries), g++, clang, lld,
// gcc-mingw-w64-i686 (for COFF) and binutils-sh4-linux-gnu.
import { execFileSync } from 'node:child_process';
import { mkdirSync, readdirSync, rmSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const sources = join(root, 'fixtures/vxworks');
const built = join(sources, 'built');

const common = [
  '-O2',
  '-ffreestanding',
  '-fno-builtin',
  '-fno-asynchronous-unwind-tables',
  '-fno-stack-protector',
  '-fno-delete-null-pointer-checks',
  '-Wall',
  '-Wno-array-bounds',
];
const plusplus = ['-fno-exceptions', '-fno-rtti', '-fno-use-cxa-atexit', '-fno-threadsafe-statics'];

const machines = {
  '': {
    compiler: 'gcc',
    flags: ['-m64', '-mcmodel=kernel', '-mno-red-zone', '-fno-pic', '-fcf-protection=none', '-mno-sse'],
  },
  i386: { compiler: 'gcc', flags: ['-m32', '-march=pentium', '-fno-pic', '-fcf-protection=none'] },
};
const described = {
  ppc: ['--target=powerpc-unknown-elf', '-fno-pic'],
  arm: ['--target=arm-none-eabi', '-mcpu=cortex-a8', '-fno-pic'],
  mips: ['--target=mips-unknown-elf', '-fno-pic', '-mno-abicalls'],
  sparc: ['--target=sparc-unknown-elf', '-fno-pic'],
  m68k: ['--target=m68k-unknown-elf', '-fno-pic'],
};

const FLOATING = ['floats', 'streams'];
const only = process.argv.slice(2);
const wanted = (name) => only.length === 0 || only.includes(name);

function compile(compiler, flags, source, target) {
  const language = source.endsWith('.cpp') ? plusplus : ['-std=gnu11'];
  mkdirSync(dirname(target), { recursive: true });
  execFileSync(compiler, [...common, ...flags, ...language, '-c', join(sources, source), '-o', target], {
    stdio: 'inherit',
  });
  execFileSync('objcopy', ['--remove-section=.comment', '--remove-section=.note.GNU-stack', target], {
    stdio: 'ignore',
  });
}

function quietly(action) {
  try {
    action();
  } catch {
    // objcopy of the build machine does not know every machine: the section stays.
  }
}

if (only.length === 0) rmSync(built, { recursive: true, force: true });
for (const source of readdirSync(sources).filter((name) => /\.(c|cpp)$/.test(name))) {
  const name = source.replace(/\.\w+$/, '');
  if (!wanted(name)) continue;
  if (name === 'coff') {
    compile(
      'i686-w64-mingw32-gcc',
      ['-march=pentium', '-fno-ident'],
      source,
      join(built, 'coff', 'addThem.o'),
    );
    continue;
  }
  const commons = name.startsWith('common') ? ['-fcommon'] : ['-fno-common'];
  for (const [folder, { compiler, flags }] of Object.entries(machines)) {
    const tool = source.endsWith('.cpp') ? 'g++' : compiler;
    // The floating point of those that are about it.
    const floating = FLOATING.includes(name) ? ['-O1', ...(folder === '' ? ['-msse2'] : [])] : [];
    compile(tool, [...flags, ...commons, ...floating], source, join(built, folder, `${name}.o`));
  }
}
for (const [machine, flags] of Object.entries(described)) {
  if (!wanted('hello')) break;
  quietly(() =>
    compile(
      'clang',
      [...flags, '-fno-common', '-Wno-unused-command-line-argument', '-fintegrated-as'],
      'hello.c',
      join(built, machine, 'hello.o'),
    ),
  );
}
if (wanted('sh')) {
  mkdirSync(join(built, 'sh'), { recursive: true });
  execFileSync('sh4-linux-gnu-as', [join(sources, 'sh.s'), '-o', join(built, 'sh', 'twice.o')], {
    stdio: 'inherit',
  });
}
// What another linker makes of the same objects, to compare relocations with.
for (const machine of ['ppc', 'arm']) {
  if (!wanted('hello')) break;
  const [object, linked] = ['hello.o', 'hello.linked'].map((name) => join(built, machine, name));
  const places = ['-Ttext=0x400000', '--defsym=printf=0x500000', '-e', 'hello'];
  execFileSync('ld.lld', ['-O0', '-N', '-s', ...places, object, '-o', linked], { stdio: 'inherit' });
}
const total = readdirSync(built, { recursive: true }).reduce(
  (sum, name) => sum + statSync(join(built, name)).size,
  0,
);
console.log(`${total} bytes in fixtures/vxworks/built`);
