/** Type information of real kernels, and what pahole says of it. */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { decompressAs } from '../../src/bytes/decompress.ts';
import type { ImageKernel } from '../../src/systems/linux/kernelfile/image.ts';
import { readImage } from '../../src/systems/linux/kernelfile/image.ts';
import { unpackKernel } from '../../src/systems/linux/kernelfile/open.ts';
import { cacheDirectory, type DebianKernel } from './require.ts';

const images = new Map<string, ImageKernel>();

/** The unpacked image of a Debian kernel with ELF payload, read once. */
export function imageOf(debian: DebianKernel): ImageKernel {
  let image = images.get(debian.vmlinuz);
  if (image === undefined) {
    const bytes = unpackKernel(new Uint8Array(readFileSync(debian.vmlinuz)));
    image = readImage(bytes, { config: readFileSync(debian.config, 'utf8'), origin: debian.release });
    images.set(debian.vmlinuz, image);
  }
  return image;
}

/**
 * BTF of an s390x kernel. Its image is no ELF file but a raw dump, packed behind the decompressor, so the packed data
 * and, unpacked, the BTF header are found by their magic numbers. Debian builds s390x with BTF from 13 (trixie) on.
 */
export function s390xBtf(): Uint8Array | undefined {
  const parent = join(cacheDirectory(), 'debian');
  for (const name of existsSync(parent) ? readdirSync(parent).sort().reverse() : []) {
    if (!/^linux-image-.*-s390x$/.test(name)) continue;
    const boot = join(parent, name, 'boot');
    const vmlinuz = readdirSync(boot).find((file) => file.startsWith('vmlinuz-'));
    if (vmlinuz === undefined) continue;
    const raw = unpackAnywhere(new Uint8Array(readFileSync(join(boot, vmlinuz))));
    const btf = raw === undefined ? undefined : findBtf(raw);
    if (btf !== undefined) return btf;
  }
  return undefined;
}

function unpackAnywhere(bytes: Uint8Array): Uint8Array | undefined {
  for (const [kind, magic] of [
    ['xz', [0xfd, 0x37, 0x7a, 0x58, 0x5a, 0]],
    ['zst', [0x28, 0xb5, 0x2f, 0xfd]],
  ] as const) {
    for (let at = indexOf(bytes, magic, 0); at >= 0; at = indexOf(bytes, magic, at + 1)) {
      try {
        const out = decompressAs(kind, bytes.subarray(at), { trailing: 'ignore' });
        if (out.length > 1 << 20) return out;
      } catch {
        // The same four bytes can stand in the decompressor itself.
      }
    }
  }
  return undefined;
}

function findBtf(raw: Uint8Array): Uint8Array | undefined {
  // Magic number, version 1, no flags, 24 bytes of header: eight bytes that stand nowhere else.
  const at = indexOf(raw, [0xeb, 0x9f, 1, 0, 0, 0, 0, 24], 0);
  if (at < 0) return undefined;
  const view = new DataView(raw.buffer, raw.byteOffset + at);
  return raw.slice(at, at + 24 + view.getUint32(16) + view.getUint32(20));
}

function indexOf(bytes: Uint8Array, magic: readonly number[], from: number): number {
  for (let at = bytes.indexOf(magic[0]!, from); at >= 0; at = bytes.indexOf(magic[0]!, at + 1)) {
    if (magic.every((byte, i) => bytes[at + i] === byte)) return at;
  }
  return -1;
}

/** One line of pahole's about a record: `name @bit +bytes` (or `:bits`). */
export interface PaholeRecord {
  readonly size: number;
  readonly lines: readonly string[];
}

const OPEN = /^(struct|union) (\w+) \{$/;
const MEMBER = /^\t+(.*?);?\s*\/\*\s*(\d+)(?::\s*(\d+))?\s+(\d+) \*\/$/;

/** Every record of a BTF blob as pahole prints it; a name can come several times. For split BTF with its base. */
export function paholeRecords(btf: Uint8Array, base?: Uint8Array): Map<string, PaholeRecord[]> {
  const folder = mkdtempSync(join(tmpdir(), 'lkm-pahole-'));
  try {
    const file = join(folder, 'types.btf');
    const baseFile = join(folder, 'base.btf');
    writeFileSync(file, btf);
    if (base !== undefined) writeFileSync(baseFile, base);
    // It warns of every type tag of newer kernels on stderr.
    const text = execFileSync('pahole', ['-F', 'btf', ...(base ? ['--btf_base', baseFile] : []), file], {
      encoding: 'utf8',
      maxBuffer: 1 << 28,
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    return parsePahole(text);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function parsePahole(text: string): Map<string, PaholeRecord[]> {
  const records = new Map<string, PaholeRecord[]>();
  let name = '';
  let lines: string[] = [];
  for (const line of text.split('\n')) {
    const open = OPEN.exec(line);
    if (open !== null) [name, lines] = [`${open[1]} ${open[2]}`, []];
    const size = /^\t\/\* size: (\d+)/.exec(line);
    if (size !== null) records.set(name, [...(records.get(name) ?? []), { size: Number(size[1]), lines }]);
    const member = MEMBER.exec(line);
    if (member !== null) lines.push(memberLine(member));
  }
  return records;
}

function memberLine([, declarator, offset, bit, size]: RegExpExecArray): string {
  const text = declarator!
    .replace(/ __attribute__\(\(.*?\)\)$/, '')
    .replace(/\s+/g, ' ')
    .trim();
  const width = /:(\d+)$/.exec(text);
  const bits = Number(offset) * 8 + Number(bit ?? 0);
  // `int (*name)(void)`, `} name`, `char name[16]`, `struct x * name`, `int name:3`, or `}` of an anonymous record.
  const name =
    /\(\*+ ?(?:const )?(\w+)[)[]/.exec(text)?.[1] ?? /(\w+)(?:\[\d*\])*(?::\d+)?$/.exec(text)?.[1] ?? '';
  return `${name} @${bits}${width === null ? ` +${size}` : `:${width[1]}`}`;
}
