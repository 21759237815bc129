/** README's table is a promise: each command in it that is said to work is run, and none may end in usage or defect. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, describe, expect, it } from 'vitest';
import { packagedPath } from '../../src/cli/packaged.ts';
import { parseLine } from '../../src/cli/shell-words.ts';

// Kernels that `lkm boot` keeps belong to this test alone.
const runtime = mkdtempSync(join(tmpdir(), 'lkm-readme-kept-'));
const env = { ...process.env, LKM_RUNTIME_DIR: runtime };
afterAll(() => {
  // A row that boots without --once and halts nothing would leave a process for an hour.
  const left = readdirSync(runtime).filter((name) => name.endsWith('.pid'));
  for (const name of left) process.kill(Number(readFileSync(join(runtime, name), 'utf8')));
  rmSync(runtime, { recursive: true, force: true });
  expect(left).toEqual([]);
});

const table = readFileSync(packagedPath('README.md'), 'utf8')
  .split('\n')
  .filter((line) => line.startsWith('| '));
const rows = table
  .filter((line) => /\| (works on real files|on fixtures only) \|$/.test(line))
  .map((line) => ({
    statement: line.split('|')[1].trim(),
    commands: [...line.matchAll(/`(lkm [^`]+)`/g)].map((match) => match[1]),
  }));

describe('the table in README', () => {
  it('says of each row one of three things', () => {
    const other = table
      .slice(1)
      .filter((line) => !/\| (works on real files|on fixtures only|not yet) \|$/.test(line));
    expect(other).toEqual([]);
  });

  it('has rows that work', () => expect(rows.length).toBeGreaterThan(10));

  for (const { statement, commands } of rows) {
    it(statement, () => {
      expect(commands).not.toEqual([]);
      for (const command of commands) {
        const [{ words }] = parseLine(command, 0);
        const args = [packagedPath('dist/lkm.js'), ...words.slice(1)];
        const result = spawnSync(process.execPath, args, {
          cwd: packagedPath(''),
          encoding: 'utf8',
          env,
          timeout: 120_000,
        });
        expect([command, result.status === 0 || result.status === 1, result.stderr]).toEqual([
          command,
          true,
          expect.not.stringContaining('defect'),
        ]);
      }
    }, 180_000);
  }
});

const readme = readFileSync(packagedPath('README.md'), 'utf8');

/** Commands that stand in running text: with files that every machine has, or as a form (`lkm FILE`). */
const inText = [...readme.replace(/^\|.*$/gm, '').matchAll(/`(lkm [^`]+)`/g)]
  .map((match) => match[1])
  .filter((command) => !/\b[A-Z]{2,}\b|\/lib\/modules|vmlinuz|script\.sh|^lkm run$/.test(command))
  .filter((command) => !rows.some(({ commands }) => commands.includes(command)));

describe('the text of README', () => {
  it('has commands', () => expect(inText).not.toEqual([]));

  it.each(inText)('%s', (command) => {
    const [{ words }] = parseLine(command, 0);
    const args = [packagedPath('dist/lkm.js'), ...words.slice(1)];
    const result = spawnSync(process.execPath, args, { cwd: packagedPath(''), encoding: 'utf8', env });
    expect([result.status, result.stderr]).toEqual([0, expect.not.stringContaining('defect')]);
  });

  it('has a program that works', () => {
    const code = /```js\n([\s\S]*?)```/.exec(readme)?.[1] ?? '';
    const library = pathToFileURL(packagedPath('dist/lib/lkm.js')).href;
    const folder = mkdtempSync(join(tmpdir(), 'lkm-readme-'));
    const program = join(folder, 'example.mjs');
    writeFileSync(program, code.replace("'lkm'", `'${library}'`));
    const result = spawnSync(process.execPath, [program], { cwd: packagedPath(''), encoding: 'utf8' });
    rmSync(folder, { recursive: true });
    expect([result.status, result.stderr]).toEqual([0, '']);
    expect(result.stdout).toContain('hello, module\n');
    expect(result.stdout.trimEnd().endsWith('[]')).toBe(true);
  });
});
