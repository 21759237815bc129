/**
 * The tables that the firmware leaves to the kernel (UEFI specification, 4.3 and 4.5; 64-bit ones, whatever the kernel's
 * width): they are there, and nobody is behind the services.
 */
import { writeGuestText } from '../../../kernel/text/printf.ts';
import type { Address } from '../../../memory/space.ts';
import type { DataSymbol, Macos } from '../macos.ts';
import { MODEL } from '../runtime/device-tree.ts';
import { kernelFunctions } from './define.ts';

/** EFI_TABLE_HEADER: signature, revision, bytes. */
const HEADER_BYTES = 24;
const REVISION = 0x2001f;
/** In the order of EFI_RUNTIME_SERVICES. */
const SERVICES = [
  'GetTime',
  'SetTime',
  'GetWakeupTime',
  'SetWakeupTime',
  'SetVirtualAddressMap',
  'ConvertPointer',
  'GetVariable',
  'GetNextVariableName',
  'SetVariable',
  'GetNextHighMonotonicCount',
  'ResetSystem',
] as const;
/** EFI_SYSTEM_TABLE_64, and where its RuntimeServices stands. */
const SYSTEM_BYTES = 120;
const RUNTIME_SERVICES_AT = 88;

function table(k: Macos, signature: string, bytes: number): Address {
  const at = k.takeData(bytes);
  k.memory.poke(at, new TextEncoder().encode(signature));
  k.memory.set32(at + 8, REVISION);
  k.memory.set32(at + 12, bytes);
  return at;
}

function runtimeServices(k: Macos): Address {
  const at = table(k, 'RUNTSERV', HEADER_BYTES + SERVICES.length * 8);
  for (const [i, name] of SERVICES.entries())
    k.memory.setU64(at + HEADER_BYTES + i * 8, BigInt.asUintN(64, BigInt(k.missingGate(`EFI ${name}`))));
  return at;
}

export const firmwareData: readonly DataSymbol[] = [
  {
    name: '_gPEEFIRuntimeServices',
    bytes: 8,
    fill: (k, at) => k.memory.setPtr(at, runtimeServices(k)),
  },
  {
    name: '_gPEEFISystemTable',
    bytes: 8,
    fill: (k, at) => {
      const system = table(k, 'IBI SYST', SYSTEM_BYTES);
      const services = k.memory.ptr(k.object('_gPEEFIRuntimeServices'));
      k.memory.setU64(system + RUNTIME_SERVICES_AT, BigInt.asUintN(64, BigInt(services)));
      k.memory.setPtr(at, system);
    },
  },
];

export const firmwareFunctions = kernelFunctions({
  'boolean_t PEGetModelName(char *name, int size)': (k, name, size) => {
    writeGuestText(k, name, MODEL.slice(0, Math.max(0, size - 1)));
    return 1;
  },
});
