// Builds fixtures/linux/before26/*.c, modules as Linux 2.4 had them, for three machines: fixtures/linux/built-before26. The built
// files are committed. Needs clang, which makes object files for all of them without anything else.
//
//   node scripts/build-fixtures-before26.mjs
import { execFileSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const sources = join(root, 'fixtures/linux/before26');

/** Folder, clang's target, further flags: 32 and 64 bit, either byte order, with and without versions. */
const machines = [
  ['i386', 'i386-linux-gnu', ['-DVERSIONED']],
  ['x86-64', 'x86_64-linux-gnu', ['-mcmodel=kernel']],
  ['mips', 'mips-linux-gnu', ['-DVERSIONED', '-mno-abicalls']],
];

for (const [folder, target, flags] of machines) {
  const built = join(root, 'fixtures/linux/built-before26', folder);
  mkdirSync(built, { recursive: true });
  for (const name of ['meter', 'display']) {
    const common = [
      '-c',
      '-Os',
      '-ffreestanding',
      '-fno-pic',
      '-fno-asynchronous-unwind-tables',
      '-fno-ident',
      '-w',
    ];
    const files = ['-o', join(built, `${name}.o`), join(sources, `${name}.c`)];
    execFileSync('clang', [`--target=${target}`, ...common, ...flags, ...files], { stdio: 'inherit' });
  }
}
