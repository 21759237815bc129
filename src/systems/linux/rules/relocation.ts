/** Exactly the checks that apply_relocate_add of x86-64 and apply_relocate of i386 make (arch/x86/kernel/module.c). */

import { SHT } from '../../../formats/elf/layout.ts';
import type { ObjectRelocation } from '../../../formats/object.ts';
import { R_386 } from '../../../link/relocate/i386.ts';
import { R_X86_64 } from '../../../link/relocate/x86-64.ts';
import type { RelocationPolicy, RelocationProblem } from '../../../link/relocate.ts';
import { Errno } from '../errno.ts';
import type { ModuleFile } from '../module-file.ts';
import { hasOtherRelocations } from './as-read.ts';
import { type Judge, Level } from './judge.ts';

/** The kernel computes these but never looks whether they fit (the check is compiled out). */
const UNCHECKED: ReadonlySet<number> = new Set([R_X86_64.PC32, R_X86_64.PLT32]);

/** What __write_relocate_add of 64-bit kernels knows. */
const KNOWN_X86_64: ReadonlySet<number> = new Set([
  R_X86_64.NONE,
  R_X86_64[64],
  R_X86_64.PC32,
  R_X86_64.PLT32,
  R_X86_64[32],
  R_X86_64['32S'],
  R_X86_64.PC64,
]);

/** What apply_relocate of 32-bit kernels knows: it adds to what is in the place, and sums wrap. */
const KNOWN_386: ReadonlySet<number> = new Set([R_386[32], R_386.PC32, R_386.PLT32]);

export function relocationPolicy(judge: Judge, file: ModuleFile): RelocationPolicy {
  const fail = (problem: RelocationProblem, at: ObjectRelocation, index: number): never =>
    failRelocation(judge, file, problem, at, index);
  if (hasOtherRelocations(file)) refuseOther(judge, file);
  if (judge.kernel.bits === 32) return { known: KNOWN_386, emptyPlace: false, fail };
  return { known: KNOWN_X86_64, unchecked: UNCHECKED, emptyPlace: true, fail };
}

function failRelocation(
  judge: Judge,
  file: ModuleFile,
  problem: RelocationProblem,
  at: ObjectRelocation,
  index: number,
): never {
  const section = file.object.sections[at.section];
  const where = `${section?.name ?? at.section}+0x${at.offset.toString(16)}`;
  const symbol = file.object.symbols[at.symbol]?.name || `symbol ${at.symbol}`;
  const hint = "Build the module with the kernel's own flags (kbuild does); if it was, the file is damaged.";
  for (const line of messages(judge, file, problem, numbersOf(file, at, index))) judge.say(Level.ERR, line);
  return judge.refuse(
    'relocation',
    Errno.ENOEXEC,
    `The relocation at ${where} against ${symbol} ${reason(problem)}.`,
    hint,
  );
}

/** A table of the kind that the machine does not use: its entries are not looked at. */
export function refuseOther(judge: Judge, file: ModuleFile): never {
  const message = `module ${file.name}: ${judge.kernel.bits === 64 ? 'REL' : 'RELA'} relocation unsupported`;
  const why = 'A section is relocated in a form that compilers for this machine do not write.';
  return judge.reject('relocation', Errno.ENOEXEC, message, why, 'Compare the file with its package.');
}

/** Where newer kernels say a relocation is: the section of the table, and the number of the entry. */
interface Numbers {
  readonly section: number;
  readonly index: number;
}

function numbersOf({ elf }: ModuleFile, { section }: ObjectRelocation, index: number): Numbers {
  const tables = elf.sections.filter(
    ({ type, info }) => (type === SHT.RELA || type === SHT.REL) && info === section,
  );
  let left = index;
  for (const { index: table, size, entrySize } of tables) {
    const count = Math.floor(size / Math.max(1, entrySize));
    if (left < count) return { section: table, index: left };
    left -= count;
  }
  return { section: 0, index };
}

/** pr_fmt of arch/x86/kernel/module.c puts "module: " in front. */
function messages(judge: Judge, file: ModuleFile, problem: RelocationProblem, number: Numbers): string[] {
  const hex = (value: number) => BigInt.asUintN(64, BigInt(Math.trunc(value))).toString(16);
  switch (problem.kind) {
    case 'unknown-type':
      return [
        `module: ${file.name}: Unknown ${judge.kernel.bits === 64 ? 'rela ' : ''}relocation: ${problem.type}`,
      ];
    case 'no-addend':
      // A stub of include/linux/moduleloader.h says it, which has no prefix.
      return [`module ${file.name}: REL relocation unsupported`];
    case 'not-empty': {
      const numbered = judge.has('relocation-words-numbered');
      const loc = numbered ? hex(problem.at) : judge.hashed(problem.at);
      const where = numbered ? `sec ${number.section}, idx ${number.index}, ` : '';
      const what = `existing value is nonzero for ${where}type ${problem.type}, loc ${loc}, val ${hex(problem.value)}`;
      const verdict = judge.has('relocation-words-invalid') ? 'Invalid' : 'Skipping invalid';
      return [`module: x86/modules: ${verdict} relocation target, ${what}`];
    }
    case 'overflow': {
      const where = judge.has('relocation-words-numbered')
        ? ` sec ${number.section} idx ${number.index}`
        : '';
      const first = `module: overflow in relocation type ${problem.type} val ${hex(problem.value)}${where}`;
      return [first, `module: \`${file.name}' likely not compiled with -mcmodel=kernel`];
    }
    case 'outside':
      return [];
  }
}

function reason(problem: RelocationProblem): string {
  switch (problem.kind) {
    case 'unknown-type':
      return `is of type ${problem.type}, which this kernel does not know`;
    case 'no-addend':
      return 'has no addend of its own, which this kernel does not take';
    case 'not-empty':
      return 'would go to a place that is not zero, so it was applied already or the file is damaged';
    case 'overflow':
      return `gives a value that does not fit into 32 bits (type ${problem.type})`;
    case 'outside':
      return `lies outside of its section of ${problem.size} bytes; the kernel would write over other memory`;
  }
}

/** Where kernels of x86-64 put the copy of the file that they read from, without randomness: VMALLOC_START. */
const COPY_AREA = -0x370000000000;

/** A symbol in a section that is not loaded gets an address in that copy: on x86-64 too far away for 32 bits. */
export function copyAddress({ elf, object }: ModuleFile, section: number, near = 0): number {
  const area = object.machine === 'x86-64' ? COPY_AREA : near;
  return area === 0 ? 0 : area + (elf.sections[section]?.offset ?? 0);
}
