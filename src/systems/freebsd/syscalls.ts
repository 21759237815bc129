/** kldload(2), kldunload(2) and their like, as a process calls them (sys/kern/kern_linker.c). */

import { MissingFunctionReached } from '../../kernel/missing.ts';
import { Deadlock } from '../../kernel/scheduler.ts';
import type { Steps } from '../../kernel/steps.ts';
import { ThreadKilled } from '../../kernel/thread.ts';
import type { Address } from '../../memory/space.ts';
import type { Booted } from './boot.ts';
import { Errno, KernelErrno } from './errno.ts';
import { panicState } from './faults.ts';
import { UNLOAD } from './linker.ts';

/** Who makes a call. */
export interface Credential {
  readonly uid: number;
}
export const ROOT: Credential = { uid: 0 };

/** How a call ended: a value, an error number, or that the kernel went no further. */
export type CallResult<T> =
  | { readonly outcome: 'done'; readonly value: T }
  | { readonly outcome: 'failed'; readonly error: KernelErrno }
  /** The kernel panicked, or the call never ends. */
  | { readonly outcome: 'killed'; readonly why: string }
  /** It reached a kernel function that nobody wrote. */
  | { readonly outcome: 'missing'; readonly missing: MissingFunctionReached };

/** Makes a call as a process of that name; everything that a module can cause is a result. */
export function performCall<T>(booted: Booted, name: string, steps: Steps<T>, who = ROOT): CallResult<T> {
  const { k } = booted;
  const { text } = k.state(panicState);
  if (text !== undefined)
    return { outcome: 'killed', why: `the system is down since the panic '${text}'; boot it again` };
  try {
    return { outcome: 'done', value: k.runProcess(name, steps, who.uid) };
  } catch (error) {
    if (error instanceof KernelErrno) return { outcome: 'failed', error };
    if (error instanceof ThreadKilled) return { outcome: 'killed', why: error.message };
    if (error instanceof Deadlock) return { outcome: 'killed', why: error.message };
    if (error instanceof MissingFunctionReached) return { outcome: 'missing', missing: error };
    throw error;
  }
}

function mayChange({ k }: Booted, { uid }: Credential): void {
  if (k.securelevel > 0) {
    const why = `kern.securelevel is ${k.securelevel}: from 1 on no module comes or goes.`;
    throw new KernelErrno(Errno.EPERM, why, 'It can only be lowered by a reboot.');
  }
  if (uid !== 0)
    throw new KernelErrno(Errno.EPERM, 'Loading needs the privilege PRIV_KLD_LOAD.', 'Do it as root.');
}

/** kldload: a name with a slash or a dot is a file, any other an interface. The id of the new file. */
export function* kldload(booted: Booted, name: string, who = ROOT): Steps<number> {
  mayChange(booted, who);
  const { linker, k } = booted;
  if (name.length >= 1024) throw new KernelErrno(Errno.ENAMETOOLONG);
  const isFile = /[/.]/.test(name);
  const file = yield* linker.loadModule(isFile ? name : undefined, isFile ? undefined : name, 0);
  k.write('linker_file.userrefs', file, k.read('linker_file.userrefs', file) + 1);
  return k.read('linker_file.id', file);
}

/** kldunloadf */
export function* kldunload(
  booted: Booted,
  id: number,
  flags: number = UNLOAD.NORMAL,
  who = ROOT,
): Steps<void> {
  const { linker, k } = booted;
  if (flags !== UNLOAD.NORMAL && flags !== UNLOAD.FORCE) throw new KernelErrno(Errno.EINVAL);
  mayChange(booted, who);
  const file = linker.find(id);
  if (file === undefined || !linker.isLinked(file))
    throw new KernelErrno(Errno.ENOENT, `There is no file of id ${id}.`, 'kldstat lists the ids.');
  const users = k.read('linker_file.userrefs', file);
  if (users === 0) {
    k.printf('kldunload: attempt to unload file that was loaded by the kernel\n');
    const why = `${linker.fileName(file)} was not loaded by kldload, but for another file or by the boot loader.`;
    throw new KernelErrno(Errno.EBUSY, why, 'It goes with the last file that depends on it.');
  }
  k.write('linker_file.userrefs', file, users - 1);
  try {
    yield* linker.unloadFile(file, flags);
  } catch (error) {
    k.write('linker_file.userrefs', file, users);
    throw error;
  }
}

/** kldfind: by base name. */
export function kldfind({ linker, k }: Booted, name: string): number {
  const file = linker.findByName(name);
  if (file === undefined)
    throw new KernelErrno(Errno.ENOENT, `No file ${name} is loaded.`, 'kldstat lists them.');
  return k.read('linker_file.id', file);
}

export interface FileStat {
  readonly file: Address;
  readonly name: string;
  readonly path: string;
  readonly refs: number;
  readonly id: number;
  readonly address: Address;
  readonly size: number;
}

/** kldstat of every linked file, in the kernel's order. */
export function kldstat({ linker, k }: Booted): FileStat[] {
  return linker
    .list()
    .filter((file) => linker.isLinked(file))
    .map((file) => ({
      file,
      name: linker.fileName(file),
      path: linker.pathName(file),
      refs: linker.refs(file),
      id: k.read('linker_file.id', file),
      address: k.read('linker_file.address', file),
      size: k.read('linker_file.size', file),
    }));
}

export interface SymbolStat {
  readonly name: string;
  readonly value: Address;
  readonly size: number;
  /** linker_file that defines it. */
  readonly file: Address;
}

/** kldsym with KLDSYM_LOOKUP: in the file of that id, or in every file in their order for id 0. */
export function kldsym({ linker, k }: Booted, id: number, name: string): SymbolStat {
  const files = linker.list().filter((file) => id === 0 || k.read('linker_file.id', file) === id);
  if (files.length === 0)
    throw new KernelErrno(Errno.ENOENT, `There is no file of id ${id}.`, 'kldstat lists the ids.');
  for (const file of files) {
    const own = linker.module(file)?.symbols.get(name);
    if (own !== undefined) return { name, value: own.address, size: own.size, file };
    const kernels = file === linker.kernel ? k.ownSymbol(name) : undefined;
    // Sizes of the kernel's functions are not known: they are no machine code here.
    if (kernels !== undefined)
      return { name, value: kernels, size: k.data.nearest(kernels)?.size ?? 0, file };
  }
  throw new KernelErrno(Errno.ENOENT, `Nobody who was asked has a symbol ${name}.`);
}
