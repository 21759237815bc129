/**
 * Who may open a device, and by which names: /etc/minor_perm gives minor nodes their mode and owner, /etc/devlink.tab names
 * their links in /dev (cmd/devfsadm; devlinks(1M)).
 */
import { configuration, textOf } from './configuration.ts';
import { type DeviceFile, deviceFiles } from './devices.ts';
import { parseMinorPermissions } from './etc/name-files.ts';
import type { Solaris } from './solaris.ts';

export interface Permission {
  readonly mode: number;
  readonly owner: string;
  readonly group: string;
}

/** What a node has of which minor_perm says nothing. */
const DEFAULT: Permission = { mode: 0o600, owner: 'root', group: 'sys' };

/** A pattern of the shell as a regular expression. */
function matcher(pattern: string): RegExp {
  const text = pattern
    .replace(/[.+^${}()|\\]/g, '\\$&')
    .replaceAll('*', '.*')
    .replaceAll('?', '.');
  try {
    return new RegExp(`^${text}$`);
  } catch {
    // Brackets that make no sense stand for themselves.
    return new RegExp(`^${text.replace(/[[\]]/g, '\\$&')}$`);
  }
}

const minorName = ({ path }: DeviceFile): string => path.slice(path.lastIndexOf(':') + 1);

/** The first line of minor_perm that is about the driver and the minor node. */
export function permissionOf(k: Solaris, file: DeviceFile): Permission {
  const driver = k.readString('dev_info.devi_binding_name', file.dip);
  const text = textOf(k.state(configuration).files.read('/etc/minor_perm'));
  const found = parseMinorPermissions(text).find(
    (one) => one.driver === driver && matcher(one.minor).test(minorName(file)),
  );
  return found ?? DEFAULT;
}

/** May somebody of that user id open it so (4 to read, 2 to write)? Only root owns files of devices by name here. */
export function mayOpen(k: Solaris, file: DeviceFile, uid: number, wanted: number): boolean {
  return uid === 0 || (permissionOf(k, file).mode & wanted) === wanted;
}

interface LinkRule {
  /** type, name, minor, addr and their numbered parts, all of which must fit. */
  readonly wanted: readonly (readonly [key: string, value: string])[];
  /** Name in /dev, with \D for the driver's node, \M for the minor node and \A for the address. */
  readonly link: string;
}

/** /etc/devlink.tab: what a node must be, a tab, what it is called. */
export function parseDevlinkTab(text: string): LinkRule[] {
  return text.split('\n').flatMap((line) => {
    const [spec, link] = line.split('\t');
    if (line.startsWith('#') || spec === undefined || link === undefined || link.trim() === '') return [];
    const wanted = spec.split(';').map((part): [string, string] => {
      const at = part.indexOf('=');
      return at < 0 ? ['', part] : [part.slice(0, at).trim(), part.slice(at + 1).trim()];
    });
    return wanted.every(([key]) => /^(type|name|addr\d?|minor\d?)$/.test(key))
      ? [{ wanted, link: link.trim() }]
      : [];
  });
}

/** Links in /dev by name. */
export function deviceLinks(k: Solaris): Map<string, DeviceFile> {
  const links = new Map<string, DeviceFile>();
  const rules = parseDevlinkTab(textOf(k.state(configuration).files.read('/etc/devlink.tab')));
  for (const file of deviceFiles(k)) {
    const address = k.readString('dev_info.devi_addr', file.dip);
    const name = k.readString('dev_info.devi_node_name', file.dip);
    const values: Record<string, string> = { type: file.type, name, addr: address, minor: minorName(file) };
    for (const { wanted, link } of rules) {
      if (!wanted.every(([key, value]) => values[key] === value)) continue;
      const named = link
        .replaceAll(/\\M\d?/g, minorName(file))
        .replaceAll(/\\A\d?/g, address)
        .replaceAll('\\D', name);
      if (!links.has(named)) links.set(named, file);
    }
  }
  return links;
}
