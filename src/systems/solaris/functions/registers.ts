/** Registers of devices: ddi_regs_map_setup(9F), ddi_get8(9F) and its like, pci_config_setup(9F), ports. */
import type { FunctionTable } from '../../../kernel/functions.ts';
import type { Address } from '../../../memory/space.ts';
import { accessOf, freeHandle, hardwareOf, makeHandle, mapRegisters } from '../hardware.ts';
import type { Solaris } from '../solaris.ts';
import { kernelFunctions } from './define.ts';

const SUCCESS = 0;
const FAILURE = -1;
/** DDI_ME_RNUMBER_RANGE (sys/sunddi.h). */
const RNUMBER_RANGE = -6;

type Width = 8 | 16 | 32 | 64;
const WIDTHS: readonly Width[] = [8, 16, 32, 64];
/** The same functions had letters in their names before there were 64-bit kernels: ddi_getb, pci_config_getw. */
const LETTERS = { 8: 'b', 16: 'w', 32: 'l', 64: 'll' } as const;
const ones = (width: Width): bigint => 2n ** BigInt(width) - 1n;

function readMemory(k: Solaris, at: Address, width: Width): bigint {
  if (width === 64) return k.memory.u64(at);
  return BigInt(width === 32 ? k.memory.u32(at) : width === 16 ? k.memory.u16(at) : k.memory.u8(at));
}

function writeMemory(k: Solaris, at: Address, width: Width, value: bigint): void {
  if (width === 64) k.memory.setU64(at, value);
  else if (width === 32) k.memory.set32(at, Number(value));
  else if (width === 16) k.memory.set16(at, Number(value));
  else k.memory.set8(at, Number(value));
}

/** Registers read as ones; configuration space and memory for transfers have bytes of their own. */
function get(k: Solaris, handle: Address, at: Address, width: Width): bigint {
  const access = accessOf(k, handle);
  if (access === undefined || access.kind === 'silent') return ones(width);
  if (access.kind === 'memory') return readMemory(k, at, width);
  const config = access.hardware?.config ?? new Uint8Array(0);
  let value = 0n;
  for (let i = width / 8 - 1; i >= 0; i--) value = (value << 8n) | BigInt(config[at + i] ?? 0xff);
  return value;
}

function put(k: Solaris, handle: Address, at: Address, width: Width, value: bigint): void {
  const access = accessOf(k, handle);
  if (access?.kind === 'memory') writeMemory(k, at, width, value);
  // The ids, the class and the kind of header cannot be written.
  else if (access?.kind === 'config' && at >= 4 && !(at >= 8 && at < 0x10))
    access.hardware?.config.set(
      Array.from({ length: width / 8 }, (_, i) => Number((value >> BigInt(8 * i)) & 0xffn)).slice(
        0,
        Math.max(0, access.hardware.config.length - at),
      ),
      Math.min(at, access.hardware.config.length),
    );
}

const AUTOINCREMENT = 1;

/** ddi_rep_get8 and its like: the device's side stays where it is, or goes on with the host's. */
function repeat(
  k: Solaris,
  read: boolean,
  width: Width,
  args: readonly [handle: Address, host: Address, device: Address, count: number, flags: number],
): void {
  const [handle, host, device, count, flags] = args;
  const step = width / 8;
  for (let i = 0; i < Math.min(count, 1 << 20); i++) {
    const at = flags === AUTOINCREMENT ? device + i * step : device;
    if (read) writeMemory(k, host + i * step, width, get(k, handle, at, width));
    else put(k, handle, at, width, readMemory(k, host + i * step, width));
  }
}

/** Functions of all four widths, by their names of now and of then. */
const accessors = (): FunctionTable<Solaris>[] =>
  WIDTHS.flatMap((width) => [accessorsOf(width, String(width)), accessorsOf(width, LETTERS[width])]);

function accessorsOf(width: Width, suffix: string): FunctionTable<Solaris> {
  const type = `uint${width}_t`;
  const one = (value: bigint): bigint | number => (width === 64 ? value : Number(value));
  const cut = (value: number | bigint): bigint => BigInt.asUintN(width, BigInt(value));
  type Args = [handle: Address, host: Address, device: Address, count: number, flags: number];
  const table: Record<string, (k: Solaris, ...args: never[]) => unknown> = {
    [`${type} ddi_get${suffix}(void *handle, ${type} *at)`]: (k, handle: Address, at: Address) =>
      one(get(k, handle, at, width)),
    [`${type} ddi_io_get${suffix}(void *handle, ${type} *at)`]: (k, handle: Address, at: Address) =>
      one(get(k, handle, at, width)),
    [`${type} ddi_mem_get${suffix}(void *handle, ${type} *at)`]: (k, handle: Address, at: Address) =>
      one(get(k, handle, at, width)),
    [`void ddi_put${suffix}(void *handle, ${type} *at, ${type} value)`]: (
      k,
      handle: Address,
      at: Address,
      value: number | bigint,
    ) => put(k, handle, at, width, cut(value)),
    [`void ddi_io_put${suffix}(void *handle, ${type} *at, ${type} value)`]: (
      k,
      handle: Address,
      at: Address,
      value: number | bigint,
    ) => put(k, handle, at, width, cut(value)),
    [`void ddi_mem_put${suffix}(void *handle, ${type} *at, ${type} value)`]: (
      k,
      handle: Address,
      at: Address,
      value: number | bigint,
    ) => put(k, handle, at, width, cut(value)),
    [`void ddi_rep_get${suffix}(void *handle, ${type} *host, ${type} *device, size_t count, uint_t flags)`]: (
      k,
      ...args: Args
    ) => repeat(k, true, width, args),
    [`void ddi_rep_put${suffix}(void *handle, ${type} *host, ${type} *device, size_t count, uint_t flags)`]: (
      k,
      ...args: Args
    ) => repeat(k, false, width, args),
    [`${type} pci_config_get${suffix}(void *handle, uint_t offset)`]: (k, handle: Address, offset: number) =>
      one(get(k, handle, offset, width)),
    [`void pci_config_put${suffix}(void *handle, uint_t offset, ${type} value)`]: (
      k,
      handle: Address,
      offset: number,
      value: number | bigint,
    ) => put(k, handle, offset, width, cut(value)),
  };
  return kernelFunctions(table as never);
}

