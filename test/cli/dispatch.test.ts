import { describe, expect, it } from 'vitest';
import type { CommandContext } from '../../src/cli/command.ts';
import { Failure } from '../../src/cli/failure.ts';
import { COMMANDS } from '../../src/cli/table.ts';
import { fakeCommand, runLine } from './fake.ts';

function withBody(run: (context: CommandContext) => number) {
  return [
    fakeCommand('probe', {
      shared: ['json', 'seed'],
      load: async () => ({ command: { run: async (c) => run(c) } }),
    }),
  ];
}

describe('dispatch', () => {
  it('shows the overview: asked for on stdout, not asked for on stderr with exit 2', async () => {
    const asked = await runLine(['--help']);
    expect([asked.code, asked.err]).toEqual([0, '']);
    for (const { name } of COMMANDS) expect(asked.out).toMatch(new RegExp(`^ {2}${name} `, 'm'));
    const bare = await runLine([]);
    expect([bare.code, bare.out, bare.err]).toEqual([2, '', asked.out]);
  });

  it('shows help of every command within 100 columns, the same by both ways', async () => {
    for (const { name } of COMMANDS) {
      const { code, out } = await runLine([name, '--help']);
      expect(code).toBe(0);
      expect(Math.max(...out.split('\n').map((line) => line.length))).toBeLessThanOrEqual(100);
      expect((await runLine(['help', name])).out).toBe(out);
    }
  });

  it('passes options before and behind the command', async () => {
    const seen: unknown[] = [];
    const commands = withBody(({ args, options }) => {
      seen.push([args, options.integer('seed'), options.flag('json')]);
      return 0;
    });
    await runLine(['--seed', '7', 'probe', 'x', '--json', 'y'], { commands });
    expect(seen).toEqual([[['x', 'y'], 7, true]]);
  });

  it('takes a word that looks like a file for lkm inspect', async () => {
    const seen: unknown[] = [];
    const inspect = fakeCommand('inspect', {
      load: async () => ({
        command: {
          run: async ({ args }) => {
            seen.push(args);
            return 0;
          },
        },
      }),
    });
    await runLine(['x.ko', 'y.ko'], { commands: [inspect] });
    await runLine(['--', '-odd.ko'], { commands: [inspect] });
    await runLine(['-'], { commands: [inspect] });
    expect(seen).toEqual([['x.ko', 'y.ko'], ['-odd.ko'], ['-']]);
  });

  it('refuses unknown commands, options and counts with exit 2 and the nearest name', async () => {
    const cases = [
      [['rum'], 'did you mean lkm run?'],
      [['run', '--jsn'], 'did you mean --json?'],
      [['--colour=never', 'version'], 'did you mean --color?'],
      [['run'], 'FILE is missing'],
      [['version', 'x'], "one argument too many: 'x'"],
      [['help', 'toor'], 'did you mean tour?'],
      [['completion', 'tcsh'], 'bash, zsh and fish'],
    ] as const;
    for (const [argv, message] of cases) {
      const { code, out, err } = await runLine(argv);
      expect([argv, code, out]).toEqual([argv, 2, '']);
      expect(err).toContain(message);
    }
  });

  it('shows a failure in one line with its hint, and the stack only when debugging', async () => {
    const commands = withBody(() => {
      throw new Failure('no such file', { subject: 'x.ko', hint: 'check the path' });
    });
    const plain = await runLine(['probe'], { commands });
    expect(plain).toEqual({ code: 1, out: '', err: 'lkm: x.ko: no such file\n  check the path\n' });
    const debug = await runLine(['probe'], { commands, environment: { LKM_DEBUG: '1' } });
    expect(debug.err).toContain('dispatch.test.ts');
  });

  it('tells a defect of its own from a failure', async () => {
    const commands = withBody(() => {
      throw new TypeError('undefined is not a function');
    });
    const { code, err } = await runLine(['probe'], { commands });
    expect(code).toBe(70);
    expect(err).toContain('defect: TypeError');
    expect(err).not.toContain('dispatch.test.ts');
  });

  it('writes JSON with its schema first, bigint and bytes as hex', async () => {
    const commands = withBody(({ json }) => {
      json('lkm.probe/1', { address: -2130706432n, size: 16n, bytes: Uint8Array.of(1, 255) });
      return 3;
    });
    const { code, out } = await runLine(['probe'], { commands });
    expect(code).toBe(3);
    expect(out).toBe(
      '{"schema":"lkm.probe/1","address":"0xffffffff81000000","size":"0x10","bytes":"01ff"}\n',
    );
  });

  it('reads files with reasons a person understands, and - from standard input', async () => {
    const commands = withBody(({ args, readFile, out }) => {
      out(new TextDecoder().decode(readFile(args[0])));
      return 0;
    });
    expect((await runLine(['probe', '-'], { commands, stdin: 'text' })).out).toBe('text');
    const missing = await runLine(['probe', '/nowhere/x.ko'], { commands });
    expect([missing.code, missing.err.split('\n')[0]]).toEqual([1, 'lkm: /nowhere/x.ko: no such file']);
    expect((await runLine(['probe', '/'], { commands })).err).toContain('is a directory');
  });
});
