/** `lkm boot netware`: the story of a server's start, from folders as people keep them. */
import { describe, expect, it } from 'vitest';
import type { Boot } from '../../../src/tools/boot.ts';
import { netware } from '../../../src/tools/netware/native.ts';
import { fixture } from './console.ts';

const text = (lines: string) => new TextEncoder().encode(lines);

/** A root folder with these files. */
function rootOf(files: ReadonlyMap<string, Uint8Array | undefined>) {
  const plain = (path: string) => path.replace(/^\.?\/*/, '').replace(/\/$/, '');
  return {
    read: (path: string) => files.get(plain(path)),
    list: (path: string) => {
      const folder = plain(path) === '' ? '' : `${plain(path)}/`;
      const names = [...files.keys()].filter((name) => name.startsWith(folder));
      const next = names.map((name) => /^[^/]*\/?/.exec(name.slice(folder.length))?.[0] ?? '');
      return next.length === 0 ? undefined : [...new Set(next)].sort();
    },
    stat: () => undefined,
  };
}

const boot = async (
  files: ReadonlyMap<string, Uint8Array | undefined>,
  commandLine?: string,
): Promise<Boot> => {
  const started = await netware.boot?.({ root: rootOf(files), files: rootOf(new Map()), commandLine });
  if (started === undefined) throw new Error('netware does not boot');
  return started;
};

const machine = new Map([
  ['c/nwserver/startup.ncf', text('# drivers\r\nLOAD BOARD.LAN PORT=300 INT=5\r\n')],
  ['c/nwserver/board.lan', fixture('BOARD.LAN')],
  ['Sys/System/autoexec.ncf', text('LOAD CLIENT\nMORE\nTWICE 4\nLOAD NOSUCH\nLOAD FAILS\n')],
  ['Sys/System/more.ncf', text('\nLOAD HELLO with parameters\n')],
  ...['LIBRARY.NLM', 'CLIENT.NLM', 'HELLO.NLM', 'FAILS.NLM'].map(
    (name) => [`Sys/System/${name.toLowerCase()}`, fixture(name)] as const,
  ),
]);

describe('the start of a server', () => {
  it('is told by the lines of its NCF files, those of nested ones and what comes along included', async () => {
    const { steps, session } = await boot(machine);
    expect(session?.release).toContain('NetWare');
    expect(steps.map(({ stage, subject, outcome }) => [stage, subject, outcome])).toEqual([
      ['STARTUP.NCF', 'BOARD.LAN', 'loaded'],
      ['AUTOEXEC.NCF', 'CLIENT.NLM', 'loaded'],
      ['AUTOEXEC.NCF', 'LIBRARY.NLM', 'loaded'],
      ['MORE.NCF', 'HELLO.NLM', 'loaded'],
      ['AUTOEXEC.NCF', 'MORE', 'note'],
      ['AUTOEXEC.NCF', 'TWICE 4', 'note'],
      ['AUTOEXEC.NCF', 'NOSUCH', 'absent'],
      ['AUTOEXEC.NCF', 'FAILS', 'refused'],
    ]);
    expect(steps[3]).toMatchObject({ because: 'MORE.NCF:2 LOAD HELLO with parameters' });
    expect(steps[2]).toMatchObject({ because: 'auto-loaded: CLIENT.NLM' });
    expect(steps[7]).toMatchObject({ rule: 'load-9', why: expect.stringContaining('start procedure') });
  });

  it('leaves out what SERVER is told to leave out', async () => {
    const { steps } = await boot(machine, '-NA');
    expect(steps.map(({ subject }) => subject)).toEqual(['BOARD.LAN']);
    expect((await boot(machine, '-NA -NS')).steps).toMatchObject([{ outcome: 'absent' }]);
  });

  it('goes through when a nested file runs itself', async () => {
    const { steps } = await boot(new Map([['SYS/SYSTEM/AUTOEXEC.NCF', text('AUTOEXEC\n')]]));
    expect(steps.some(({ why }) => why?.includes('without end'))).toBe(true);
  });
});
