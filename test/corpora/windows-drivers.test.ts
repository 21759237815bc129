/**
 * Drivers of vendors, from NT 4 to 11: each is described as llvm-readobj sees it, judged as osslsigncode judges it, and its
 * DriverEntry runs to its own end, or to the name of a function that nobody wrote.
 */
import { readFileSync } from 'node:fs';
import { basename } from 'node:path';
import { expect, it } from 'vitest';
import { FormatError } from '../../src/bytes/errors.ts';
import { MACHINE } from '../../src/formats/pe/layout.ts';
import { type PeFile, readPe } from '../../src/formats/pe/read.ts';
import { windows } from '../../src/tools/windows/native.ts';
import type { WindowsSession } from '../../src/tools/windows/session.ts';
import { seeded, testSeed } from '../real/random.ts';
import { describeWith, needsTool, needsWindowsDrivers } from '../real/require.ts';
import { compareImage, compareSignature } from '../real/windows-peers.ts';

const SAMPLE = process.env.LKM_FULL === '1' ? Number.POSITIVE_INFINITY : Number(process.env.LKM_SAMPLE ?? 60);
const BUDGET = 60_000_000;

/** Undefined for programs of 16 bits and drivers of Windows 9x, which lie among the others. */
function image(bytes: Uint8Array): PeFile | undefined {
  try {
    return readPe(bytes);
  } catch (error) {
    if (error instanceof FormatError) return undefined;
    throw error;
  }
}

type End = 'started' | 'declined' | 'refused' | 'missing' | 'bug check';

async function start(path: string, bytes: Uint8Array, machine: string): Promise<{ end: End; words: string }> {
  const name = basename(path);
  const files = {
    read: (one: string) => (basename(one) === name ? bytes : undefined),
    list: () => undefined,
    stat: () => undefined,
  };
  const session = (await windows.start({
    files,
    settings: new Map([['machine', machine]]),
    user: 'root',
  })) as WindowsSession;
  session.kernel.scheduler.instructionBudget = BUDGET;
  const { code, out, err, note, rule } = session.load(name, []);
  const words = `${out}${err}${note ?? ''}`;
  if (code === 0) return { end: 'started', words };
  if (session.kernel.stopped !== undefined) return { end: 'bug check', words };
  if (/which the base kernel does not have/.test(words)) return { end: 'missing', words };
  return { end: rule === 'driver-entry' ? 'declined' : 'refused', words };
}

const tools = needsTool('llvm-readobj') !== undefined && needsTool('osslsigncode') !== undefined;

describeWith(tools ? needsWindowsDrivers() : undefined, 'drivers of vendors', (paths) => {
  const seed = testSeed();
  const sample = seeded(seed).sample(paths, Math.min(SAMPLE, paths.length));

  it(`are described and judged as others do (seed ${seed})`, () => {
    const wrong = sample.flatMap((path) => {
      const bytes = new Uint8Array(readFileSync(path));
      if (image(bytes) === undefined) return [];
      return [...compareImage(path, bytes), ...compareSignature(path, bytes)].map(
        (text) => `${basename(path)}: ${text}`,
      );
    });
    expect(wrong).toEqual([]);
  }, 900_000);

  it('start, or say why not', async () => {
    const ends = new Map<End, number>();
    for (const path of sample) {
      const bytes = new Uint8Array(readFileSync(path));
      const machine = image(bytes)?.header.machine;
      if (machine !== MACHINE.AMD64 && machine !== MACHINE.I386) continue;
      const { end, words } = await start(path, bytes, machine === MACHINE.AMD64 ? 'x64' : 'x86');
      ends.set(end, (ends.get(end) ?? 0) + 1);
      if (end === 'missing') expect(words).toMatch(/ called \w+/);
    }
    const count = (end: End) => ends.get(end) ?? 0;
    const ran = count('started') + count('declined');
    const all = [...ends.values()].reduce((sum, one) => sum + one, 0);
    console.log(`of ${all}: ${[...ends].map(([end, n]) => `${n} ${end}`).join(', ')}`);
    expect(ran * 3).toBeGreaterThanOrEqual(all);
  }, 900_000);
});
