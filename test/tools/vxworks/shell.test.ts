/**
 * Sessions as a person would type them, on both machines, with the answers beside: fixtures only, no real VxWorks was
 * asked. To accept changed transcripts: LKM_UPDATE_GOLDEN=1.
 */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { packagedPath } from '../../../src/cli/packaged.ts';
import { start, transcript } from './shell.ts';

const folder = packagedPath('test/golden/vxworks');
const scripts = readdirSync(folder).filter((name) => name.endsWith('.lines'));

function play(script: string, machine: 'x86-64' | 'i386'): string {
  const place = machine === 'i386' ? 'i386/' : '';
  const lines = readFileSync(`${folder}/${script}`, 'utf8').trimEnd().split('\n');
  const session = start({ machine });
  return `${transcript(
    session,
    lines.map((line) => line.replaceAll('MACHINE/', place)),
  ).join('\n')}\n`;
}

describe.each(scripts)('%s', (script) => {
  it.each(['x86-64', 'i386'] as const)('on %s', (machine) => {
    const text = play(script, machine);
    const golden = `${folder}/${script.replace('.lines', '')}-${machine}.txt`;
    if (process.env.LKM_UPDATE_GOLDEN === '1') writeFileSync(golden, text);
    expect(text).toBe(readFileSync(golden, 'utf8'));
  });

  it('is the same again, tick for tick', () => {
    expect(play(script, 'i386')).toBe(play(script, 'i386'));
  });
});

describe('codes for scripts', () => {
  it('a file that is refused is a failure, though ld gives 0', () => {
    const { code, out } = start().line('ld < ppc/hello.o');
    expect([code, out]).toEqual([1, expect.stringContaining('value = 0 = 0x0')]);
    expect(start().line('ld < hello.o').code).toBe(0);
  });

  it('nothing is spawned at a name that nobody defines', () => {
    const { code, out } = start().line('sp nosuch');
    expect([code, out]).toEqual([1, 'undefined symbol: nosuch\n']);
  });

  it('strings behind a spawned function are its arguments', () => {
    const lines = ['ld < hello.o', 'sp hello, "Ada"', 'taskDelay 2'];
    expect(transcript(start(), lines).join('\n')).toContain('Hello, Ada, from VxWorks');
  });
});
