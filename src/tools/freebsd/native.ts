/** FreeBSD, as the command line reaches it. */
import { FormatError, Truncated } from '../../bytes/errors.ts';
import { readElfObject } from '../../formats/elf/object.ts';
import { OSABI_FREEBSD } from '../../systems/freebsd/elf.ts';
import { KldFile } from '../../systems/freebsd/kldfile.ts';
import type { Description, ModuleFile, NativeSystem } from '../system.ts';
import { boot } from './boot.ts';
import { freebsdChecker } from './check/checker.ts';
import { SETTINGS } from './choices.ts';
import { describeKld } from './describe.ts';
import { FreeBsdSession } from './session.ts';

/** A module has a set of metadata; the operating system's number in the header makes it certain. */
function recognise({ bytes }: ModuleFile): number {
  if (bytes === undefined) return 0;
  try {
    const object = readElfObject(bytes);
    const sets = object.sections.some(
      ({ name }) => name === 'set_modmetadata_set' || name === 'set_sysinit_set',
    );
    if (sets) return bytes[7] === OSABI_FREEBSD ? 1 : 0.9;
    if (bytes[7] !== OSABI_FREEBSD) return 0;
    return object.kind === 'relocatable' ? 0.7 : 0.3;
  } catch (error) {
    if (error instanceof FormatError) return 0;
    throw error;
  }
}

function describe({ path, bytes }: ModuleFile): Description {
  if (bytes === undefined) throw new Truncated(path, 'is a folder, not a module file');
  return describeKld(new KldFile(readElfObject(bytes)), path);
}

export const freebsd: NativeSystem = {
  name: 'freebsd',
  title: 'FreeBSD',
  settings: SETTINGS,
  words: {
    instead:
      "modules read tunables: lkm freebsd -c 'kenv NAME=VALUE' -c 'kldload FILE' sets one before the load",
  },
  recognise,
  describe,
  start: (options) => new FreeBsdSession(options),
  boot,
  checker: () => freebsdChecker,
};
