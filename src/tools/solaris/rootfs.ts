/** The root file system of a session: what its commands write is kept here, the rest comes from the user's files. */
import type { RootFiles } from '../../systems/solaris/configuration.ts';
import type { SystemFiles } from '../system.ts';

/** Tables that a system has before anything is added. Numbers are this base kernel's own choice where none is fixed. */
const DEFAULTS: Readonly<Record<string, string>> = {
  '/etc/system':
    '*ident\t"SYSTEM specification file"\n*\n* moddir, set, exclude, forceload: see system(4).\n',
  '/etc/name_to_major': 'cn 0\nclone 11\nmm 13\nsy 22\nmd 85\n',
  '/etc/name_to_sysnum':
    'rexit 1\nread 3\nwrite 4\nopen 5\nclose 6\ngetpid 20\nmount 21\nioctl 54\nmodctl 152\nsumcall 180\npair 181\n',
  '/etc/driver_aliases': '',
  '/etc/driver_classes': '',
  '/etc/minor_perm': 'mm:null 0666 root sys\nmm:zero 0666 root sys\n',
  '/etc/rem_name_to_major': '',
};

export class SessionFiles implements RootFiles {
  /** What was written, by path; undefined = removed. */
  private readonly written = new Map<string, Uint8Array | undefined>();
  private readonly host: SystemFiles;
  private readonly root: SystemFiles | undefined;

  /** `root`: the files of the machine itself, by its own paths. Tables that it lacks are those of a fresh system. */
  constructor(host: SystemFiles, root?: SystemFiles) {
    this.host = host;
    this.root = root;
    for (const [path, text] of Object.entries(DEFAULTS))
      if (root?.read(path) === undefined) this.written.set(path, new TextEncoder().encode(text));
  }

  read(path: string): Uint8Array | undefined {
    // No file has such a name, though a damaged module may ask for it.
    if (path.includes('\0')) return undefined;
    if (this.written.has(path)) return this.written.get(path);
    if (this.root !== undefined) return path.startsWith('/') ? this.root.read(path) : undefined;
    // Module directories are also those that come with lkm, laid out as on a system.
    return MODULE_TREE.test(path) ? this.host.read(path.slice(1)) : undefined;
  }

  write(path: string, bytes: Uint8Array): void {
    this.written.set(path, bytes);
  }

  remove(path: string): void {
    this.written.set(path, undefined);
  }

  list(path: string): readonly string[] | undefined {
    const prefix = path.endsWith('/') ? path : `${path}/`;
    const names = new Set<string>();
    for (const [name, bytes] of this.written) {
      if (bytes === undefined || !name.startsWith(prefix)) continue;
      const rest = name.slice(prefix.length);
      const slash = rest.indexOf('/');
      names.add(slash < 0 ? rest : rest.slice(0, slash + 1));
    }
    if (this.root !== undefined) for (const name of this.root.list(path) ?? []) names.add(name);
    else if (MODULE_TREE.test(prefix))
      for (const name of this.host.list(path.slice(1)) ?? []) names.add(name);
    return names.size === 0 ? undefined : [...names].sort();
  }
}

const MODULE_TREE = /^\/(usr|platform\/[^/]+\/)?\/?kernel\//;
