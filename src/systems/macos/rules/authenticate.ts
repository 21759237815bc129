/** Owner and mode of everything in a bundle (IOKitUser OSKext.c, _OSKextBasicFilesystemAuthentication). */
import type { KextBundle } from '../bundle.ts';
import { baseName, joinPath } from '../tree.ts';
import { Diagnostics } from './diagnostics.ts';

const GROUP_OR_OTHER_WRITE = 0o022;
export const OWNER_TEXT =
  'File owner/permissions are incorrect (must be root:wheel, nonwritable by group/other)';

const LINK_OUTSIDE =
  'The kext contains a symlink which is either not readable or points outside of its bundle; please remove';
const LINK_INSIDE =
  "The booter does not recognize symbolic links; confirm these files/directories aren't needed for startup";

/** Every file and folder of the bundle must be root's and wheel's, and writable by nobody else; plug-ins answer for themselves. */
export function authenticate(bundle: KextBundle): Diagnostics {
  const found = new Diagnostics();
  const plugIns = joinPath(bundle.contents, 'PlugIns');
  for (const path of bundle.tree.walk(bundle.path)) {
    if (path === plugIns || path.startsWith(`${plugIns}/`) || baseName(path) === '.DS_Store') continue;
    const node = bundle.tree.lookUp(path);
    if (node === undefined) continue;
    if (node.kind === 'link') {
      const target = bundle.tree.resolve(path);
      if (target === undefined || !target.startsWith(`${bundle.path}/`)) {
        found.add(
          'authentication',
          'link-outside',
          LINK_OUTSIDE,
          `${path} - Symlink points outside of bundle.`,
        );
      } else found.add('warnings', 'link-inside', LINK_INSIDE, path);
      continue;
    }
    const wrong = node.uid !== 0 || node.gid !== 0 || (node.mode & GROUP_OR_OTHER_WRITE) !== 0;
    if (wrong) found.add('authentication', 'owner', OWNER_TEXT, path);
  }
  return found;
}
