/**
 * The start of a Linux machine as its modules see it: what the initramfs, the configuration and the hardware ask for, what
 * modprobe makes of that, and what the kernel says. Nothing of the machine is run but modules, in a base kernel.
 */
import { decompress } from '../../../bytes/decompress.ts';
import { FormatError } from '../../../bytes/errors.ts';
import { setModulesDisabled } from '../../../systems/linux/module-sysctl.ts';
import { nameOfPath } from '../../../systems/linux/tree/names.ts';
import type { BootStep } from '../../boot.ts';
import type { SystemFiles } from '../../system.ts';
import type { LinuxSession } from '../session.ts';
import {
  type Asked,
  askedByCommandLine,
  askedByFiles,
  askedByInitramfs,
  initramfsBlacklist,
  modulesDisabledBy,
  wordsAboutModules,
} from './asked.ts';
import { ModuleLoader } from './loader.ts';
import { Unpacked } from './unpacked.ts';

export interface StoryRequest {
  readonly session: LinuxSession;
  readonly commandLine: string;
  /** What the boot loader chose, in words; undefined when none was asked. */
  readonly entry: string | undefined;
  /** The root of the machine: as it reads its files, and where it is here. */
  readonly root: { readonly files: SystemFiles; readonly folder: string } | undefined;
  readonly initramfs: { readonly name: string; readonly bytes: Uint8Array } | undefined;
  /** A line for each piece of hardware. */
  readonly modaliases: readonly string[];
  /** Reads files below a folder here. */
  readonly filesIn: (folder: string) => SystemFiles;
}

const INITRAMFS = 'initramfs';
const MODULES_LOAD = 'modules-load';
const HARDWARE = 'hardware (udev)';

/** @throws FormatError when the initramfs is none */
export async function tellBoot(request: StoryRequest): Promise<BootStep[]> {
  const steps: BootStep[] = [...loaderSteps(request)];
  if (request.initramfs !== undefined) steps.push(...(await inInitramfs(request, request.initramfs)));
  const { root, session, commandLine, modaliases } = request;
  if (root === undefined) return steps;
  const loader = await ModuleLoader.open(session, { ...root, commandLine, blacklist: [] });
  try {
    const asked = [...askedByFiles(root.files), ...askedByCommandLine(commandLine, ['modules-load'])];
    steps.push(...loadAll(loader, MODULES_LOAD, asked));
    const switched = modulesDisabledBy(root.files);
    if (switched !== undefined) {
      setModulesDisabled(session.k, 1);
      const why = 'Nothing is loaded or unloaded any more until the next start.';
      steps.push({
        stage: 'sysctl',
        subject: 'kernel.modules_disabled',
        outcome: 'note',
        because: switched,
        why,
      });
    }
    steps.push(...loadHardware(loader, modaliases));
  } finally {
    loader.close();
  }
  return steps;
}

function* loaderSteps({ entry, commandLine }: StoryRequest): Iterable<BootStep> {
  const stage = 'boot loader';
  if (entry !== undefined) yield { stage, subject: entry, outcome: 'note' };
  if (commandLine !== '') yield { stage, subject: `command line: ${commandLine}`, outcome: 'note' };
  for (const { text, meaning } of wordsAboutModules(commandLine))
    yield { stage, subject: text, outcome: 'note', why: meaning };
}

async function inInitramfs(
  request: StoryRequest,
  { name, bytes }: { readonly name: string; readonly bytes: Uint8Array },
): Promise<BootStep[]> {
  const { session, commandLine, root, modaliases } = request;
  const { release } = session.k.file;
  const unpacked = new Unpacked(bytes, release);
  try {
    const files = request.filesIn(unpacked.folder);
    const count = unpacked.modules.size;
    const subject = `${name}: ${count} modules for ${release}`;
    const steps: BootStep[] = [{ stage: INITRAMFS, subject, outcome: 'note' }];
    if (root !== undefined) steps.push(...changedModules(unpacked, root.files, release));
    if (count === 0) return steps;
    const blacklist = initramfsBlacklist(commandLine);
    const loader = await ModuleLoader.open(session, { folder: unpacked.folder, commandLine, blacklist });
    try {
      const early = askedByCommandLine(commandLine, ['rd.driver.pre', 'rd.modules-load']);
      steps.push(
        ...loadAll(loader, INITRAMFS, [...early, ...askedByInitramfs(files), ...askedByFiles(files)]),
      );
      steps.push(...loadHardware(loader, modaliases, INITRAMFS));
    } finally {
      loader.close();
    }
    return steps;
  } finally {
    unpacked.remove();
  }
}

/** Modules that are not those of the root: nothing in the start compares them. */
function* changedModules({ modules }: Unpacked, root: SystemFiles, release: string): Iterable<BootStep> {
  for (const [path, bytes] of modules) {
    const own = ['', '.xz', '.zst', '.gz']
      .map((ending) => root.read(`/lib/modules/${release}/${path.replace(/\.(xz|zst|gz)$/, '')}${ending}`))
      .find((found) => found !== undefined);
    if (own === undefined || sameModule(own, bytes)) continue;
    const why =
      'This file is not the one in /lib/modules of the root. Nothing in the start compares them: only a kernel that ' +
      'demands signatures (module.sig_enforce=1, lockdown) refuses one that was changed and not signed again.';
    yield { stage: INITRAMFS, subject: nameOfPath(path), outcome: 'note', because: path, why };
  }
}

function sameModule(a: Uint8Array, b: Uint8Array): boolean {
  try {
    return Buffer.compare(decompress(a), decompress(b)) === 0;
  } catch (error) {
    // What cannot be unpacked is another file.
    if (error instanceof FormatError) return Buffer.compare(a, b) === 0;
    throw error;
  }
}

function loadAll(loader: ModuleLoader, stage: string, asked: readonly Asked[]): BootStep[] {
  return asked.flatMap((one) => loader.load(stage, one));
}

/** Hardware that no module is for is passed over, as udev does. */
function loadHardware(loader: ModuleLoader, modaliases: readonly string[], stage = HARDWARE): BootStep[] {
  return modaliases.flatMap((alias) =>
    loader.load(stage, { name: alias, parameters: '', because: `modalias ${alias}` }, true),
  );
}
