/** Variables that the kernel exports. */
import { fillSeExports } from './functions/security.ts';
import type { ObjectType } from './objects.ts';
import type { DataTable, ExportedData, Windows } from './windows.ts';

const pointer = (value: (k: Windows) => number): ExportedData => ({
  bytes: 8,
  fill: (k, at) => k.memory.setPtr(at, value(k)),
});
const number = (value: (k: Windows) => number, bytes = 4): ExportedData => ({
  bytes,
  fill: (k, at) => {
    if (bytes === 1) k.memory.set8(at, value(k));
    else if (bytes === 2) k.memory.set16(at, value(k));
    else k.memory.set32(at, value(k));
  },
});
/** `POBJECT_TYPE *`: the variable holds the type object's address. */
const type = (name: ObjectType) => pointer((k) => k.objects.typeObject(name));

export const DATA: DataTable = new Map<string, ExportedData>([
  ['IoFileObjectType', type('File')],
  ['IoDeviceObjectType', type('Device')],
  ['IoDriverObjectType', type('Driver')],
  ['PsThreadType', type('Thread')],
  ['PsProcessType', type('Process')],
  ['ExEventObjectType', type('Event')],
  ['ExSemaphoreObjectType', type('Semaphore')],
  ['CmKeyObjectType', type('Key')],
  ['SeTokenObjectType', type('Token')],
  ['MmSectionObjectType', type('Section')],
  ['PsInitialSystemProcess', pointer((k) => k.threads.system.address)],
  [
    'MmSystemRangeStart',
    pointer((k) => (k.word === 8 ? Number(BigInt.asIntN(64, 0xffff080000000000n)) : 0x80000000)),
  ],
  ['MmHighestUserAddress', pointer((k) => k.map.userEnd - 1)],
  ['MmUserProbeAddress', pointer((k) => k.map.userEnd)],
  ['SeExports', { bytes: 8, fill: fillSeExports }],
  ['NtBuildNumber', number((k) => (0xf0000000 | k.release.build) >>> 0)],
  ['NtGlobalFlag', number(() => 0)],
  ['KdDebuggerEnabled', number(() => 0, 1)],
  ['KdDebuggerNotPresent', number(() => 1, 1)],
  ['KdComPortInUse', pointer(() => 0)],
  ['Mm64BitPhysicalAddress', number(() => 0, 1)],
  ['InitSafeBootMode', number(() => 0)],
  ['KeNumberProcessors', number(() => 1, 1)],
  ['NlsMbCodePageTag', number(() => 0, 1)],
  ['NlsMbOemCodePageTag', number(() => 0, 1)],
  [
    'KeTickCount',
    { bytes: 16, fill: (k, at) => void k.clocks.push(() => k.memory.setU64(at, k.processor.tickCount())) },
  ],
]);
