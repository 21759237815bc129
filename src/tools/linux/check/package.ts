/** A distribution's kernel package (.deb, .rpm, an archive) as a kernel: its image, its configuration, its modules. */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { basename } from 'node:path';
import { compressionOf } from '../../../bytes/decompress.ts';
import { Invalid } from '../../../bytes/errors.ts';
import type { FileTree } from '../../../catalog/file-tree.ts';
import { mayBeArchive } from '../../../formats/archive/read.ts';
import { readKernel } from '../../../systems/linux/kernelfile/open.ts';
import { kernelFromParts } from '../../../systems/linux/kernelfile/parts.ts';
import type { Savable } from '../../../systems/linux/kernelfile/saved.ts';
import { cachedKernel, REVISION, type Readout } from '../../../targets/kernel-store.ts';
import type { CheckSurroundings } from '../../check.ts';
import { openTree } from '../../files.ts';
import { FileLibrary } from './library.ts';

const ARCHIVE_NAME = /\.(deb|rpm|zip|tgz|(tar|cpio)(\.\w+)?)$/;

/** By its first bytes; what is only compressed has to say by its name that an archive is inside. */
export function isPackage(bytes: Uint8Array, path: string): boolean {
  const head = bytes.subarray(0, 512);
  return mayBeArchive(head) && (compressionOf(head) === undefined || ARCHIVE_NAME.test(path));
}

/** Deeper than any package. */
const MAX_DEPTH = 16;

/** Unpacking takes seconds: what was found is kept, with what the modules export. @throws FormatError */
export function kernelOfPackage(path: string, around: CheckSurroundings): Savable {
  const hash = createHash('sha256').update(readFileSync(path)).update(`package ${REVISION}`).digest('hex');
  return cachedKernel(hash, around, () => read(path, `sha256:${hash}`));
}

function read(path: string, origin: string): Readout {
  const tree = openTree(path);
  const files = [...filesBelow(tree, '', 0)];
  const find = (name: RegExp) => files.find((file) => name.test(basename(file)));
  const image = find(/^vmlinu[xz](-|$)/);
  const config = find(/^config(-|$)/);
  const symvers = find(/^(Module\.symvers|symvers)(-|$)/);
  const text = (file: string) => new TextDecoder().decode(tree.read(file));
  if (image === undefined) {
    if (symvers === undefined) throw new Invalid(path, 'holds neither a kernel image nor a Module.symvers');
    const headers = find(/^utsrelease\.h$/);
    const release = headers && /^#define UTS_RELEASE "(.*)"$/m.exec(text(headers))?.[1];
    const options = config ?? find(/^auto\.conf$/);
    const kernel = kernelFromParts({
      symvers: text(symvers),
      ...(options && { config: text(options) }),
      ...(release && { release }),
      origin,
    });
    return { kernel, modules: kernel.modules };
  }
  const kernel = readKernel(tree.read(image), { origin, ...(config && { config: text(config) }) });
  const modules = files.filter((file) => /\.ko(\.(gz|xz|zst))?$/.test(file));
  if (modules.length === 0) return { kernel, modules: undefined };
  const exports = new FileLibrary(modules, true, (file) => tree.read(file)).exports();
  return { kernel, modules: exports };
}

function* filesBelow(tree: FileTree, folder: string, depth: number): Generator<string> {
  for (const { name, kind } of tree.list(folder)) {
    const path = folder === '' ? name : `${folder}/${name}`;
    if (kind === 'file') yield path;
    else if (kind === 'folder' && depth < MAX_DEPTH) yield* filesBelow(tree, path, depth + 1);
  }
}
