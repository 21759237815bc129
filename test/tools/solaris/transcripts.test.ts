/**
 * Sessions as a person would type them, on both kernels, with the answers beside: fixtures only, no real Solaris was
 * asked. To accept changed transcripts: LKM_UPDATE_GOLDEN=1.
 */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { packagedPath } from '../../../src/cli/packaged.ts';
import { start, transcript } from './shell.ts';

const folder = packagedPath('test/golden/solaris');
const scripts = readdirSync(folder).filter((name) => name.endsWith('.lines'));

async function play(script: string, isa: string): Promise<string> {
  const lines = readFileSync(`${folder}/${script}`, 'utf8').trimEnd().split('\n');
  return `${(await transcript(await start({ isa }), lines)).join('\n')}\n`;
}

describe.each(scripts)('%s', (script) => {
  it.each(['amd64', 'i386'])('on %s', async (isa) => {
    const text = await play(script, isa);
    const golden = `${folder}/${script.replace('.lines', '')}-${isa}.txt`;
    if (process.env.LKM_UPDATE_GOLDEN === '1') writeFileSync(golden, text);
    expect(text).toBe(readFileSync(golden, 'utf8'));
  });
});