function mapSetup(k: Solaris, dip: Address, number: number, addressp: Address, handlep: Address): number {
  const hardware = hardwareOf(k, dip);
  const set = hardware?.registers[number];
  if (hardware === undefined) return FAILURE;
  if (set === undefined) return RNUMBER_RANGE;
  const { address, handle } = mapRegisters(k, hardware, set);
  k.memory.setPtr(addressp, address);
  k.memory.setPtr(handlep, handle);
  return SUCCESS;
}

function free(k: Solaris, handlep: Address): void {
  freeHandle(k, k.memory.ptr(handlep));
  k.memory.setPtr(handlep, 0);
}

export const registers: readonly FunctionTable<Solaris>[] = [
  ...accessors(),
  kernelFunctions({
    'int ddi_regs_map_setup(dev_info_t *dip, uint_t number, caddr_t *addressp, longlong_t offset, longlong_t length, struct ddi_device_acc_attr *attributes, void **handlep)':
      (k, dip, number, addressp, _offset, _length, _attributes, handlep) =>
        mapSetup(k, dip, number, addressp, handlep),
    'void ddi_regs_map_free(void **handlep)': free,
    'int pci_config_setup(dev_info_t *dip, void **handlep)': (k, dip, handlep) => {
      const hardware = hardwareOf(k, dip);
      if (hardware === undefined || hardware.config.length === 0) return FAILURE;
      k.memory.setPtr(handlep, makeHandle(k, { kind: 'config', hardware, mapped: undefined }));
      return SUCCESS;
    },
    'void pci_config_teardown(void **handlep)': free,
    'int ddi_dev_nregs(dev_info_t *dip, int *count)': (k, dip, count) => {
      const hardware = hardwareOf(k, dip);
      if (hardware === undefined) return FAILURE;
      k.memory.set32(count, hardware.registers.length);
      return SUCCESS;
    },
    'int ddi_dev_regsize(dev_info_t *dip, uint_t number, long *size)': (k, dip, number, size) => {
      const set = hardwareOf(k, dip)?.registers[number];
      if (set === undefined) return FAILURE;
      k.memory.setPtr(size, set.bytes);
      return SUCCESS;
    },
    'int ddi_dev_is_sid(dev_info_t *dip)': (k, dip) => (hardwareOf(k, dip) === undefined ? FAILURE : SUCCESS),
    'int ddi_slaveonly(dev_info_t *dip)': () => FAILURE,
    'int ddi_peek8(dev_info_t *dip, int8_t *at, int8_t *value)': () => FAILURE,
    'int ddi_peek16(dev_info_t *dip, int16_t *at, int16_t *value)': () => FAILURE,
    'int ddi_peek32(dev_info_t *dip, int32_t *at, int32_t *value)': () => FAILURE,
    'uint8_t inb(int port)': () => 0xff,
    'uint16_t inw(int port)': () => 0xffff,
    'uint32_t inl(int port)': () => 0xffffffff,
    'void outb(int port, uint8_t value)': () => undefined,
    'void outw(int port, uint16_t value)': () => undefined,
    'void outl(int port, uint32_t value)': () => undefined,
    'void repinsb(int port, uint8_t *at, int count)': (k, _port, at, count) =>
      k.memory.fill(at, Math.max(0, count), 0xff),
    'void repinsw(int port, uint16_t *at, int count)': (k, _port, at, count) =>
      k.memory.fill(at, Math.max(0, count) * 2, 0xff),
    'void repinsd(int port, uint32_t *at, int count)': (k, _port, at, count) =>
      k.memory.fill(at, Math.max(0, count) * 4, 0xff),
    'void repoutsb(int port, uint8_t *at, int count)': () => undefined,
    'void repoutsw(int port, uint16_t *at, int count)': () => undefined,
    'void repoutsd(int port, uint32_t *at, int count)': () => undefined,
  }),
];
