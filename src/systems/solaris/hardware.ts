/**
 * Devices on buses. There is no hardware: a card that somebody asks for (`pci10ec,8169`) or an ISA device that a
 * driver.conf file names has a node, registers and an interrupt, but nobody behind them. What is read floats high, what
 * is written is lost, as with a card that was pulled. So drivers find their device, try, and give back what they took.
 */
import { perKernel } from '../../kernel/kernel.ts';
import { type Address, PAGE_SIZE, Perm } from '../../memory/space.ts';
import type { PropertyValue } from './etc/driver-conf.ts';
import type { Solaris } from './solaris.ts';

/** One set of registers. */
interface RegisterSet {
  readonly kind: 'config' | 'io' | 'memory';
  readonly base: number;
  readonly bytes: number;
}

export interface Hardware {
  /** Path of the nexus it is on: `/pci@0,0`. */
  readonly bus: string;
  /** Names by which a driver may be bound to it, the best first. */
  readonly compatible: readonly string[];
  readonly registers: readonly RegisterSet[];
  /** Configuration space of a PCI device. */
  readonly config: Uint8Array;
  readonly interrupts: number;
  readonly properties: ReadonlyMap<string, PropertyValue>;
}

export interface Card extends Hardware {
  readonly name: string;
  readonly unitAddress: string;
}

const known = perKernel(() => new Map<Address, Hardware>());

export const hardwareOf = (k: Solaris, dip: Address): Hardware | undefined => k.state(known).get(dip);

export function setHardware(k: Solaris, dip: Address, hardware: Hardware): void {
  k.state(known).set(dip, hardware);
}

export function forgetHardware(k: Solaris, dip: Address): void {
  k.state(known).delete(dip);
}

/** Class of cards whose class is not asked for: an Ethernet controller. */
const CLASS = 0x020000;
const CONFIG_BYTES = 256;
const IO_BYTES = 256;
const MEMORY_BYTES = 0x10000;
/** First I/O and memory addresses that a card gets; each further one has its own. */
const IO_BASE = 0xc000;
const MEMORY_BASE = 0xfeb00000;
/** phys.hi of the PCI binding of IEEE 1275: the address space. */
const SPACE = { config: 0, io: 0x01000000, memory: 0x02000000 } as const;

/** `pci10ec,8169` or `pciex10ec,8168`: vendor and device in hexadecimal. */
export const isCardName = (text: string): boolean => /^pci(ex)?[0-9a-f]{1,4},[0-9a-f]{1,4}$/.test(text);

/** A card in a slot of its own, the first at device 3 of the bus. */
export function pciCard(text: string, place: number): Card {
  const [, express = '', vendor = '0', device = '0'] = /^pci(ex)?([0-9a-f]+),([0-9a-f]+)$/.exec(text) ?? [];
  const slot = 3 + place;
  const config = new Uint8Array(CONFIG_BYTES);
  const view = new DataView(config.buffer);
  const registers: RegisterSet[] = [
    { kind: 'config', base: 0, bytes: CONFIG_BYTES },
    { kind: 'io', base: IO_BASE + place * IO_BYTES, bytes: IO_BYTES },
    { kind: 'memory', base: MEMORY_BASE + place * MEMORY_BYTES, bytes: MEMORY_BYTES },
  ];
  view.setUint16(0, Number.parseInt(vendor, 16), true);
  view.setUint16(2, Number.parseInt(device, 16), true);
  // Command: I/O, memory, bus master; then the class code, the bases and the interrupt.
  view.setUint16(4, 7, true);
  view.setUint32(8, CLASS << 8, true);
  view.setUint32(0x10, registers[1].base | 1, true);
  view.setUint32(0x14, registers[2].base, true);
  view.setUint16(0x2c, Number.parseInt(vendor, 16), true);
  view.setUint16(0x2e, Number.parseInt(device, 16), true);
  config[0x3c] = 11;
  config[0x3d] = 1;
  const hex = CLASS.toString(16).padStart(6, '0');
  const prefix = `pci${express}`;
  const reg = (index: number, { kind, base, bytes }: RegisterSet): number[] => [
    (SPACE[kind] | (slot << 11) | (index === 0 ? 0 : 0x10 + (index - 1) * 4)) >>> 0,
    0,
    base,
    0,
    index === 0 ? 0 : bytes,
  ];
  return {
    name: text,
    unitAddress: slot.toString(16),
    bus: '/pci@0,0',
    compatible: [text, `${prefix}class,${hex}`, `${prefix}class,${hex.slice(0, 4)}`],
    registers,
    config,
    interrupts: 1,
    properties: new Map<string, PropertyValue>([
      ['reg', registers.flatMap((one, index) => reg(index, { ...one, base: 0 }))],
      ['assigned-addresses', registers.slice(1).flatMap((one, index) => reg(index + 1, one))],
      ['vendor-id', [Number.parseInt(vendor, 16)]],
      ['device-id', [Number.parseInt(device, 16)]],
      ['revision-id', [0]],
      ['class-code', [CLASS]],
      ['interrupts', [1]],
    ]),
  };
}

