/** What a program does with a user client (IOKitLib, iokit/Kernel/IOUserClient.cpp): open a service, call a method, close. */
import type { Steps } from '../../kernel/steps.ts';
import type { Address } from '../../memory/space.ts';
import { IO_RETURN } from './functions/iokit/userclient.ts';
import type { Macos } from './macos.ts';
import { invoke } from './runtime/classes.ts';
import { release } from './runtime/objects.ts';

/** kIOExternalMethodArgumentsCurrentVersion */
const VERSION = 2;
const MOST_SCALARS = 16;

export interface MethodCall {
  readonly selector: number;
  readonly scalars: readonly bigint[];
  readonly bytes: Uint8Array;
  /** How many numbers and bytes the program has room for. */
  readonly results: number;
  readonly room: number;
}

export interface MethodResult {
  /** IOReturn: 0 is success. */
  readonly code: number;
  readonly scalars: readonly bigint[];
  readonly bytes: Uint8Array;
}

/** IOServiceOpen: the client, or the error number that the kernel gives. */
export function* openService(
  k: Macos,
  service: Address,
  kind: number,
): Steps<{ readonly client: Address; readonly code: number }> {
  const place = k.heap.allocate(16, 'user client');
  const task = k.memory.ptr(k.object('_kernel_task'));
  const symbol = '_ZN9IOService13newUserClientEP4taskPvjP12OSDictionaryPP12IOUserClient';
  const code = (yield* invoke(k, service, 'IOService', symbol, task, task, kind, 0, place)) | 0;
  const client = k.memory.ptr(place);
  k.heap.free(place);
  return code === 0 && client === 0 ? { client, code: IO_RETURN.UNSUPPORTED } : { client, code };
}

/** IOConnectCallMethod */
export function* callMethod(k: Macos, client: Address, call: MethodCall): Steps<MethodResult> {
  const size = k.sizeof('struct IOExternalMethodArguments');
  const inputs = Math.min(call.scalars.length, MOST_SCALARS);
  const outputs = Math.min(call.results, MOST_SCALARS);
  const total = size + (inputs + outputs) * 8 + call.bytes.length + call.room;
  const args = k.heap.allocate(total, 'user client');
  const [scalars, results] = [args + size, args + size + inputs * 8];
  const input = results + outputs * 8;
  const output = input + call.bytes.length;
  const write = (name: string, value: number): void =>
    k.write(`IOExternalMethodArguments.${name}`, args, value);
  write('version', VERSION);
  write('selector', call.selector);
  write('scalarInput', scalars);
  write('scalarInputCount', inputs);
  write('structureInput', input);
  write('structureInputSize', call.bytes.length);
  write('scalarOutput', results);
  write('scalarOutputCount', outputs);
  write('structureOutput', output);
  write('structureOutputSize', call.room);
  for (const [i, value] of call.scalars.slice(0, inputs).entries()) k.memory.setU64(scalars + i * 8, value);
  if (call.bytes.length > 0) k.memory.write(input, call.bytes);
  const symbol =
    '_ZN12IOUserClient14externalMethodEjP25IOExternalMethodArgumentsP24IOExternalMethodDispatchP8OSObjectPv';
  const code = (yield* invoke(k, client, 'IOUserClient', symbol, call.selector, args, 0, 0, 0)) | 0;
  const count = Math.min(outputs, k.read('IOExternalMethodArguments.scalarOutputCount', args));
  const bytes = Math.min(call.room, k.read('IOExternalMethodArguments.structureOutputSize', args));
  const result: MethodResult = {
    code,
    scalars: code === 0 ? Array.from({ length: count }, (_, i) => k.memory.u64(results + i * 8)) : [],
    bytes: code === 0 && bytes > 0 ? k.memory.bytes(output, bytes).slice() : new Uint8Array(),
  };
  k.heap.free(args);
  return result;
}

/** IOServiceClose */
export function* closeClient(k: Macos, client: Address): Steps<void> {
  yield* invoke(k, client, 'IOUserClient', '_ZN12IOUserClient11clientCloseEv');
  yield* release(k, client);
}
