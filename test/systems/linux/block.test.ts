import { describe, expect, it } from 'vitest';
import { LinuxSession } from '../../../src/tools/linux/session.ts';
import { builtinKernel, fixture } from './kernel.ts';

function session(engine: 'interpreter' | 'wasm' = 'wasm'): LinuxSession {
  return new LinuxSession(builtinKernel(), { engine, moduleFile: () => fixture('ramdisk') });
}

/** What the lines print, and the log. */
function run(shell: LinuxSession, ...lines: string[]): string {
  return lines.map((line) => shell.line(line).output).join('');
}

const said = (shell: LinuxSession): string => shell.k.log.records.map(({ text }) => text).join('\n');

describe('disks of a module', () => {
  it('tell of a request that failed in the words of the kernel', () => {
    const shell = session();
    run(shell, 'insmod ramdisk.ko bad=0', 'head -c 6 /dev/ramreq');
    // Read ahead first: nobody waits for that, so it may fail fast; then the page that is wanted, by itself.
    expect(said(shell)).toMatch(
      /critical medium error, dev ramreq, sector 0 op 0x0:\(READ\) flags 0x80700 phys_seg \d+ prio class 2/,
    );
    expect(said(shell)).toContain(
      'critical medium error, dev ramreq, sector 0 op 0x0:(READ) flags 0x0 phys_seg 1 prio class 2',
    );
    expect(said(shell)).toContain('Buffer I/O error on dev ramreq, logical block 0, async page read');
    expect(shell.line('head -c 6 /dev/ramreq').errno).toBe(5);
  });

  it('count what was transferred, with what is read ahead', () => {
    const shell = session();
    run(
      shell,
      'insmod ramdisk.ko sectors=2048',
      'open /dev/ramreq r',
      ...Array<string>(10).fill('read 3 4096'),
    );
    // Windows of 4, 8 and 16 pages.
    expect(run(shell, 'cat /sys/block/ramreq/stat').trim().split(/ +/).slice(0, 3)).toEqual([
      '3',
      '0',
      '224',
    ]);
    // Another 1 MiB in pieces of 64 KiB: the window has reached its 32 pages.
    run(shell, ...Array<string>(16).fill('read 3 65536'));
    expect(run(shell, 'cat /sys/block/ramreq/stat').trim().split(/ +/)[2]).toBe('2048');
    expect(run(shell, 'cat /sys/block/rambio/stat').trim().split(/ +/)[0]).toBe('0');
  });

  it('are written when they are closed or told to, not before', () => {
    const shell = session();
    const writes = () => Number(run(shell, 'cat /sys/block/ramreq/stat').trim().split(/ +/)[4]);
    run(shell, 'insmod ramdisk.ko', 'open /dev/ramreq rw', 'write 3 "late"');
    expect(writes()).toBe(0);
    run(shell, 'ioctl 3 0x1261');
    expect(writes()).toBe(1);
    run(shell, 'write 3 "later"', 'close 3');
    expect(writes()).toBe(2);
    expect(run(shell, 'head -c 9 /dev/ramreq')).toBe('latelater');
  });

  it('keep the module while they are open, and leave nothing behind', () => {
    const shell = session();
    const cycle = () => {
      run(
        shell,
        'insmod ramdisk.ko',
        'echo something > /dev/rambio',
        'echo else > /dev/ramreq',
        'head -c 3 /dev/rambio',
      );
      expect(shell.line('rmmod ramdisk').code).toBe(0);
    };
    // The caches of small structures have their pages after the second time.
    cycle();
    cycle();
    const { frames } = shell.k.memory;
    const before = frames.freePages;
    for (let i = 0; i < 5; i++) cycle();
    expect(frames.freePages).toBe(before);
    expect(shell.line('ls /dev/rambio').errno).toBe(2);
    expect(
      run(shell, 'ls /sys/block', 'ls /sys/dev/block', 'ls /sys/class/bdi', 'cat /proc/partitions'),
    ).toBe('');
  });

  it('do the same on both engines', () => {
    const lines = [
      'insmod ramdisk.ko',
      'echo words > /dev/ramreq',
      'head -c 6 /dev/ramreq',
      'cat /proc/diskstats',
      'rmmod ramdisk',
    ];
    const [one, other] = (['interpreter', 'wasm'] as const).map((engine) => {
      const shell = session(engine);
      return [run(shell, ...lines), said(shell), shell.k.memory.frames.freePages];
    });
    expect(one).toEqual(other);
  });

  it('that are not there are asked for by number, and absent', () => {
    const shell = session();
    expect(run(shell, 'mknod /tmp/none b 240 0')).toBe('');
    expect(shell.line('open /tmp/none r').errno).toBe(6);
  });
});
