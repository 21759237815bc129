/**
 * The tour is a promise to everybody who types `npm start`: each step shows what it says, the words are those of the
 * golden transcript, and nothing is wider than a terminal. To accept a changed transcript: LKM_UPDATE_GOLDEN=1.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { packagedPath } from '../../src/cli/packaged.ts';
import { STEPS } from '../../src/cli/tour/steps.ts';
import { runLine } from './fake.ts';

const golden = packagedPath('test/golden/tour/transcript.txt');
const whole = runLine(['tour']);

interface Step {
  name: string;
  title: string;
  statement: string;
  entries: { kind: string; text: string; holds?: boolean }[];
}

/**
 * Figures of the kernel's memory change with every subsystem that allocates at boot, so they are masked: in the remarks
 * between commands, and where a fault's report shows addresses.
 */
function transcript(steps: readonly Step[]): string {
  return steps
    .map(({ name, title, statement, entries }) => {
      const lines = entries.map(({ kind, text }) => {
        const steady = kind === 'say' || kind === 'fact' ? text.replace(/\d[\d.]*/g, '#') : text;
        return `${kind}: ${steady.replaceAll('\n', '\n    ')}\n`;
      });
      return `[${name}] ${title}\n${statement}\n${lines.join('')}`;
    })
    .join('\n');
}

describe('lkm tour', () => {
  it('shows every statement', async () => {
    const { code, out, err } = await whole;
    expect(out.match(/^ {2}! .*/gm) ?? []).toEqual([]);
    expect([code, err]).toEqual([0, '']);
    expect(out).toContain(`All ${STEPS.length} statements were shown.`);
  });

  it('says what it said before', async () => {
    const { steps } = JSON.parse((await runLine(['tour', '--json'])).out) as { steps: Step[] };
    const text = transcript(steps);
    if (process.env.LKM_UPDATE_GOLDEN === '1') writeFileSync(golden, text);
    expect(text).toBe(readFileSync(golden, 'utf8'));
  });

  it('fits a terminal of 80 columns', async () => {
    const { out } = await whole;
    expect(out.split('\n').filter((line) => line.length > 80)).toEqual([]);
  });

  it('says the same again, and whatever the seed', async () => {
    const [a, b] = [await runLine(['tour', 'driver']), await runLine(['tour', 'driver', '--seed', '7'])];
    expect([a.code, b.code]).toEqual([0, 0]);
    expect((await whole).out).toContain(a.out.slice(a.out.indexOf(' 5  '), a.out.indexOf('\nStatement')));
  });

  it('plays the steps that are named', async () => {
    const { code, out } = await runLine(['tour', 'syscall', 'taint']);
    expect(code).toBe(0);
    expect(out).toContain('All 2 statements were shown.');
    expect(out).not.toContain('chardev');
  });

  it('lists the steps, and knows no others', async () => {
    const { out } = await runLine(['tour', '--list']);
    expect(out.trim().split('\n')).toHaveLength(STEPS.length);
    const wrong = await runLine(['tour', 'drivr']);
    expect([wrong.code, wrong.err]).toEqual([2, expect.stringContaining('did you mean driver?')]);
  });

  it('gives JSON', async () => {
    const { out } = await runLine(['tour', '--json', 'oops']);
    const told = JSON.parse(out) as {
      schema: string;
      shown: number;
      steps: { name: string; shown: boolean; entries: { kind: string; text: string }[] }[];
    };
    expect([told.schema, told.shown, told.steps[0].name]).toEqual(['lkm.tour/1', 1, 'oops']);
    const log = told.steps[0].entries.filter(({ kind }) => kind === 'log').map(({ text }) => text);
    expect(log).toContain('BUG: kernel NULL pointer dereference, address: 0000000000000000');
  });

  it('keeps names and titles in their columns', () => {
    for (const { name, title, by } of STEPS) {
      expect([name, title.length <= 46, by.length <= 21]).toEqual([name, true, true]);
      expect(name).toMatch(/^[a-z-]+$/);
    }
    expect(new Set(STEPS.map(({ name }) => name)).size).toBe(STEPS.length);
  });
});
