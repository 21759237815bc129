/** The memory devices every Linux has: null, zero and full (drivers/char/mem.c, major 1). */
import { Errno } from '../errno.ts';
import type { Linux } from '../linux.ts';
import { makeDevice } from './chrdev.ts';
import { namespace } from './namespace.ts';
import { type FileMethods, Node, S_IFCHR } from './node.ts';

const MAJOR = 1;

const nothing: FileMethods = {
  *read() {
    return 0;
  },
  *write(_k, _file, _buffer, count) {
    return count;
  },
  *seek() {
    return 0;
  },
};

const zeros: FileMethods = {
  ...nothing,
  *read(k, _file, buffer, count) {
    k.memory.fill(buffer, count, 0);
    return count;
  },
};

const full: FileMethods = {
  ...zeros,
  *write() {
    return -Errno.ENOSPC;
  },
};

const DEVICES: readonly (readonly [minor: number, name: string, methods: FileMethods])[] = [
  [3, 'null', nothing],
  [5, 'zero', zeros],
  [7, 'full', full],
];

/** The methods of a memory device by number; undefined for every other device. */
export function memoryDevice(device: number): FileMethods | undefined {
  return DEVICES.find(([minor]) => device === makeDevice(MAJOR, minor))?.[2];
}

export function populateMemoryDevices(k: Linux): void {
  for (const [minor, name, methods] of DEVICES) {
    const node = new Node(name, S_IFCHR | 0o666);
    node.rdev = makeDevice(MAJOR, minor);
    node.methods = methods;
    k.state(namespace).dev.add(node);
  }
}
