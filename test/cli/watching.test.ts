/** Modules that watch the kernel or change who a task is: probes, function tracing, credentials, interrupts. */
import { describe, expect, it } from 'vitest';
import { packagedPath } from '../../src/cli/packaged.ts';
import { runLine } from './fake.ts';

const built = (name: string) => packagedPath(`fixtures/linux/built/${name}`);

/** What the module said and what the commands printed, without times; then the exit code. */
async function watch(file: string, args: readonly string[], use: readonly string[]) {
  const lines = use.flatMap((line) => ['--do', line]);
  const { code, out } = await runLine(['run', built(file), ...args, ...lines]);
  const told = out.split('\n').map((line) => line.replace(/^\[ *[\d.]+\] /, ''));
  return [...told.filter((line) => line !== '' && !/taint/.test(line)), code];
}

const GETPID = 'syscall 39';

describe('a return probe', () => {
  it('sees the entry and the end of a call, keeps data between them, and changes what is returned', async () => {
    expect(await watch('watcher.ko', [], [GETPID, GETPID, GETPID, GETPID])).toEqual([
      'watcher: return probe 0, 10 at a time',
      'watcher: call 1 of __x64_sys_getpid returned 102 to its caller',
      '= 102',
      'watcher: call 2 of __x64_sys_getpid returned 103 to its caller',
      '= 4711',
      // Its entry handler said that it is not to be followed.
      '= 104',
      'watcher: call 4 of __x64_sys_getpid returned 105 to its caller',
      '= 105',
      'watcher: missed 0',
      0,
    ]);
  });

  it('waits for the end of a call that sleeps', async () => {
    const { code, out } = await runLine([
      ...['linux', '-c', 'insmod watcher.ko function=schedule_timeout'],
      ...['-c', 'insmod timers.ko', '-c', 'sleep 3', '-c', 'rmmod timers', '-c', 'rmmod watcher'],
    ]);
    expect([code, out]).toEqual([0, expect.not.stringContaining('Oops')]);
  });

  it('stands on functions that nothing here calls, and not on those that do not exist', async () => {
    expect(await watch('watcher.ko', ['function=kernel_clone'], [])).toEqual([
      'watcher: return probe 0, 10 at a time',
      'watcher: missed 0',
      0,
    ]);
    expect(await watch('watcher.ko', ['function=kernel_clown'], [])).toEqual([
      'watcher: return probe -2, 0 at a time',
      1,
    ]);
  });
});

it('a kprobe has a handler before and one after, and is not told of what handlers call', async () => {
  expect(await watch('watcher.ko', ['how=kprobes'], [GETPID])).toEqual([
    'watcher: before __x64_sys_getpid, 1',
    'watcher: after __x64_sys_getpid, 5',
    '= 102',
    // _printk: twice by the handlers; its call by the exit function is told, and calls it again.
    'watcher: missed 2',
    0,
  ]);
});

describe('function tracing', () => {
  it('calls back for a filter, with registers where they are asked for', async () => {
    expect(
      await watch('watcher.ko', ['how=ftrace', 'function=__do_sys_getpid'], [GETPID, 'syscall 102']),
    ).toEqual([
      'watcher: once more -22',
      'watcher: __do_sys_getpid was called, registers are here',
      '= 102',
      '= 0',
      0,
    ]);
    expect(await watch('watcher.ko', ['how=glob', 'function=*sys_get?id'], [GETPID, 'syscall 102'])).toEqual([
      'watcher: once more -22',
      'watcher: __do_sys_getpid was called, registers are not',
      '= 102',
      'watcher: __do_sys_getuid was called, registers are not',
      '= 0',
      0,
    ]);
  });

  it('lets a hook stand in for a function, and call it behind its first instruction', async () => {
    expect(await watch('watcher.ko', ['how=hook'], [GETPID])).toEqual([
      'watcher: in the place of getpid, which says 102',
      '= 10102',
      0,
    ]);
  });
});

describe('credentials', () => {
  it('are those in guest memory: a task becomes root, or does not', async () => {
    const told = await watch('become.ko', [], ['as nobody cat /proc/become', 'echo n > /proc/become']);
    const own = told.filter((line) => /uid|for a moment/.test(String(line)));
    expect(own).toEqual([
      'become: n: uid 65534, may 0, file opened by one who may 0',
      'become: for a moment 0, really 65534',
      'become: o: uid 65534, may 0, file opened by one who may 0',
      'become: a: uid 65534, may 0, file opened by one who may 0',
      'become: r: uid 0, may 1, file opened by one who may 0',
      'become: k: uid 0, may 1, file opened by one who may 0',
      'become: n: uid 0, may 1, file opened by one who may 1',
    ]);
  });

  it('numbers of tasks lead to them and back', async () => {
    const told = await watch('become.ko', [], []);
    expect(told).toContain('become: the task is itself, its number its own');
    expect(told).toContain('become: 4711 is nobody, to nobody -3');
  });
});

describe('an interrupt line', () => {
  it('has a handler and its thread', async () => {
    const told = await watch('become.ko', [], ['interrupt 5', 'cat /proc/interrupts']);
    expect(told).toEqual(
      expect.arrayContaining([
        'become: line 5: 0, without a cookie -22',
        'become: line 5, in an interrupt',
        'become: irq/5-become goes on, as a thread',
        '  5:          1   IO-APIC   5-edge      become',
        'become: become is free',
      ]),
    );
    const nobody = await runLine(['run', built('become.ko'), '--do', 'interrupt 9']);
    expect([nobody.code, nobody.err]).toEqual([1, expect.stringContaining('nothing handles line 9')]);
  });

  it.each([
    ['0', 'genirq: Flags mismatch irq 0. 00000080 (become) vs. 00015a00 (timer)'],
    ['2', 'become: line 2: 0, without a cookie -22'],
    ['16', 'become: line 16: -22, without a cookie -22'],
  ])('is refused where the kernel refuses it: %s', async (line, text) => {
    expect(await watch('become.ko', [`line=${line}`], [])).toContain(text);
  });
});
