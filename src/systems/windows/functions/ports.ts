/**
 * Ports and registers under the names that the port libraries give them: SCSIPORT and VIDEOPRT as the hardware abstraction
 * layer has them, STORPORT with the adapter in front. What else miniports use without an adapter is here too.
 */
import type { FunctionTable } from '../../../kernel/functions.ts';
import { format } from '../format.ts';
import type { Windows } from '../windows.ts';
import { kernelFunctions, renamed } from './define.ts';
import { halFunctions } from './hal.ts';
import { startIoFunctions } from './startio.ts';

const LEVEL_INFO = 6;
const ACCESS = /^(READ|WRITE)_(PORT|REGISTER)(_BUFFER)?_U(CHAR|SHORT|LONG)$/;

const registers: FunctionTable<Windows> = new Map(
  [...halFunctions, ...startIoFunctions].filter(([name]) => ACCESS.test(name)),
);

/** READ_PORT_UCHAR -> ReadPortUchar. */
const camel = (name: string): string =>
  name
    .split('_')
    .map((part) => part[0] + part.slice(1).toLowerCase())
    .join('');

/** The same functions with the adapter's extension, which they do not look at, as first argument. */
const withAdapter = (table: FunctionTable<Windows>): FunctionTable<Windows> =>
  new Map(
    [...table].map(([name, { prototype, handler }]) => [
      name,
      {
        prototype: prototype.replace('(', '(PVOID extension, '),
        handler: (k: Windows, _extension: never, ...args: never[]) => handler(k, ...args),
      },
    ]),
  );

export const portRegisterFunctions: readonly FunctionTable<Windows>[] = [
  renamed(registers, (name) => `ScsiPort${camel(name)}`),
  renamed(registers, (name) => `VideoPort${camel(name)}`),
  renamed(withAdapter(registers), (name) => `StorPort${camel(name)}`),
];

/** Physical addresses of ports are numbers of 64 bits; a miniport of the first NT knew 32. */
const address = (value: number): bigint => BigInt(value) & 0xffffffffn;

export const portFunctions = kernelFunctions({
  'u64 ScsiPortConvertUlongToPhysicalAddress(ULONG_PTR value)': (_k, value) => address(value),
  'u64 StorPortConvertUlongToPhysicalAddress(ULONG_PTR value)': (_k, value) => address(value),
  'ULONG ScsiPortConvertPhysicalAddressToUlong(u64 value)': (_k, value) => Number(value & 0xffffffffn),
  'ULONG StorPortConvertPhysicalAddressToUlong(u64 value)': (_k, value) => Number(value & 0xffffffffn),
  'void ScsiPortStallExecution(ULONG microseconds)': (k, microseconds) => k.time.skip(microseconds * 1000),
  'void StorPortStallExecution(ULONG microseconds)': (k, microseconds) => k.time.skip(microseconds * 1000),
  'void VideoPortStallExecution(ULONG microseconds)': (k, microseconds) => k.time.skip(microseconds * 1000),
  'void ScsiPortMoveMemory(PVOID to, PVOID from, ULONG bytes)': (k, to, from, bytes) =>
    k.memory.copy(to, from, bytes),
  'void StorPortMoveMemory(PVOID to, PVOID from, ULONG bytes)': (k, to, from, bytes) =>
    k.memory.copy(to, from, bytes),
  'void ScsiPortQuerySystemTime(u64 *time)': (k, at) => k.memory.setU64(at, k.processor.systemTime()),
  'void StorPortQuerySystemTime(u64 *time)': (k, at) => k.memory.setU64(at, k.processor.systemTime()),
  'void ScsiDebugPrint(ULONG level, const char *text, ...)': (k, _level, at, args) =>
    k.log.write(LEVEL_INFO, format(k, k.memory.cstring(at), args).trimEnd()),
  'void StorPortDebugPrint(ULONG level, const char *text, ...)': (k, _level, at, args) =>
    k.log.write(LEVEL_INFO, format(k, k.memory.cstring(at), args).trimEnd()),
  'void VideoPortDebugPrint(ULONG level, const char *text, ...)': (k, _level, at, args) =>
    k.log.write(LEVEL_INFO, format(k, k.memory.cstring(at), args).trimEnd()),
  /** No adapter, so no bus on which one could sit. */
  'ULONG ScsiPortGetBusData(PVOID extension, ULONG type, ULONG bus, ULONG slot, PVOID buffer, ULONG length)':
    () => 0,
  'ULONG ScsiPortSetBusDataByOffset(PVOID extension, ULONG type, ULONG bus, ULONG slot, PVOID buffer, ULONG offset, ULONG length)':
    () => 0,
});
