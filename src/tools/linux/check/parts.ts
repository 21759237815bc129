/** Finds the parts of a kernel that has no image: in a headers package, in a folder, or beside one of them. */
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { Unsupported } from '../../../bytes/errors.ts';
import { type KernelParts, kernelFromParts } from '../../../systems/linux/kernelfile/parts.ts';
import type { Savable } from '../../../systems/linux/kernelfile/saved.ts';
import { statIfAny } from '../../stat-if-any.ts';

export type PartKind = 'symvers' | 'systemMap' | 'config' | 'stableList';

/** Larger than any symbol list or configuration. */
const MAX_BYTES = 64 << 20;
/** Enough to tell what a text is. */
const HEAD = 4096;

/** What a text file is by its first lines; undefined for anything else. */
export function partKind(bytes: Uint8Array, path: string): PartKind | undefined {
  const head = new TextDecoder('latin1').decode(bytes.subarray(0, HEAD));
  if (head.includes('\0')) return undefined;
  const stable = /kabi|stablelist|whitelist/i.test(basename(path));
  // A list of stable symbols may look like Module.symvers, and only its name says that it is not all there is.
  if (/^0x[0-9a-f]{8,16}\t[\w.$]+\t/i.test(head))
    return /EXPORT_/.test(head) && !stable ? 'symvers' : 'stableList';
  if (/^[0-9a-f]{8,16} \S \S+/.test(head)) return 'systemMap';
  if (/^(# )?CONFIG_\w+( is not set|=)/m.test(head)) return 'config';
  const lines = head.split('\n').slice(0, -1);
  const listed = lines.filter((line) => /^(\[[\w.-]+\]|\s*[A-Za-z_]\w*|#.*)?$/.test(line));
  const named = stable || /^\[/.test(head);
  return named && lines.length > 1 && listed.length === lines.length ? 'stableList' : undefined;
}

/** The kernel that a text file tells of, with what lies beside it. @throws FormatError */
export function kernelOfText(path: string, kind: PartKind): Savable {
  const folder = dirname(path);
  const suffix = /-(\d.*)$/.exec(basename(path))?.[1] ?? onlyRelease(folder);
  const own: KernelParts = { [kind]: textOf(path), origin: path };
  if (kind === 'stableList') return kernelFromParts(own);
  const around = partsIn(folder, suffix);
  return kernelFromParts({ ...around, ...own, ...(suffix && { release: around.release ?? suffix }) });
}

/** Does the folder hold parts of a kernel: a headers package, or what a build leaves? */
export const hasParts = (folder: string): boolean =>
  existsSync(join(folder, 'Module.symvers')) ||
  existsSync(join(folder, 'include/generated/utsrelease.h')) ||
  onlyRelease(folder) !== undefined;

/** The release that files such as config-RELEASE are called after, when it is the same for all in the folder. */
function onlyRelease(folder: string): string | undefined {
  const found = namesIn(folder).flatMap(
    (name) => /^(?:config|System\.map|symvers)-(\d.*)$/.exec(name)?.[1] ?? [],
  );
  return new Set(found).size === 1 ? found[0] : undefined;
}

/** @throws FormatError */
export function kernelOfFolder(folder: string): Savable {
  const release = onlyRelease(folder);
  return kernelFromParts({ ...(release && { release }), ...partsIn(folder, release), origin: folder });
}

function partsIn(folder: string, suffix: string | undefined): KernelParts {
  const ending = suffix === undefined ? '' : `-${suffix}`;
  const first = (names: readonly string[]) => names.map((name) => join(folder, name)).find(isFile);
  const config = first([`config${ending}`, '.config', 'config', 'include/config/auto.conf']);
  const symvers = first(['Module.symvers', `symvers${ending}`]);
  const systemMap = first([`System.map${ending}`]);
  const release = define(join(folder, 'include/generated/utsrelease.h'), 'UTS_RELEASE');
  const version =
    define(join(folder, 'include/generated/utsversion.h'), 'UTS_VERSION') ??
    define(join(folder, 'include/generated/compile.h'), 'UTS_VERSION');
  return {
    ...(config && { config: textOf(config) }),
    ...(symvers && { symvers: textOf(symvers) }),
    ...(symvers === undefined &&
      systemMap !== undefined &&
      isRealMap(systemMap) && { systemMap: textOf(systemMap) }),
    ...(release && { release }),
    ...(version && { version }),
    origin: folder,
  };
}

/** Debian ships a System.map that only says where the real one is. */
const isRealMap = (path: string): boolean => statSync(path).size > HEAD;

const isFile = (path: string): boolean => statIfAny(path)?.isFile() === true;

/** The string that a header defines a name as. */
function define(path: string, name: string): string | undefined {
  if (!isFile(path)) return undefined;
  return new RegExp(`^#define ${name} "(.*)"$`, 'm').exec(textOf(path))?.[1];
}

function textOf(path: string): string {
  const { size } = statSync(path);
  if (size > MAX_BYTES) throw new Unsupported(path, `a text of ${size} bytes is no list of a kernel`);
  return readFileSync(path, 'utf8');
}

/** The headers package of a release, where this machine has it: its list says what the kernel's modules export. */
export function symversOf(release: string, tree: string | undefined): string | undefined {
  if (!/^[\w.+~-]+$/.test(release)) return undefined;
  const places = [
    ...(tree === undefined ? [] : [join(tree, 'build/Module.symvers'), join(tree, 'symvers')]),
    `/usr/src/linux-headers-${release}/Module.symvers`,
    `/usr/src/kernels/${release}/Module.symvers`,
  ];
  return places.find(isFile);
}

/** Names in a folder; none where there is no folder. */
export const namesIn = (folder: string): string[] =>
  statIfAny(folder)?.isDirectory() === true ? readdirSync(folder) : [];
