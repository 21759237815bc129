import { describe, expect, it } from 'vitest';
import type { KernelFunction } from '../../../../src/kernel/functions.ts';
import { Errno } from '../../../../src/systems/linux/errno.ts';
import { signalPending } from '../../../../src/systems/linux/functions/sched.ts';
import type { Linux } from '../../../../src/systems/linux/linux.ts';
import { entries } from '../../../../src/systems/linux/lists.ts';
import { userSpace } from '../../../../src/systems/linux/user.ts';
import { boot, call, callSteps, text } from './harness.ts';

function pidsOf(k: Linux): number[] {
  const offset = k.offset('task_struct.tasks');
  return [...entries(k, k.tasks.init + offset)].map((entry) => k.tasks.pid(entry - offset));
}

function callback(k: Linux, prototype: string, handler: (...args: never[]) => number): number {
  const fn = { prototype, handler: (_k: Linux, ...args: never[]) => handler(...args) };
  return k.gate('callback', fn as unknown as KernelFunction<never>);
}

describe('tasks', () => {
  it('stand in the list of all tasks while they live', () => {
    const k = boot();
    const before = pidsOf(k);
    const thread = k.tasks.spawn('one', callSteps(k, 'msleep', 5));
    const pid = k.tasks.pid(thread.control);
    expect(pidsOf(k)).toEqual([...before, pid]);
    k.scheduler.runFor(k.time.now() + 1e9);
    expect(pidsOf(k)).toEqual(before);
  });

  it('stay readable for who holds a reference, and are freed with the last one', () => {
    const k = boot();
    const thread = k.tasks.spawn('held', callSteps(k, 'msleep', 5));
    const task = thread.control;
    k.write('task_struct.usage.refs.counter', task, 2);
    k.scheduler.runFor(k.time.now() + 1e9);
    expect(k.tasks.comm(task)).toBe('held');
    expect(k.read('task_struct.usage.refs.counter', task)).toBe(1);
    call(k, '__put_task_struct', task);
    expect(() => k.heap.free(task)).toThrow();
  });

  it('have the name spaces that utsname() goes through', () => {
    const k = boot();
    const space = k.read('nsproxy.uts_ns', k.read('task_struct.nsproxy', k.tasks.init));
    const release = space + k.offset('uts_namespace.name.release');
    expect(k.memory.cstring(release)).toBe(k.file.release);
  });
});

describe('signals', () => {
  it('reach a kernel thread only when it lets them through', () => {
    const k = boot();
    const thread = k.tasks.spawn('deaf', callSteps(k, 'msleep', 1000));
    call(k, 'send_sig', 9, thread.control, 1);
    expect(signalPending(k, thread.control)).toBe(false);
    const listening = k.tasks.spawn(
      'listening',
      (function* () {
        yield* callSteps(k, 'kernel_sigaction', 9, 2);
        yield* callSteps(k, 'msleep', 1000);
      })(),
    );
    k.scheduler.settle();
    call(k, 'send_sig', 9, listening.control, 1);
    expect(signalPending(k, listening.control)).toBe(true);
    expect(call(k, 'send_sig', 65, listening.control, 1)).toBe(-Errno.EINVAL);
  });
});

describe('files opened by a module', () => {
  it('reads /proc/version, and gets what open(2) says for what is not there', () => {
    const k = boot();
    const file = Number(call(k, 'filp_open', text(k, '/proc/version'), 0, 0));
    const buffer = k.heap.allocateZeroed(64);
    const position = k.heap.allocateZeroed(8);
    expect(call(k, 'kernel_read', file, buffer, 13, position)).toBe(13);
    expect(k.memory.cstring(buffer)).toBe('Linux version');
    expect(k.memory.ptr(position)).toBe(13);
    expect(call(k, 'filp_close', file, 0)).toBe(0);
    expect(call(k, 'filp_open', text(k, '/no/such'), 0, 0)).toBe(-Errno.ENOENT);
  });

  it('starts no program, since there is none', () => {
    const k = boot();
    expect(call(k, 'call_usermodehelper', text(k, '/bin/true'), 0, 0, 1)).toBe(-Errno.ENOENT);
    expect(call(k, 'call_usermodehelper', text(k, '/bin/true'), 0, 0, 0)).toBe(0);
  });
});

describe('who wants SIGIO', () => {
  it('is listed once and taken off', () => {
    const k = boot();
    const file = k.heap.allocateZeroed(k.sizeof('file'));
    const list = k.heap.allocateZeroed(8);
    expect(call(k, 'fasync_helper', 3, file, 1, list)).toBe(1);
    expect(call(k, 'fasync_helper', 4, file, 1, list)).toBe(0);
    expect(k.read('fasync_struct.fa_fd', k.memory.ptr(list))).toBe(4);
    expect(call(k, 'fasync_helper', -1, file, 0, list)).toBe(1);
    expect(k.memory.ptr(list)).toBe(0);
    expect(call(k, 'fasync_helper', -1, file, 0, list)).toBe(0);
  });
});

describe('simple attributes', () => {
  it('ask their get function once for each reading, and give numbers to their set function', () => {
    const k = boot();
    let asked = 0;
    const given: bigint[] = [];
    const get = callback(k, 'int get(void *data, u64 *value)', (_data: never, at: never) => {
      asked++;
      k.memory.setU64(at, 42n);
      return 0;
    });
    const set = callback(k, 'int set(void *data, u64 value)', (_data: never, value: never) => {
      given.push(value);
      return 0;
    });
    const inode = k.heap.allocateZeroed(k.sizeof('inode'));
    const file = k.heap.allocateZeroed(k.sizeof('file'));
    const position = k.heap.allocateZeroed(8);
    const user = k.state(userSpace).allocate(16);
    call(k, 'simple_attr_open', inode, file, get, set, text(k, '%llu\n'));
    expect(call(k, 'simple_attr_read', file, user, 2, position)).toBe(2);
    expect(call(k, 'simple_attr_read', file, user + 2, 14, position)).toBe(1);
    expect(call(k, 'simple_attr_read', file, user + 3, 13, position)).toBe(0);
    expect(asked).toBe(1);
    expect(new TextDecoder().decode(k.memory.bytes(user, 3))).toBe('42\n');
    k.memory.write(user, new TextEncoder().encode('0x1f\n'));
    expect(call(k, 'debugfs_attr_write', file, user, 5, position)).toBe(5);
    k.memory.write(user, new TextEncoder().encode('what\n'));
    expect(call(k, 'debugfs_attr_write', file, user, 5, position)).toBe(-Errno.EINVAL);
    expect(given).toEqual([0x1fn]);
    call(k, 'simple_attr_release', inode, file);
  });
});
