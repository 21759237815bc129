import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { goldens, readGolden, stepsOf } from '../tools/linux/golden.ts';
import { errnoOf, normalise } from './linux-truth-normalise.mjs';

const root = fileURLToPath(new URL('../../', import.meta.url));
const built = `${root}fixtures/linux/built/`;
const files = readdirSync(built);

describe('recordings of a real kernel', () => {
  it.each(goldens())('%s follows its steps', (name) => {
    const transcript = readGolden(name);
    const commands = stepsOf(name);
    const done = transcript.steps.map((step) => step.do);
    expect(done).toEqual(commands.slice(0, done.length));
    if (!transcript.died) expect(done).toHaveLength(commands.length);
  });

  it.each(goldens())('%s names only fixtures that exist', (name) => {
    const named = stepsOf(name)
      .join('\n')
      .matchAll(/(?:^|\s)([\w-]+\.ko)\b/g);
    for (const [, file] of named) if (file !== 'nothing.ko') expect(files).toContain(file);
  });
});

describe('built fixtures', () => {
  it('are small', () => {
    const total = files.reduce((sum, file) => sum + statSync(built + file).size, 0);
    expect(total).toBeLessThan(1 << 20);
  });

  it('do not tell where they were built', () => {
    for (const file of files)
      expect(readFileSync(built + file, 'latin1')).not.toMatch(/\/(?:tmp|home|root|usr|var)\//);
  });

  it('come from a source each, or from changed bytes of one', () => {
    const script = readFileSync(`${root}scripts/build-fixtures-linux.mjs`, 'utf8');
    for (const file of files) {
      const name = file.replace(/\.ko$/, '');
      const source = existsSync(`${root}fixtures/linux/${name}.c`);
      expect(source || new RegExp(`\\b${name}: \\{`).test(script), name).toBe(true);
    }
  });
});

describe('what is compared', () => {
  it('replaces what differs from run to run', () => {
    expect(normalise('list at ffff888003c04000 and 0xffffffffc0201000')).toBe(
      'list at <address> and <address>',
    );
    expect(normalise('RAX: 0000000000000000 RBX: ffff888003c04000 RCX: 0000000000000001')).toBe(
      'RAX: <value> RBX: <value> RCX: <value>',
    );
    expect(normalise('CR2: 0000000000000008 CR3: 0000000002a14000 CR4: 00000000003506f0')).toBe(
      'CR2: 0000000000000008 CR3: <value> CR4: <value>',
    );
    expect(normalise('hello 16384 0 - Live 0xffffffffc0201000 (OE)')).toBe(
      'hello 16384 0 - Live <address> (OE)',
    );
  });

  it('knows the error behind the words', () => {
    expect(errnoOf('insmod: ERROR: could not insert module x.ko: Invalid module format')).toBe(8);
    expect(errnoOf('rmmod: ERROR: Module x is in use')).toBeUndefined();
    expect(errnoOf('insmod: ERROR: could not insert module x.ko: Unknown error 517')).toBe(517);
  });
});

// Boots QEMU for every recording: minutes. LKM_TRUTH=1 asks for all, LKM_TRUTH=hello,chardev for some.
const wanted = process.env.LKM_TRUTH;
describe.skipIf(!wanted || !existsSync('/usr/bin/qemu-system-x86_64'))('a real kernel, now', () => {
  const names = wanted === '1' ? goldens() : (wanted ?? '').split(',').filter((n) => n !== '');
  it.each(names)('%s', { timeout: 240_000 }, (name) => {
    execFileSync('node', [`${root}scripts/record-linux.mjs`, '--check', name], { stdio: 'pipe' });
  });
});
