/** Files of the sandbox's disk as a user's commands read and write them: through the filters that are attached, like everybody. */
import type { Steps } from '../../kernel/steps.ts';
import type { Address } from '../../memory/space.ts';
import type { KernelObject } from '../../systems/windows/objects.ts';
import {
  Disposition,
  type OpenFile,
  openFileOf,
  openOnVolume,
  transferOnVolume,
} from '../../systems/windows/open-files.ts';
import { Status } from '../../systems/windows/status.ts';
import type { Windows } from '../../systems/windows/windows.ts';

const FILE_READ_DATA = 1;
const FILE_WRITE_DATA = 2;
const NON_DIRECTORY = 0x40;
const TAG = 0x6b736964;

export interface DiskResult {
  readonly status: number;
  readonly bytes: Uint8Array;
}

const nothing = (status: number): DiskResult => ({ status, bytes: new Uint8Array(0) });

/** Opens, lets something be done, closes. */
function* withFile(
  k: Windows,
  path: string,
  access: number,
  disposition: number,
  act: (object: KernelObject, open: OpenFile) => Steps<DiskResult>,
): Steps<DiskResult> {
  const { status, object } = yield* openOnVolume(k, path, { access, disposition, options: NON_DIRECTORY });
  const open = object === undefined ? undefined : openFileOf(k, object);
  if (object === undefined || open === undefined) return nothing(status);
  const handle = k.objects.open(object);
  yield* k.objects.dereference(object);
  const result = yield* act(object, open);
  yield* k.objects.close(handle);
  return result;
}

function* withBuffer(k: Windows, bytes: number, act: (at: Address) => Steps<DiskResult>): Steps<DiskResult> {
  const at = k.pool.allocate('nonpaged', Math.max(1, bytes), TAG, 0, true);
  if (at === 0) return nothing(Status.INSUFFICIENT_RESOURCES);
  const result = yield* act(at);
  k.pool.release(at);
  return result;
}

/** The whole of a file. */
export function readWhole(k: Windows, path: string): Steps<DiskResult> {
  return withFile(k, path, FILE_READ_DATA, Disposition.OPEN, function* (object, open) {
    const bytes = open.node.data?.length ?? 0;
    if (bytes === 0) return nothing(Status.SUCCESS);
    return yield* withBuffer(k, bytes, function* (buffer) {
      const done = yield* transferOnVolume(k, object, open, false, { buffer, bytes, offset: 0 });
      const read = done.status < 0 ? 0 : done.information;
      return { status: done.status, bytes: k.memory.bytes(buffer, read).slice() };
    });
  });
}

/** In the place of what was there, or behind it. */
export function writeWhole(k: Windows, path: string, bytes: Uint8Array, append: boolean): Steps<DiskResult> {
  const disposition = append ? Disposition.OPEN_IF : Disposition.OVERWRITE_IF;
  return withFile(k, path, FILE_WRITE_DATA, disposition, function* (object, open) {
    if (append) k.write('FILE_OBJECT.CurrentByteOffset', object.address, open.node.data?.length ?? 0);
    return yield* withBuffer(k, bytes.length, function* (buffer) {
      k.memory.write(buffer, bytes);
      const given = { buffer, bytes: bytes.length, offset: 0 };
      return nothing((yield* transferOnVolume(k, object, open, true, given)).status);
    });
  });
}
