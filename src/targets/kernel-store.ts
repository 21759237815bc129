/**
 * Where `--kernel` finds kernels: built-in descriptions, saved ones, and images, whose reading costs a second and
 * is therefore kept in a cache by the hash of the file.
 */
import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import type { KernelFile } from '../systems/linux/kernelfile/kernelfile.ts';
import type { ModuleExports } from '../systems/linux/kernelfile/modules.ts';
import { readKernel } from '../systems/linux/kernelfile/open.ts';
import { LOADER_RULES } from '../systems/linux/kernelfile/rules.ts';
import { decode, encode, isSaved, type Savable } from '../systems/linux/kernelfile/saved.ts';
import { makeFolder } from './make-folder.ts';
import { replaceFile } from './replace-file.ts';

export const BUILT_IN = 'builtin:debian-6.1';

/** The names after `builtin:`, each a file in profiles/. */
export const BUILT_INS = ['debian-6.1', 'debian-6.1-686'];

const PREFIX = 'builtin:';

/** Changes when more is read of an image or a rule comes: what earlier programs left in the cache lacks it. */
export const REVISION = `5 ${LOADER_RULES.join(' ')}`;

export class UnknownKernel extends Error {
  override readonly name = 'UnknownKernel';
}

/** node:zlib unpacks ten times faster than portable code in a process that has just begun (measured). */
const nativeGunzip = (packed: Uint8Array, size: number): Uint8Array =>
  plain(gunzipSync(packed, { maxOutputLength: Math.max(size, 1) }));

/** The same bytes, not as Node's Buffer, whose `subarray` and `indexOf` cost several times as much. */
const plain = ({ buffer, byteOffset, length }: Uint8Array): Uint8Array =>
  new Uint8Array(buffer, byteOffset, length);

export interface KernelStoreOptions {
  /** Absolute path of a file that comes with lkm. */
  readonly packaged: (path: string) => string;
  readonly environment: Readonly<Record<string, string | undefined>>;
}

/** Opens what `--kernel` names. Throws the reader's errors, UnknownKernel, or the file system's. */
export function openKernel(name: string, options: KernelStoreOptions): KernelFile & Savable {
  if (name.startsWith(PREFIX)) return builtIn(name.slice(PREFIX.length), options);
  const bytes = readFileSync(name);
  if (isSaved(bytes)) return decode(bytes, nativeGunzip);
  return cached(bytes, name, options);
}

function builtIn(name: string, { packaged }: KernelStoreOptions): KernelFile & Savable {
  if (!BUILT_INS.includes(name)) {
    throw new UnknownKernel(
      `there is no built-in kernel of Linux '${name}'; there are ${BUILT_INS.join(' and ')}`,
    );
  }
  return decode(readFileSync(packaged(`profiles/${name}.kernel`)), nativeGunzip);
}

/** Reads an image, or the description that an earlier run made of the same bytes. */
function cached(bytes: Uint8Array, path: string, { environment }: KernelStoreOptions): KernelFile & Savable {
  const btf = typesBeside(path);
  const config = configBeside(path);
  const hash = createHash('sha256')
    .update(bytes)
    .update(btf ?? '')
    .update(config ?? '')
    .update(REVISION)
    .digest('hex');
  return cachedKernel(hash, { environment }, () => ({
    kernel: readKernel(bytes, { origin: `sha256:${hash}`, config, btf }),
    modules: undefined,
  }));
}

/** What was read of a kernel, and of what its own modules export. */
export interface Readout {
  readonly kernel: KernelFile & Savable;
  readonly modules: ModuleExports | undefined;
}

/** The kernel that an earlier run left under this hash, or what `read` makes of it now. */
export function cachedKernel(
  hash: string,
  { environment }: Pick<KernelStoreOptions, 'environment'>,
  read: () => Readout,
): KernelFile & Savable {
  const file = join(cacheDirectory(environment), 'kernels', `${hash}.kernel`);
  if (existsSync(file)) return decode(readFileSync(file), nativeGunzip);
  const { kernel, modules } = read();
  const { bytes } = encode(kernel, { types: 'all', functionPointers: true, config: 'all', modules });
  try {
    store(file, bytes);
  } catch {
    // A cache that cannot be written costs the next run a second; this run is not the worse for it.
  }
  return modules === undefined ? kernel : decode(bytes, nativeGunzip);
}

/** Debian puts config-RELEASE beside vmlinuz-RELEASE; the image itself does not carry it. */
function configBeside(path: string): string | undefined {
  const config = join(dirname(path), basename(path).replace(/^vmlinu[xz]/, 'config'));
  return config !== path && existsSync(config) ? readFileSync(config, 'utf8') : undefined;
}

/** FILE.btf beside FILE: the types of a kernel that was built without (`pahole --btf_encode_detached`). */
function typesBeside(path: string): Uint8Array | undefined {
  const file = `${path}.btf`;
  return existsSync(file) ? plain(readFileSync(file)) : undefined;
}

function cacheDirectory(environment: KernelStoreOptions['environment']): string {
  return environment['LKM_CACHE'] ?? join(environment['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'lkm');
}

function store(file: string, bytes: Uint8Array): void {
  makeFolder(dirname(file));
  replaceFile(file, bytes);
}
