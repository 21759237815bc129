/** Loading and unloading drivers from drivers. */
import type { Steps } from '../../../kernel/steps.ts';
import { loadDriver } from '../load.ts';
import { reportNode } from '../pnp.ts';
import { register } from '../registered.ts';
import { reinitialiseLater } from '../reinitialise.ts';
import { Status } from '../status.ts';
import { unicodeString } from '../strings.ts';
import { unloadDriver } from '../unload.ts';
import type { Windows } from '../windows.ts';
import { kernelFunctions } from './define.ts';

const serviceOf = (path: string): string => path.slice(path.lastIndexOf('\\') + 1);

function* load(k: Windows, path: string): Steps<number> {
  if (k.policy === undefined || path === '') return Status.INVALID_PARAMETER;
  return (yield* loadDriver(k, k.policy, serviceOf(path))).status;
}

function* unload(k: Windows, path: string): Steps<number> {
  const key = k.registry.services.child(serviceOf(path));
  return key === undefined ? Status.OBJECT_NAME_NOT_FOUND : (yield* unloadDriver(k, key)).status;
}

export const driverFunctions = kernelFunctions({
  'NTSTATUS ZwLoadDriver(PVOID service)': (k, service) => load(k, unicodeString(k, service)),
  'NTSTATUS ZwUnloadDriver(PVOID service)': (k, service) => unload(k, unicodeString(k, service)),

  'void IoRegisterDriverReinitialization(PVOID driver, PVOID routine, PVOID context)': (k, ...args) =>
    reinitialiseLater(k, ...args),
  /** The start of the system, which these routines end, is over. */
  'void IoRegisterBootDriverReinitialization(PVOID driver, PVOID routine, PVOID context)': (k, driver) => {
    register(k, 'the end of the start of boot drivers', driver, 0);
  },
  'NTSTATUS IoReportDetectedDevice(PVOID driver, ULONG bus, ULONG number, ULONG slot, PVOID list, PVOID wanted, BOOLEAN assigned, PVOID *device)':
    (k, driver, _bus, _number, _slot, _list, _wanted, _assigned, out) => {
      if (k.memory.ptr(out) !== 0) return Status.SUCCESS;
      const node = reportNode(k, driver);
      if (typeof node === 'number') return node;
      k.memory.setPtr(out, node.pdo);
      return Status.SUCCESS;
    },
});
