/**
 * The segments of a shared object as one stretch of bytes, and its relocations (link_elf_load_file of sys/kern/link_elf.c):
 * for a kernel of ours, and for machines whose code does not run here.
 */
import type { ObjectRelocation, ObjectSymbol } from '../../formats/object.ts';
import { dynamicRelocations } from '../../link/machines.ts';
import { R_PPC } from '../../link/relocate/ppc.ts';
import { R_PPC64 } from '../../link/relocate/ppc64.ts';
import { applyRelocations, type RelocationPolicy, relocationTarget } from '../../link/relocate.ts';
import { type Address, PAGE_SIZE } from '../../memory/space.ts';
import type { Elf } from './elf.ts';
import { Errno, KernelErrno } from './errno.ts';
import { isLocal } from './rules/relocations.ts';

const PT_LOAD = 1;
/** Bytes of a function descriptor. */
const DESCRIPTOR = 24;
/** A file whose segments claim more is damaged. */
const MAX_BYTES = 256 * 2 ** 20;

export class SharedImage {
  readonly elf: Elf;
  /** Of whole pages. */
  readonly size: number;
  readonly bytes: Uint8Array;
  /** By symbol index; NaN while nobody has given a value. */
  readonly values: Float64Array;
  private readonly start: number;
  private base: Address = 0;

  /** @throws KernelErrno for segments that make no sense */
  constructor(elf: Elf) {
    this.elf = elf;
    const loads = elf.file.segments.filter(({ type }) => type === PT_LOAD);
    this.start = Math.floor(loads[0].address / PAGE_SIZE) * PAGE_SIZE;
    const end = Math.max(...loads.map(({ address, memorySize }) => address + memorySize));
    this.size = Math.ceil((end - this.start) / PAGE_SIZE) * PAGE_SIZE;
    const fits = this.size > 0 && this.size <= MAX_BYTES;
    if (!fits || loads.some(({ address }) => address < this.start))
      throw new KernelErrno(Errno.ENOEXEC, 'The segments of the file make no sense.');
    this.bytes = new Uint8Array(this.size);
    for (const one of loads) this.bytes.set(elf.file.segmentData(one), one.address - this.start);
    this.values = new Float64Array(elf.object.symbols.length);
  }

  /** What is added to an address of the file. */
  get bias(): number {
    return this.base - this.start;
  }

  /** Says where the image will lie. */
  moveTo(base: Address): void {
    this.base = base;
    for (const symbol of this.elf.object.symbols) this.values[symbol.index] = this.ownValue(symbol);
    // The value of no symbol is where the object was loaded.
    this.values[0] = this.bias;
  }

  private ownValue({ name, place, value }: ObjectSymbol): number {
    if (place === 'section') return value + this.bias;
    // Ends of linker sets are absolute symbols of old linkers; they move with the file all the same.
    if (place === 'absolute') return /^__(start|stop)_set_/.test(name) ? value + this.bias : value;
    return Number.NaN;
  }

  /** One pass: `resolve` gives values to symbols that have none yet, before they are used. */
  relocate(locals: boolean, resolve: (symbol: ObjectSymbol) => void, policy: RelocationPolicy): void {
    const { object, file } = this.elf;
    const machine = dynamicRelocations(object.machine);
    if (machine === undefined)
      throw new KernelErrno(Errno.ENOEXEC, `no relocations are known for ${object.machine}`);
    const target = relocationTarget(this.bytes, this.base, object.littleEndian);
    for (const { index } of file.sections) {
      const wanted = object
        .relocations(index)
        .filter((one) => isLocal(object, one) === locals)
        .map((one) => ({ ...one, offset: one.offset - this.start }));
      if (!locals) for (const one of wanted) this.resolve(one, resolve);
      const plain = object.machine === 'ppc' ? wanted.map((one) => this.sectionRelative(one)) : wanted;
      applyRelocations(machine, target, plain, this.values, policy);
      if (this.hasDescriptors) for (const one of wanted) this.copyDescriptor(one);
    }
  }

  /** Halves of an address whose addend counts from the start of the object, though they name a section (32-bit PowerPC). */
  private sectionRelative(one: ObjectRelocation): ObjectRelocation {
    if (one.type !== R_PPC.ADDR16_LO && one.type !== R_PPC.ADDR16_HA) return one;
    const value = this.values[one.symbol];
    const counts = value > this.base && value <= this.base + (one.addend ?? 0);
    return counts ? { ...one, symbol: 0 } : one;
  }

  /** Functions of the first 64-bit PowerPC ABI are known by descriptors: code, table of contents, environment. */
  private get hasDescriptors(): boolean {
    const { header } = this.elf.file;
    return this.elf.object.machine === 'ppc64' && (header.flags & 3) !== 2;
  }

  /** A slot of the first ABI holds a copy; of a function elsewhere only the address is known here. */
  private copyDescriptor({ type, symbol, offset }: ObjectRelocation): void {
    const own = this.elf.object.symbols[symbol];
    if (type !== R_PPC64.JMP_SLOT || own?.place !== 'section') return;
    const from = own.value - this.start;
    if (from >= 0 && from + DESCRIPTOR <= this.size && offset + DESCRIPTOR <= this.size)
      this.bytes.copyWithin(offset, from, from + DESCRIPTOR);
  }

  private resolve({ symbol: index }: ObjectRelocation, resolve: (symbol: ObjectSymbol) => void): void {
    const symbol = this.elf.object.symbols[index];
    if (symbol !== undefined && Number.isNaN(this.values[symbol.index])) resolve(symbol);
  }
}

/**
 * Links a shared object at an address without a kernel: the finished bytes, and which symbols nobody had (their places
 * hold zero). @throws KernelErrno for relocations that the linker does not know or that do not fit
 */
export function linkApart(
  elf: Elf,
  base: Address,
  lookup: (name: string) => Address | undefined,
  policy: RelocationPolicy,
): { readonly bytes: Uint8Array; readonly missing: readonly string[] } {
  const image = new SharedImage(elf);
  const missing: string[] = [];
  image.moveTo(base);
  const resolve = ({ name, index, binding }: ObjectSymbol) => {
    const found = lookup(name);
    if (found === undefined && binding !== 'weak') missing.push(name);
    image.values[index] = found ?? 0;
  };
  for (const locals of [true, false]) image.relocate(locals, resolve, policy);
  return { bytes: image.bytes, missing };
}
