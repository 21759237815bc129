/** init_module and delete_module as system calls (kernel/module/main.c): a program hands the module over in its memory. */
import type { Steps } from '../../../kernel/steps.ts';
import { Transaction } from '../../../kernel/transaction.ts';
import { type Address, GuestFault } from '../../../memory/space.ts';
import { CAPABILITY, currentMay, fileCredential, ROOT } from '../cred.ts';
import { Errno } from '../errno.ts';
import type { Linux } from '../linux.ts';
import { attemptLoad } from '../loader.ts';
import type { LoadRequest } from '../loading.ts';
import { modulesDisabled } from '../module-sysctl.ts';
import { unloadModule } from '../unload.ts';
import { accessOk } from '../user.ts';
import { Refusal } from '../verdict.ts';
import { kernelFunctions } from './define.ts';
import { byteString } from './format/printf.ts';

/** sizeof(Elf_Ehdr): less than that is refused before anything is copied. */
const elfHeader = (k: Linux): number => (k.arch.bits === 64 ? 64 : 52);
/** Longest argument string taken; the kernel has no limit of its own. */
const MAX_ARGUMENTS = 65536;
const MAX_NAME = 56;
const O_TRUNC = 0o1000;

function userBytes(k: Linux, at: Address, length: number): Uint8Array | undefined {
  if (!accessOk(k, at, length)) return undefined;
  try {
    return k.memory.bytes(at, length);
  } catch (error) {
    if (error instanceof GuestFault) return undefined;
    throw error;
  }
}

function userString(k: Linux, at: Address, max: number): string | undefined {
  if (!accessOk(k, at, 1)) return undefined;
  try {
    return byteString(k, at, max);
  } catch (error) {
    if (error instanceof GuestFault) return undefined;
    throw error;
  }
}

function* initModule(k: Linux, image: Address, length: number, args: Address): Steps<number> {
  if (!currentMay(k, CAPABILITY.SYS_MODULE) || modulesDisabled(k)) return -Errno.EPERM;
  if (length < elfHeader(k)) return -Errno.ENOEXEC;
  if (length > k.memory.frames.total * 4096) return -Errno.ENOMEM;
  const bytes = userBytes(k, image, length);
  const text = userString(k, args, MAX_ARGUMENTS);
  if (bytes === undefined || text === undefined) return -Errno.EFAULT;
  const request: LoadRequest = { bytes, args: text, path: '', flags: {}, credential: ROOT };
  return yield* errnoOf(attemptLoad(k, new Transaction(), request, { unwinding: false }));
}

/** 0, or the negative errno of a refusal. */
function* errnoOf(steps: Steps<unknown>): Steps<number> {
  try {
    yield* steps;
    return 0;
  } catch (error) {
    if (error instanceof Refusal) return -error.errno;
    throw error;
  }
}

function deleteModule(k: Linux, at: Address, flags: number): Steps<number> | number {
  // The loader looks at the user number alone.
  const credential = currentMay(k, CAPABILITY.SYS_MODULE) ? ROOT : fileCredential(k, k.current);
  const name = userString(k, at, MAX_NAME);
  if (name === undefined) return -Errno.EFAULT;
  return errnoOf(unloadModule(k, { name, force: (flags & O_TRUNC) !== 0, credential }));
}

export const moduleCalls = kernelFunctions({
  'long __x64_sys_init_module(const struct pt_regs *regs)': (k, regs) =>
    initModule(k, k.read('pt_regs.di', regs), k.read('pt_regs.si', regs), k.read('pt_regs.dx', regs)),
  'long __ia32_sys_init_module(const struct pt_regs *regs)': (k, regs) =>
    initModule(k, k.read('pt_regs.bx', regs), k.read('pt_regs.cx', regs), k.read('pt_regs.dx', regs)),
  'long __x64_sys_delete_module(const struct pt_regs *regs)': (k, regs) =>
    deleteModule(k, k.read('pt_regs.di', regs), k.read('pt_regs.si', regs)),
  'long __ia32_sys_delete_module(const struct pt_regs *regs)': (k, regs) =>
    deleteModule(k, k.read('pt_regs.bx', regs), k.read('pt_regs.cx', regs)),
});
