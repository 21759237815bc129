/** The built bundles of fixtures/macos in a tree, and as the files of a session. */
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { SystemFiles } from '../../../src/tools/system.ts';

export const BUILT = fileURLToPath(new URL('../../../fixtures/macos/built/', import.meta.url));

export const executable = (name: string): Uint8Array =>
  new Uint8Array(readFileSync(join(BUILT, `${name}.kext/Contents/MacOS/${name}`)));

export const infoPlist = (name: string): Uint8Array =>
  new Uint8Array(readFileSync(join(BUILT, `${name}.kext/Contents/Info.plist`)));

/** Names are looked up among the fixtures. */
export const fixtureFiles: SystemFiles = {
  read: (path) => {
    const stat = statSync(join(BUILT, path), { throwIfNoEntry: false });
    return stat?.isFile() === true ? new Uint8Array(readFileSync(join(BUILT, path))) : undefined;
  },
  list: (path) => {
    const stat = statSync(join(BUILT, path), { throwIfNoEntry: false });
    if (stat?.isDirectory() !== true) return undefined;
    return readdirSync(join(BUILT, path), { withFileTypes: true }).map((one) =>
      one.isDirectory() ? `${one.name}/` : one.name,
    );
  },
  stat: (path) => statSync(join(BUILT, path), { throwIfNoEntry: false }),
};
