/**
 * Consoles as an administrator would type them: fixtures only, no real server was asked. To accept changed transcripts:
 * LKM_UPDATE_GOLDEN=1.
 */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { packagedPath } from '../../../src/cli/packaged.ts';
import { readNlm } from '../../../src/formats/nlm/read.ts';
import { writeNlm } from '../../../src/formats/nlm/write.ts';
import { netware } from '../../../src/tools/netware/native.ts';
import { mutations } from '../../real/mutate.ts';
import { fixture, start, transcript } from './console.ts';

const folder = packagedPath('test/golden/netware');
const scripts = readdirSync(folder).filter((name) => name.endsWith('.lines'));

function play(script: string): string {
  const lines = readFileSync(`${folder}/${script}`, 'utf8').trimEnd().split('\n');
  return `${transcript(start(), lines).join('\n')}\n`;
}

describe.each(scripts)('%s', (script) => {
  it('says what it said before, and the same each time', () => {
    const text = play(script);
    const golden = `${folder}/${script.replace('.lines', '.txt')}`;
    if (process.env.LKM_UPDATE_GOLDEN === '1') writeFileSync(golden, text);
    expect(text).toBe(readFileSync(golden, 'utf8'));
    expect(play(script)).toBe(text);
  });
});

describe('a server', () => {
  it('gives every code that LoadModule documents for what it refuses', () => {
    const hello = fixture('HELLO.NLM') ?? new Uint8Array(0);
    const packed = hello.slice();
    packed[0x18] |= 0x80;
    const twin = writeNlm({ ...readNlm(hello), name: 'TWIN.NLM' });
    const depends = writeNlm({ ...readNlm(hello), name: 'NEEDS.NLM', dependencies: ['NOWHERE'] });
    const session = start(
      {},
      new Map([
        ['PACKED.NLM', packed],
        ['TEXT.NLM', new TextEncoder().encode('no module')],
        ['SHORT.NLM', hello.slice(0, 200)],
        ['TWIN.NLM', twin],
        ['NEEDS.NLM', depends],
      ]),
    );
    const code = (line: string) => /code (\d+)/.exec(session.line(line).note ?? '')?.[1];
    expect(code('LOAD NOTHING')).toBe('1');
    expect(code('LOAD TEXT')).toBe('3');
    expect(code('LOAD PACKED')).toBe('4');
    expect(code('LOAD SHORT')).toBe('10');
    expect(code('LOAD MISSING')).toBe('13');
    expect(code('LOAD FAILS')).toBe('9');
    expect(code('LOAD NEEDS')).toBe('12');
    expect(code('LOAD HELLO')).toBeUndefined();
    expect(code('LOAD HELLO')).toBe('6');
    expect(code('LOAD TWIN')).toBe('14');
  });

  it('takes everything back that a refused load has done', () => {
    const session = start();
    const before = session.kernel.pool.usedBytes;
    session.line('LOAD MISSING');
    session.line('LOAD FAILS');
    expect(session.kernel.pool.usedBytes).toBe(before);
    expect([...session.kernel.modules]).toEqual([]);
    expect(session.kernel.publics.find('printf')).toBeUndefined();
  });

  it('shows what the release of the time showed', () => {
    const old = start({ release: '3.12' });
    old.line('LOAD HELLO');
    expect(old.line('MODULES').out).toBe(
      'HELLO.NLM\n  lkm fixture: hello\n  Version 1.02c   May 17, 1994\n  Public domain\n',
    );
    expect(old.line('HELLO').out).toContain('Unknown command');
  });

  it('loads a second copy of a MULTIPLE module, and starts a REENTRANT one again', () => {
    const session = start();
    transcript(session, ['LOAD BOARD.LAN INT=5', 'LOAD BOARD.LAN INT=7', 'LOAD VETO', 'LOAD VETO']);
    expect([...session.kernel.modules].map(({ name }) => name)).toEqual([
      'BOARD.LAN',
      'BOARD.LAN',
      'VETO.NLM',
    ]);
  });

  it("gives NLMs Watcom's names of CLIB, mathematics, ports and the display's memory", () => {
    const said = transcript(start(), ['LOAD WORDS']);
    expect(
      said.slice(
        said.findIndex((line) => line.startsWith('0 0')),
        -1,
      ),
    ).toEqual([
      '0 0 1',
      'ONE TWO leveL --veL',
      '-255 ffffffff 101',
      '2 fields: 1994, 5; 1.414',
      'the same again',
      'display 1 10, port 0xff, sent 0xe 0xaf02',
    ]);
  });

  it('reports leaks to lkm run', () => {
    const session = start();
    const { module } = session.load('LEAKS.NLM', []);
    expect(module).toBe('LEAKS.NLM');
    expect(session.unload('LEAKS.NLM').leaks).toMatchObject([
      {
        bytes: 100,
        what: 'Small memory allocations',
        where: 'code start+0x25/0x57 [LEAKS.NLM] for Leaks memory',
      },
      { bytes: 300 },
    ]);
  });

  it('survives damaged modules', () => {
    const count = process.env.LKM_FULL === '1' ? 20_000 : 300;
    const bytes = fixture('CLIENT.NLM') ?? new Uint8Array(0);
    for (const mutant of mutations(bytes, 5, { count, hot: [{ offset: 0x18, length: 0x70 }] })) {
      const session = start({}, new Map([['X.NLM', mutant.bytes]]));
      // Damaged code may loop; a short patience keeps the test short.
      session.kernel.scheduler.instructionBudget = 1_000_000;
      session.kernel.scheduler.settleBudget = 1_000_000;
      expect(() => session.line('LOAD X'), mutant.what).not.toThrow();
    }
  }, 600_000);
});

describe('descriptions', () => {
  it('say what the headers say', async () => {
    const { rows, facts } = await netware.describe({ path: 'BOARD.LAN', bytes: fixture('BOARD.LAN') });
    expect(rows).toContainEqual(['is', 'NetWare loadable module, LAN driver (.LAN)']);
    expect(facts).toMatchObject({ name: 'BOARD.LAN', type: 1, customBytes: 17 });
  });
});
