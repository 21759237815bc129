/** A command that would wait for ever is interrupted: the driver takes its wait entry off the queue, and goes on. */
import { expect, it } from 'vitest';
import { runLine } from '../../cli/fake.ts';

it('leaves the driver whole, so that it can be used and unloaded', async () => {
  const lines = [
    'insmod chardev.ko',
    'head -c 3 /dev/chardev',
    'echo abcd > /dev/chardev',
    'head -c 3 /dev/chardev',
    'rmmod chardev',
    'lsmod',
  ];
  const { code, out, err } = await runLine(['linux', ...lines.flatMap((line) => ['-c', line])]);
  expect(err).toContain('it would wait for ever');
  expect(out).toContain('abc');
  expect(out + err).not.toContain('BUG');
  expect([code, out.split('\n').some((line) => line.startsWith('chardev '))]).toEqual([0, false]);
});