/** A device that driver.conf(4) puts on a bus: `reg` has a space, an address and a length for each set of registers. */
export function confHardware(bus: string, properties: ReadonlyMap<string, PropertyValue>): Hardware {
  const reg = properties.get('reg');
  const numbers = reg === undefined ? [] : reg.filter((one) => typeof one === 'number');
  const registers: RegisterSet[] = [];
  for (let i = 0; i + 2 < numbers.length; i += 3)
    registers.push({ kind: numbers[i] === 1 ? 'io' : 'memory', base: numbers[i + 1], bytes: numbers[i + 2] });
  const interrupts = properties.get('interrupts');
  return {
    bus,
    compatible: [],
    registers,
    config: new Uint8Array(0),
    interrupts: interrupts === undefined ? 0 : interrupts.length,
    properties: new Map(),
  };
}

// -- access handles -------------------------------------------------------------------------------------------

/** What an access handle leads to: registers with nobody behind them, configuration space, or memory for transfers. */
export interface AccessHandle {
  readonly kind: 'silent' | 'config' | 'memory';
  readonly hardware: Hardware | undefined;
  /** Pages mapped for it. */
  readonly mapped: { readonly base: Address; readonly pages: number } | undefined;
}

const handles = perKernel(() => new Map<Address, AccessHandle>());

export const accessOf = (k: Solaris, handle: Address): AccessHandle | undefined =>
  k.state(handles).get(handle);

export function makeHandle(k: Solaris, access: AccessHandle): Address {
  const at = k.heap.take(64);
  k.state(handles).set(at, access);
  return at;
}

export function freeHandle(k: Solaris, handle: Address): void {
  const access = k.state(handles).get(handle);
  if (access === undefined) return;
  if (access.mapped !== undefined) k.unmapPages(k.dataArea, access.mapped.base, access.mapped.pages);
  k.state(handles).delete(handle);
  k.heap.free(handle);
}

/** Pages that read as all ones, where registers in memory would be; an I/O port is its own address. */
export function mapRegisters(
  k: Solaris,
  hardware: Hardware,
  { kind, base, bytes }: RegisterSet,
): { address: Address; handle: Address } {
  if (kind === 'config')
    return { address: 0, handle: makeHandle(k, { kind: 'config', hardware, mapped: undefined }) };
  if (kind === 'io')
    return { address: base, handle: makeHandle(k, { kind: 'silent', hardware, mapped: undefined }) };
  const pages = Math.ceil(Math.min(bytes || PAGE_SIZE, MEMORY_BYTES) / PAGE_SIZE);
  const at = k.mapPages(k.dataArea, pages, Perm.R | Perm.W, 'device registers');
  k.memory.fill(at, pages * PAGE_SIZE, 0xff);
  const mapped = { base: at, pages };
  return { address: at, handle: makeHandle(k, { kind: 'silent', hardware, mapped }) };
}
