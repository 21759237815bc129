/** selectLib: waiting for one of many descriptors. Those of drivers in machine code cannot be waited for: their lists are not written. */
import { definer } from '../../../kernel/functions.ts';
import { perKernel } from '../../../kernel/kernel.ts';
import type { Steps } from '../../../kernel/steps.ts';
import { ERRNO, WAIT_FOREVER } from '../errno.ts';
import { failed } from '../tasks.ts';
import type { VxWorks } from '../vxworks.ts';
import { WaitQueue } from '../waiting.ts';
import { isOpen, kernelFile } from './io.ts';

const functions = definer<VxWorks>();

/** Those that wait for any descriptor to become ready: each looks at its own again when one may have. */
const selecting = perKernel((k) => new WaitQueue(k as VxWorks, false));

/** A file of the kernel's may be ready now. */
export function changed(k: VxWorks): void {
  k.state(selecting).wakeAll();
}

export const selectFunctions = functions({
  'int select(int width, void *reads, void *writes, void *exceptions, struct timeval *timeout)': wait,
});

interface Sets {
  readonly reads: readonly number[];
  readonly writes: readonly number[];
}

function* wait(
  k: VxWorks,
  width: number,
  reads: number,
  writes: number,
  exceptions: number,
  timeout: number,
): Steps<number> {
  const asked: Sets = { reads: members(k, reads, width), writes: members(k, writes, width) };
  for (const fd of [...asked.reads, ...asked.writes]) {
    if (!isOpen(k, fd)) return failed(k, ERRNO.S_iosLib_INVALID_FILE_DESCRIPTOR);
    if (fd > 2 && kernelFile(k, fd) === undefined) return failed(k, ERRNO.ENOTSUP);
  }
  const end = k.ticks + ticksOf(k, timeout);
  let ready = look(k, asked);
  while (ready.reads.length + ready.writes.length === 0) {
    const left = timeout === 0 ? WAIT_FOREVER : Math.max(0, end - k.ticks);
    const errno = yield* k.state(selecting).wait('select', left);
    ready = look(k, asked);
    if (errno !== 0) break;
  }
  store(k, reads, width, ready.reads);
  store(k, writes, width, ready.writes);
  store(k, exceptions, width, []);
  return ready.reads.length + ready.writes.length;
}

function look(k: VxWorks, { reads, writes }: Sets): Sets {
  return {
    reads: reads.filter((fd) => (fd === 0 ? k.console.typed !== '' : (kernelFile(k, fd)?.readable ?? false))),
    writes: writes.filter((fd) => fd === 1 || fd === 2 || (kernelFile(k, fd)?.writable ?? false)),
  };
}

function ticksOf(k: VxWorks, timeout: number): number {
  if (timeout === 0) return 0;
  const ns =
    k.read('struct timeval.tv_sec', timeout) * 1e9 + k.read('struct timeval.tv_usec', timeout) * 1000;
  return Math.ceil(ns / k.tick);
}

/** An fd_set is an array of words of 32 bits, the lowest bit first; those before `width` count. */
function members(k: VxWorks, set: number, width: number): number[] {
  const all: number[] = [];
  if (set === 0) return all;
  for (let fd = 0; fd < Math.min(width, 256); fd++)
    if (((k.memory.u32(set + (fd >> 5) * 4) >>> (fd & 31)) & 1) !== 0) all.push(fd);
  return all;
}

function store(k: VxWorks, set: number, width: number, ready: readonly number[]): void {
  if (set === 0) return;
  for (let word = 0; word * 32 < Math.min(width, 256); word++) {
    const bits = ready.filter((fd) => fd >> 5 === word).reduce((sum, fd) => sum | (1 << (fd & 31)), 0);
    k.memory.set32(set + word * 4, bits);
  }
}
