/** The same loads as `lkm check` judges them: by the kernel file alone, each as if the ones before had happened. */
import { checkModule, type OtherModules } from '../../../src/systems/linux/check/check.ts';
import { Subject } from '../../../src/systems/linux/check/subject.ts';
import type { KernelFile } from '../../../src/systems/linux/kernelfile/kernelfile.ts';
import { FileLibrary } from '../../../src/tools/linux/check/library.ts';
import type { LoadAnswer, LoadStep } from './qemu.ts';

/** What the modules export that have stayed. */
function othersOf(kept: ReadonlyMap<string, Uint8Array>): OtherModules {
  const library = new FileLibrary(kept.keys(), true, (path) => kept.get(path) ?? new Uint8Array(0));
  return {
    find: (name, likely) => library.find(name, likely),
    absent: () => undefined,
    complete: true,
  };
}

/** An errno that no kernel has: the check cannot tell. */
const CANNOT_TELL = 9998;

/** What is printed once in a kernel's life, or only the first time that something taints it. */
const ONCE =
  /tainting kernel|Disabling lock debugging|taints kernel|kernel tainted\.$|no (extended )?symbol version|BTF mismatch/;

/** What the module itself says at its start is no question for a check. */
export const isAskable = ({ name, how, flags = 0 }: LoadStep): boolean =>
  how !== 'drop' && how !== 'set' && (flags & 4) === 0 && !name.startsWith('start-');

/** Without the lines that depend on what was loaded before. */
export const askedAlone = (answer: LoadAnswer): LoadAnswer => ({
  ...answer,
  log: answer.log.filter((line) => !ONCE.test(line)),
  taint: 0,
});

/** @param before the kernel's taint mask; `kept`: modules that stayed, by name */
export function askCheck(
  kernel: KernelFile,
  commandLine: string,
  { name, flags = 0, how, args = '', bytes = new Uint8Array(0) }: LoadStep,
  { before, kept }: { readonly before: number; readonly kept: ReadonlyMap<string, Uint8Array> },
): LoadAnswer {
  const state = {
    commandLine,
    taints: before,
    privileged: true,
    modulesDisabled: false,
    flags: {
      ignoreModversions: (flags & 1) !== 0,
      ignoreVermagic: (flags & 2) !== 0,
      unknown: (flags & ~7) !== 0,
      inMemory: how === 'init',
    },
    args,
    certificates: [],
    loaded: new Set(kept.keys()),
  };
  const subject = new Subject(`${name}.ko`, bytes);
  const { answer, rules } = checkModule({ kernel, others: othersOf(kept), state }, subject);
  const errno = rules.find(({ outcome }) => outcome === 'refuse')?.errno ?? 0;
  const log = rules.flatMap(({ said }) => said.map(({ text }) => text));
  return { name, errno: answer === 'cannot-tell' ? CANNOT_TELL : errno, log, taint: 0 };
}
