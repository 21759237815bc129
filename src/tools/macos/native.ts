/** macOS, as the command line reaches it. */
import { FormatError } from '../../bytes/errors.ts';
import { isMachO, readSlices } from '../../formats/macho/fat.ts';
import { MH } from '../../formats/macho/layout.ts';
import { readMachO } from '../../formats/macho/read.ts';
import { KMOD_INFO } from '../../systems/macos/kxld/link.ts';
import type { ModuleFile, NativeSystem } from '../system.ts';
import { holdsBundles } from './archive.ts';
import { boot } from './boot.ts';
import { macosChecker } from './check/checker.ts';
import { describeKext } from './describe.ts';
import { bundleAround, isBundle } from './host-bundle.ts';
import { MacosSession } from './session.ts';
import { SETTINGS } from './settings.ts';

/** A bundle with an Info.plist, that file itself, or an archive with one; a Mach-O file of the kext type, or any with a kmod_info. */
function recognise({ path, bytes }: ModuleFile): number {
  if (bytes === undefined) return isBundle(path) ? 1 : 0;
  if (holdsBundles(path, bytes)) return 1;
  if (!isMachO(bytes)) return /(^|\/)Info\.plist$/.test(path) && bundleAround(path) !== undefined ? 1 : 0;
  try {
    const files = readSlices(bytes).map((slice) => readMachO(slice.bytes));
    if (files.some(({ header }) => header.filetype === MH.KEXT_BUNDLE)) return 1;
    return files.some((file) => file.symbols()?.find(KMOD_INFO) !== undefined) ? 1 : 0.6;
  } catch (error) {
    if (error instanceof FormatError) return 0.6;
    throw error;
  }
}

export const macos: NativeSystem = {
  name: 'macos',
  title: 'macOS',
  settings: SETTINGS,
  words: { instead: 'a kext reads its Info.plist and the boot arguments: -s boot-args=...' },
  archives: true,
  recognise,
  checker: () => macosChecker,
  boot,
  describe: describeKext,
  start: (options) => new MacosSession(options),
};
