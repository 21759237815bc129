/**
 * Maps the kernel image: every section at its link address, filled page by page at first touch, so that
 * function pointers, tables of pointers and code that looks at kernel text find readable bytes there.
 */
import { type Address, PAGE_SIZE, pageBase } from '../../memory/address.ts';
import { Perm } from '../../memory/space.ts';
import type { KernelSection } from './kernelfile/kernelfile.ts';
import type { Linux } from './linux.ts';

/** int3: what the kernel fills unused text with. */
const FILL = 0xcc;
/**
 * Bytes at a function nobody executes as bytes: the five-byte nop of an ftrace site, then ud2. The processor
 * leaves for TypeScript before it would reach them; a copy of them elsewhere faults instead of running on.
 */
const GATE = [0x0f, 0x1f, 0x44, 0x00, 0x00, 0x0f, 0x0b];

export function bootImage(k: Linux): void {
  const mapped = k.file.sections.filter(
    ({ role, size }) => role !== 'percpu' && role !== 'other' && role !== 'init' && size > 0,
  );
  let end = Number.NEGATIVE_INFINITY;
  for (const section of [...mapped].sort((a, b) => a.base - b.base)) {
    // Neighbours of one kind may share a page; it belongs to the first.
    const base = Math.max(pageBase(section.base), end);
    const pages = Math.ceil((section.base + section.size - base) / PAGE_SIZE);
    if (pages <= 0) continue;
    k.memory.mapLazy(base, pages, permissions(section), `kernel ${section.name}`, filler(k, section));
    end = base + pages * PAGE_SIZE;
  }
  const { gates } = k.map;
  k.memory.mapLazy(gates.base, gates.bytes / PAGE_SIZE, Perm.R | Perm.X, 'kernel gates', fillGates);
}

/** The image's .rodata is marked writable in its file, for the boot code; mark_rodata_ro ends that. */
function permissions(section: KernelSection): number {
  const writable = section.writable && section.role !== 'rodata';
  return Perm.R | (writable ? Perm.W : 0) | (section.executable ? Perm.X : 0);
}

type Fill = (page: Address, bytes: Uint8Array) => void;

/** Real bytes where the kernel file has them and they never change; data start as zero and are filled by their owner. */
function filler(k: Linux, section: KernelSection): Fill {
  if (section.writable) return () => undefined;
  return (page, bytes) => {
    const real = k.file.read(page, PAGE_SIZE);
    if (real !== undefined) bytes.set(real);
    else if (section.executable) fillText(k, page, bytes);
  };
}

function fillText(k: Linux, page: Address, bytes: Uint8Array): void {
  bytes.fill(FILL);
  for (const found of k.file.exports.between(page, page + PAGE_SIZE)) {
    const at = found.address - page;
    if (found.kind === 'function') bytes.set(GATE.slice(0, PAGE_SIZE - at), at);
  }
}

function fillGates(_page: Address, bytes: Uint8Array): void {
  bytes.fill(FILL);
  for (let at = 0; at < bytes.length; at += 16) bytes.set(GATE, at);
}
