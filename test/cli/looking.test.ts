import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { packagedPath } from '../../src/cli/packaged.ts';
import { runLine } from './fake.ts';

const built = (name: string) => packagedPath(`fixtures/linux/built/${name}`);
const scratch = mkdtempSync(join(tmpdir(), 'lkm-looking-'));
afterAll(() => rmSync(scratch, { recursive: true }));

interface Call {
  thread: string;
  depth: number;
  kind: string;
  name: string;
  arguments: { name: string; text: string }[];
  from: string;
  result?: string;
}
interface Result {
  instructions: number;
  log: unknown[];
  calls: Call[];
}
const json = async (...args: string[]): Promise<Result> =>
  JSON.parse((await runLine(['run', '--json', ...args])).out.split('\n').at(-2) ?? '') as Result;

const USE = ['--do', 'echo 41 > /dev/counter', '--do', 'cat /dev/counter'];

describe('--trace calls', () => {
  it('shows arguments and results by the prototypes, nested, by thread', async () => {
    const { err } = await runLine(['run', built('miscdev.ko'), '--trace', 'calls', ...USE]);
    const lines = err.split('\n');
    expect(lines[0]).toMatch(/^insmod:\d+ +miscdev_init \[miscdev\]\(\) \{$/);
    expect(lines[1]).toMatch(
      /^insmod:\d+ {9}misc_register\(misc=counter \[miscdev\]\) = 0 {2}<- miscdev_init\+0x[0-9a-f]+ \[miscdev\]$/,
    );
    expect(err).toContain('_printk(fmt="\\x016miscdev: /dev/counter is there\\n") = ');
    expect(err).toContain('} miscdev_init [miscdev] = 0');
    expect(err).toContain('simple_read_from_buffer(to=');
    expect(err).toMatch(/_printk\(fmt="[^"]*the count was %u\\n", 42\)/);
  });

  it('is in a JSON result, in the order of the calls', async () => {
    const { calls } = await json(built('miscdev.ko'), '--trace', 'calls', ...USE);
    expect(calls.slice(0, 2).map(({ kind, name, depth, result }) => [kind, name, depth, result])).toEqual([
      ['guest', 'miscdev_init [miscdev]', 0, '0'],
      ['kernel', 'misc_register', 1, '0'],
    ]);
    const parse = calls.find(({ name }) => name === 'kstrtouint_from_user');
    expect(parse?.arguments.map(({ name }) => name)).toEqual(['s', 'count', 'base', 'res']);
    expect(parse?.arguments.at(-1)?.text).toBe('count [miscdev]');
  });

  it('writes masks and error numbers as Linux people do', async () => {
    const { err } = await runLine(['run', built('leak.ko'), '--trace', 'calls']);
    expect(err).toMatch(/gfpflags=GFP_KERNEL(\||,)/);
    const refused = await runLine(['run', built('trouble.ko'), '--trace', 'calls']);
    expect(refused.err).toMatch(/thread ended in .*trouble|\} trouble_init/);
  });
});

describe('--trace insn', () => {
  it('shows each instruction with the symbols that it names', async () => {
    const { err } = await runLine(['run', built('hello.ko'), '--trace', 'insn']);
    expect(err).toMatch(
      /^insmod:\d+ +hello_init\+0x5 \[hello\] +mov -0x[0-9a-f]+\(%rip\),%esi {2}# times \[hello\]$/m,
    );
    expect(err).toMatch(/ call ffffffff[0-9a-f]+ {2}# _printk$/m);
    const shown = err.split('\n').filter((line) => /^\w+:\d+ +\w+_(init|exit)/.test(line)).length;
    expect(shown).toBe((await json(built('hello.ko'))).instructions);
  });
});

describe('what is looked at', () => {
  it('does not see it: log and counts are the same', async () => {
    for (const name of ['timers.ko', 'threads.ko', 'works.ko', 'hashing.ko']) {
      const plain = await json(built(name));
      for (const how of [
        ['--trace', 'calls'],
        ['--trace', 'insn'],
        ['--profile', join(scratch, 'x.folded')],
      ]) {
        const looked = await json(built(name), ...how);
        expect([looked.instructions, looked.log], `${name} ${how.join(' ')}`).toEqual([
          plain.instructions,
          plain.log,
        ]);
      }
    }
  });
});

describe('--profile', () => {
  it('draws the functions that led to each sample', async () => {
    const path = join(scratch, 'flame.svg');
    const { err } = await runLine(['run', built('containers.ko'), '--profile', path]);
    expect(err).toMatch(/flame\.svg: [1-9]\d* samples, one every 1009 instructions/);
    const svg = readFileSync(path, 'utf8');
    expect(svg).toMatch(/<title>insmod: \d+ samples, \d+\.\d%<\/title>/);
    expect(svg).toContain('[containers]');
  });

  it('writes folded stacks, one a line', async () => {
    const path = join(scratch, 'stacks.folded');
    await runLine(['run', built('containers.ko'), '--profile', path]);
    const lines = readFileSync(path, 'utf8').trimEnd().split('\n');
    for (const line of lines) expect(line).toMatch(/^\w+(;[^;]+)* \d+$/);
    expect(lines.join('\n')).toMatch(/^insmod;containers_init \[containers\]/m);
  });
});
