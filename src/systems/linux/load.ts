/**
 * init_module and finit_module: the steps of load_module (kernel/module/main.c) in the order of the kernel that is
 * running. Each step is one function; its file says what it does.
 */
import { FormatError } from '../../bytes/errors.ts';
import { readElf } from '../../formats/elf/read.ts';
import type { Steps } from '../../kernel/steps.ts';
import type { Transaction } from '../../kernel/transaction.ts';
import { GuestFault } from '../../memory/space.ts';
import { completeFormation } from './complete.ts';
import { Errno } from './errno.ts';
import { dumpStack } from './functions/printk.ts';
import type { Linux } from './linux.ts';
import { Loading, type LoadRequest } from './loading.ts';
import type { LinuxModule } from './module.ts';
import { modulesDisabled } from './module-sysctl.ts';
import { copyArguments, parseArguments } from './params.ts';
import { patchModule } from './patch.ts';
import { addUnformed, placeModule, writeImage } from './place-module.ts';
import { relocateModule } from './relocate-module.ts';
import { refuseMissing, resolveImports } from './resolve.ts';
import { checkAppraisal, checkCaller, unpackInKernel } from './rules/caller.ts';
import { checkElf, checkModuleSections, refuseDamaged } from './rules/elf.ts';
import {
  checkExportFlags,
  checkExportVersions,
  checkLicenceNames,
  checkNamespaceImports,
} from './rules/exports.ts';
import { checkBlacklist, checkModinfo, checkStrictLicence, taintByModinfo } from './rules/modinfo.ts';
import { checkUnwindTables, checkWriteExecute } from './rules/sections.ts';
import { checkSignature, reportUnsigned } from './rules/signature.ts';
import { checkModuleLayout } from './rules/symbols.ts';
import { allocatePerCpu, findSections } from './sections.ts';
import { seenFile } from './seen-files.ts';
import { startModule } from './start.ts';
import { setUpSysfs } from './sysfs-modules.ts';
import { TAINT, taintKernel } from './taint.ts';

export type { LoadRequest } from './loading.ts';

/**
 * Loads a module and runs its init function. Throws a Refusal where the kernel returns an error, or where the base kernel
 * lacks something; the caller then unwinds the transaction.
 */
export function* loadModule(k: Linux, t: Transaction, request: LoadRequest): Steps<LinuxModule> {
  const load = new Loading(k, t, request);
  try {
    checkCaller(load.judge, {
      privileged: (request.credential?.uid ?? 0) === 0,
      modulesDisabled: modulesDisabled(k),
      flags: request.flags,
      size: request.bytes.length,
    });
    checkAppraisal(load.judge, request.flags);
    readFile(load);
    yield* form(load);
    yield* completeFormation(load);
    yield* parseArguments(load);
    setUpSysfs(load);
    yield* startModule(load);
    return load.module;
  } catch (error) {
    // The tables of a file are read when first asked for: one that is damaged may show at any step before the start.
    if (error instanceof FormatError) refuseDamaged(load.judge, error);
    // Before the start only the loader's own reads can fault here: a table of the module leads astray.
    if (error instanceof GuestFault && !load.started) refuseWild(load, error);
    throw error;
  }
}

/** Where the real kernel would oops in the middle of a load. */
function refuseWild({ judge }: Loading, fault: GuestFault): never {
  const why = `A table of the module leads outside of its memory: ${fault.message}.`;
  return judge.refuse('wild-table', Errno.ENOEXEC, why, 'Compare the file with its package; it is damaged.');
}

/** Everything that is decided from the file alone, before memory is taken. */
function readFile(load: Loading): void {
  const { judge, request } = load;
  const { flags } = request;
  const seen = seenFile(judge.kernel, unpackInKernel(judge, request.bytes, flags));
  const { bytes, facts } = checkSignature(judge, seen.bytes, flags, seen);
  load.signature = facts;
  load.seen = seen;
  const elf = checkElf(judge, bytes, readElf, seen.elf.get(bytes.length));
  seen.elf.set(bytes.length, elf);
  load.file = checkModuleSections(judge, elf, seen.bytes, flags, seen.module);
  seen.module = load.file;
  checkBlacklist(judge, load.file.statedName);
  checkModuleLayout(judge, load.file, flags);
  if (request.strictLicence) checkStrictLicence(judge, load.file);
}

/** From the first allocation to a module that is linked but not yet known to anybody. */
function* form(load: Loading): Steps<void> {
  const { k, judge, file, request } = load;
  checkModinfo(judge, file, request.flags);
  checkWriteExecute(judge, file);
  placeModule(load);
  yield* addUnformed(load);
  const early = judge.has('early-duplicate-check');
  const before = judge.tainted(TAINT.PROPRIETARY);
  if (early) taintByModinfo(judge, file);
  reportUnsigned(judge, file.name, load.signature);
  if (early) taintByName(load, before);
  allocatePerCpu(load);
  findSections(load);
  if (!early) taintByName(load, judge.tainted(TAINT.PROPRIETARY));
  checkExportFlags(judge, file);
  checkExportVersions(judge, file);
  checkNamespaceImports(judge, file);
  yield* resolveImports(load);
  refuseMissing(load);
  relocateModule(load);
  patchModule(load);
  checkUnwindTables(judge, file, () => {
    dumpStack(k);
    taintKernel(k, TAINT.WARN);
  });
  writeImage(load);
  copyArguments(load);
}

function taintByName({ k, judge, file }: Loading, before: boolean): void {
  checkLicenceNames(judge, file, before, () => {
    k.taint |= 1 << TAINT.PROPRIETARY;
  });
}
