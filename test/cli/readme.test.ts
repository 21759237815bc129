/** README's table is a promise: each command in it that is said to work is run, and none may end in usage or defect. */
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { packagedPath } from '../../src/cli/packaged.ts';
import { parseLine } from '../../src/cli/shell-words.ts';

const rows = readFileSync(packagedPath('README.md'), 'utf8')
  .split('\n')
  .filter((line) => /\| (works on real files|on fixtures only) \|$/.test(line))
  .map((line) => ({
    statement: line.split('|')[1].trim(),
    commands: [...line.matchAll(/`(lkm [^`]+)`/g)].map((match) => match[1]),
  }));

describe('the table in README', () => {
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
          timeout: 30_000,
        });
        expect([command, result.status === 0 || result.status === 1, result.stderr]).toEqual([
          command,
          true,
          expect.not.stringContaining('defect'),
        ]);
      }
    });
  }
});
