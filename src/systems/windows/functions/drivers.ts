/** Loading and unloading drivers from drivers. */
import type { Steps } from '../../../kernel/steps.ts';
import { loadDriver } from '../load.ts';
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
});
