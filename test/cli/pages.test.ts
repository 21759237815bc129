import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { completionScript } from '../../src/cli/completion.ts';
import { optionsOf } from '../../src/cli/help.ts';
import { packagedPath } from '../../src/cli/packaged.ts';
import { pages } from '../../src/cli/pages.ts';
import { COMMANDS } from '../../src/cli/table.ts';
import { leaveOut, withoutProgram } from '../leave-out.ts';

const without = (program: string) => leaveOut(import.meta.url, withoutProgram(program));

describe('the command table', () => {
  it('has unique names and options, and one-line summaries', () => {
    expect(new Set(COMMANDS.map((one) => one.name)).size).toBe(COMMANDS.length);
    for (const spec of COMMANDS) {
      const options = optionsOf(spec);
      const forms = options.flatMap((one) => [one.name, ...(one.short ? [one.short] : [])]);
      expect(new Set(forms).size).toBe(forms.length);
      for (const { summary } of [spec, ...options, ...spec.arguments])
        expect(summary).toMatch(/^[^.\n]{3,110}(\.\.\.)?$|\.k/);
    }
  });
});

describe('manual pages', () => {
  it('in man/ are those the table makes (node scripts/make-man.mjs)', () => {
    const wanted = pages();
    const man = packagedPath('man');
    expect(readdirSync(man).sort()).toEqual([...wanted.keys()].sort());
    for (const [name, text] of wanted) expect(readFileSync(join(man, name), 'utf8')).toBe(text);
  });

  it.skipIf(without('groff'))('are free of groff warnings', () => {
    for (const text of pages().values()) {
      const result = spawnSync('groff', ['-man', '-Tascii', '-ww', '-z'], { input: text, encoding: 'utf8' });
      expect(result.stderr).toBe('');
    }
  });
});

describe('completion', () => {
  it.skipIf(without('bash'))('in bash completes commands, options and their values', () => {
    const script = completionScript('bash', COMMANDS);
    const complete = (...words: string[]) => {
      const set = `COMP_WORDS=(${words.map((one) => `'${one}'`).join(' ')}); COMP_CWORD=${words.length - 1}`;
      const result = spawnSync(
        'bash',
        ['--norc', '-c', `${script}\n${set}; _lkm; printf '%s\\n' "\${COMPREPLY[@]}"`],
        {
          encoding: 'utf8',
        },
      );
      expect(result.stderr).toBe('');
      return result.stdout.split('\n').filter((one) => one !== '');
    };
    expect(complete('lkm', 'ins')).toContain('inspect');
    expect(complete('lkm', 'run', '--mis')).toEqual(['--missing']);
    expect(complete('lkm', 'run', '--missing', 'st')).toEqual(['stop', 'stand-in']);
    expect(complete('lkm', '--color', 'never', 'completion', 'z')).toEqual(['zsh']);
    expect(complete('lkm', 'help', 'to')).toEqual(['tour']);
  });

  it.skipIf(without('zsh'))('for zsh parses', () => {
    const script = completionScript('zsh', COMMANDS);
    expect(spawnSync('zsh', ['-n'], { input: script, encoding: 'utf8' }).stderr).toBe('');
  });

  it.skipIf(without('fish'))('for fish parses', () => {
    // fish checks files only: on standard input it takes nothing for a directory.
    const path = join(tmpdir(), `lkm-completion-${process.pid}.fish`);
    writeFileSync(path, completionScript('fish', COMMANDS));
    const { status, stderr } = spawnSync('fish', ['--no-execute', path], { encoding: 'utf8' });
    rmSync(path);
    expect([status, stderr]).toEqual([0, '']);
  });

  it('names every option of every command in each script', () => {
    for (const shell of ['bash', 'zsh', 'fish'] as const) {
      const script = completionScript(shell, COMMANDS);
      for (const spec of COMMANDS) {
        for (const { name } of optionsOf(spec))
          expect(script).toContain(shell === 'fish' ? `-l ${name}` : `--${name}`);
      }
    }
  });
});
