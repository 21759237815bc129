/** What people type by mistake: an answer in words, before any work is done, and nothing lost by it. */
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { packagedPath } from '../../src/cli/packaged.ts';
import { replaceFile } from '../../src/targets/replace-file.ts';
import { runLine } from './fake.ts';

const folder = mkdtempSync(join(tmpdir(), 'lkm-mistakes-'));
afterAll(() => rmSync(folder, { recursive: true }));

const hello = packagedPath('fixtures/linux/built/hello.ko');
const echo = packagedPath('fixtures/freebsd/built/echo.ko');
const board = packagedPath('fixtures/macos/built/Board.kext');

/** Words on the command line, the exit code, what standard error says. */
const MISTAKES: readonly (readonly [words: readonly string[], code: number, err: string])[] = [
  [['--nosuch'], 2, 'lkm: unknown option --nosuch\n'],
  [
    ['memory', '--svg', join(folder, 'none', 'x.svg')],
    1,
    `none/x.svg: cannot be written: there is no folder`,
  ],
  [['memory', '--svg', folder], 1, 'is a folder, a file is to be written'],
  [['run', hello, '--profile', join(folder, 'none', 'x.svg')], 1, 'there is no folder'],
  [['run', hello, '--profile', ''], 1, 'its name is empty'],
  [['kernel', 'builtin:debian-6.1', '-o', join(folder, 'none', 'x')], 1, 'there is no folder'],
  [
    ['memory', '--svg', '--help'],
    2,
    'lkm memory: --svg needs a value: --svg FILE\n  --help is an option; --svg=--help',
  ],
  [['memory', echo], 2, 'echo.ko: is a module of FreeBSD\n  lkm memory is for modules of Linux'],
  [['memory', folder], 1, 'is a directory, a file is wanted'],
  [['sign', echo, '--key', 'a', '--cert', 'b'], 2, 'is a module of FreeBSD'],
  [['run', hello, echo], 2, 'echo.ko is a module of FreeBSD, and this is a kernel of Linux'],
  [
    ['linux', 'insmd', hello],
    2,
    "'insmd' is no command of the console, and no script\n  did you mean insmod?",
  ],
  [['run', hello, '-s', 'a=b'], 2, '--set is for other systems than Linux'],
  [['run', board, '--kernel', 'builtin:debian-6.1'], 2, '--kernel is for Linux\n  macOS has settings'],
  [
    ['run', hello, '--kernel', 'nosuch'],
    1,
    'nosuch: no such file\n  check the path, or take a kernel that comes with lkm:',
  ],
  [['run', echo, '--strict'], 2, '--strict is for Linux\n  FreeBSD has settings'],
  [['kernel', join(folder, 'none')], 1, 'no such file'],
  [
    ['kernel', 'builtin:'],
    2,
    "there is no built-in kernel of Linux ''; there are debian-6.1 and debian-6.1-686",
  ],
];

describe('a mistake', () => {
  it.each(MISTAKES)('lkm %j', async (words, code, err) => {
    const result = await runLine(words);
    expect(result).toMatchObject({ code, out: '', err: expect.stringContaining(err) });
  });

  it('in the number of an open file is told as one', async () => {
    const { err } = await runLine(['linux', '-c', 'read 7']);
    expect(err).toBe(
      'Bad file descriptor\n  open FILE keeps a file open, and prints the number to use here\n',
    );
  });

  it('about help is none', async () => {
    const { code, out } = await runLine(['linux', 'help']);
    expect(code).toBe(0);
    const blank = out.split('\n').filter((line) => line !== '' && !/\S {2,}\S|^ {10,}\S|^.{37,}$/.test(line));
    expect(blank).toEqual([]);
  });
});

describe('a file that is written', () => {
  it('keeps its mode, and stays where a link leads', () => {
    const [file, link] = [join(folder, 'file'), join(folder, 'link')];
    writeFileSync(file, 'old', { mode: 0o640 });
    symlinkSync(file, link);
    replaceFile(link, 'new');
    expect(readFileSync(file, 'utf8')).toBe('new');
    expect(statSync(file).mode & 0o777).toBe(0o640);
  });

  it('does not take the place of a device', () => {
    replaceFile('/dev/null', 'nothing');
    expect(statSync('/dev/null').isCharacterDevice()).toBe(true);
    expect(existsSync(`/dev/null.${process.pid}.tmp`)).toBe(false);
  });
});
