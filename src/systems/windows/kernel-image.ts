/**
 * The kernel and the HAL as images: drivers look for their headers and read their export tables by themselves. The headers
 * are made here, in front of the gates that the exported names lead to.
 */
import { MACHINE } from '../../formats/pe/layout.ts';
import { type Address, PAGE_SIZE, Perm } from '../../memory/space.ts';
import type { Windows } from './windows.ts';

/** Room for headers, export tables and names. */
export const HEADER_BYTES = 0x40000;
const PE_AT = 0x80;
const TABLES_AT = 0x1000;

export interface KernelImage {
  readonly name: string;
  readonly base: Address;
  readonly size: number;
}

/** Names that HAL.dll exports where it is a file of its own. */
const HAL =
  /^(Hal[A-Z]|K[ef]\w*(Irql|SpinLock|Processor|PerformanceCounter)|READ_PORT|WRITE_PORT|Ex\w*FastMutex$)/;

/** Where the HAL's exports are code of its own: jumps to the same functions. */
const STUBS_AT = 0x8000;
const STUB_BYTES = 16;
const HAL_BYTES = 0x20000;

export function mapKernelImages(k: Windows): KernelImage[] {
  const base = k.map.gates.base - HEADER_BYTES;
  const size = k.map.kernelData.end - base;
  const hal = k.map.hal;
  k.memory.mapLazy(base, HEADER_BYTES / PAGE_SIZE, Perm.R | Perm.W, 'kernel image headers');
  k.memory.mapLazy(hal, HAL_BYTES / PAGE_SIZE, Perm.R | Perm.W, 'hal.dll');
  const names = [...k.exportNames()].sort();
  writeImage(k, { name: 'ntoskrnl.exe', base, size }, names, (name) => k.exported(name) ?? base);
  const halNames = names.filter((name) => HAL.test(name));
  writeImage(k, { name: 'hal.dll', base: hal, size: HAL_BYTES }, halNames, (name, i) => {
    const stub = hal + STUBS_AT + i * STUB_BYTES;
    // jmp rel32
    k.memory.set8(stub, 0xe9);
    k.memory.set32(stub + 1, (k.exported(name) ?? stub) - stub - 5);
    return stub;
  });
  k.memory.protect(base, HEADER_BYTES / PAGE_SIZE, Perm.R);
  k.memory.protect(hal, HAL_BYTES / PAGE_SIZE, Perm.R | Perm.X);
  return [
    { name: 'ntoskrnl.exe', base, size },
    { name: 'hal.dll', base: hal, size: HAL_BYTES },
  ];
}

type AddressOf = (name: string, index: number) => Address;

function writeImage(
  k: Windows,
  { name: library, base, size }: KernelImage,
  names: readonly string[],
  address: AddressOf,
): void {
  const { memory } = k;
  const wide = k.word === 8;
  const u16 = (at: number, value: number) => memory.set16(base + at, value);
  const u32 = (at: number, value: number) => memory.set32(base + at, value);
  u16(0, 0x5a4d);
  u32(0x3c, PE_AT);
  u32(PE_AT, 0x4550);
  u16(PE_AT + 4, wide ? MACHINE.AMD64 : MACHINE.I386);
  u16(PE_AT + 6, 1);
  u32(PE_AT + 8, 0x4a5bc000);
  const optional = PE_AT + 24;
  const directories = optional + (wide ? 112 : 96);
  u16(PE_AT + 20, directories - optional + 128);
  u16(PE_AT + 22, wide ? 0x22 : 0x102);
  u16(optional, wide ? 0x20b : 0x10b);
  memory.setPtr(base + optional + (wide ? 24 : 28), base);
  u32(optional + 32, PAGE_SIZE);
  u32(optional + 36, 0x200);
  u16(optional + 40, k.release.major);
  u16(optional + 42, k.release.minor);
  u16(optional + 48, k.release.major);
  u32(optional + 56, size);
  u32(optional + 60, 0x400);
  u16(optional + 68, 1);
  u32(directories - 4, 16);
  const end = writeExports(k, base, library, names, address);
  u32(directories, TABLES_AT);
  u32(directories + 4, end - TABLES_AT);
  const section = directories + 128;
  memory.write(base + section, new TextEncoder().encode('.text'));
  u32(section + 8, size - TABLES_AT);
  u32(section + 12, TABLES_AT);
  u32(section + 16, size - TABLES_AT);
  u32(section + 20, TABLES_AT);
  u32(section + 36, 0x60000020);
}

/** Export directory, addresses, name pointers, ordinals, names. @returns the offset behind them */
function writeExports(
  k: Windows,
  base: Address,
  library: string,
  names: readonly string[],
  address: AddressOf,
): number {
  const { memory } = k;
  const addresses = TABLES_AT + 40;
  const pointers = addresses + names.length * 4;
  const ordinals = pointers + names.length * 4;
  let at = ordinals + names.length * 2;
  const text = (value: string): number => {
    const bytes = new TextEncoder().encode(`${value}\0`);
    memory.write(base + at, bytes);
    at += bytes.length;
    return at - bytes.length;
  };
  memory.set32(base + TABLES_AT + 12, text(library));
  memory.set32(base + TABLES_AT + 16, 1);
  memory.set32(base + TABLES_AT + 20, names.length);
  memory.set32(base + TABLES_AT + 24, names.length);
  memory.set32(base + TABLES_AT + 28, addresses);
  memory.set32(base + TABLES_AT + 32, pointers);
  memory.set32(base + TABLES_AT + 36, ordinals);
  names.forEach((name, i) => {
    memory.set32(base + addresses + i * 4, address(name, i) - base);
    memory.set32(base + pointers + i * 4, text(name));
    memory.set16(base + ordinals + i * 2, i);
  });
  return at;
}
