/**
 * The sheet of command lines (kmod-sheet.ts), each with the answer that kmod gave: code, standard output and error, files.
 * Where ~/.cache/lkm/kmod-head/build/kmod is, LKM_UPDATE_GOLDEN=1 records the answers again.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { leaveOut } from '../leave-out.ts';
import { KmodRoot } from './kmod-root.ts';
import { makeSheetTree, SHEET, SHEET_RELEASE, wordsOf } from './kmod-sheet.ts';
import { cacheDirectory } from './require.ts';

interface Answer {
  readonly line: string;
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
  readonly files?: Readonly<Record<string, string>>;
}

const GOLDEN = 'test/golden/kmod/sheet.json';
const program = join(cacheDirectory(), 'kmod-head/build/kmod');
const record = process.env.LKM_UPDATE_GOLDEN === '1' && existsSync(program);
const skip = leaveOut(
  import.meta.url,
  (process.getuid?.() !== 0 && 'chroot(2) needs root') ||
    (spawnSync('setpriv', ['--version']).status !== 0 && 'no setpriv') ||
    (spawnSync('zstd', ['-V']).status !== 0 && 'no zstd'),
);

describe.skipIf(skip)('a sheet of command lines of the module tools', () => {
  const root = new KmodRoot(record ? program : undefined, process.cwd());
  afterAll(() => root.remove());
  const golden: Record<string, Answer[]> = existsSync(GOLDEN)
    ? (JSON.parse(readFileSync(GOLDEN, 'utf8')) as Record<string, Answer[]>)
    : {};
  makeSheetTree(root);

  for (const { name, state, lines } of SHEET)
    it(`${name}: ${lines.length} lines`, () => {
      // Indexes as they are on a machine; later parts put other things in their place.
      for (const release of [SHEET_RELEASE, '6.6.1-odd', '6.6.3-ring'])
        spawnSync(process.execPath, [
          join(process.cwd(), 'dist/lkm.js'),
          'linux',
          'depmod',
          '--compat',
          '-C',
          '/dev/null',
          '-b',
          root.path,
          release,
        ]);
      root.write('proc/cmdline', 'ro\n').write('proc/modules', '').write('sys/module/.keep', '');
      for (const [path, text] of Object.entries(state)) root.write(path, text);
      const wrong: unknown[] = [];
      const answers = lines.map((each, i): Answer => {
        const { line, folder, environment, shows = [] } = typeof each === 'string' ? { line: each } : each;
        const [tool, ...words] = wordsOf(line);
        const options = {
          ...(folder !== undefined && { folder }),
          ...(environment !== undefined && { environment }),
        };
        const answer = (ended: Omit<Answer, 'line'>): Answer => ({
          line,
          ...plain(ended, tool, root),
          ...(shows.length > 0 && {
            files: Object.fromEntries(shows.map((path) => [path, root.read(path)])),
          }),
        });
        const ours = answer(root.lkm(tool, words, options));
        root.clear(...shows);
        const theirs = record ? answer(root.kmod(tool, words, options)) : golden[name]?.[i];
        if (JSON.stringify(ours) !== JSON.stringify(theirs)) wrong.push({ ours, theirs });
        return theirs ?? ours;
      });
      root.clear(...Object.keys(state));
      if (record) {
        golden[name] = answers;
        mkdirSync(dirname(GOLDEN), { recursive: true });
        writeFileSync(GOLDEN, `${JSON.stringify(golden, undefined, 1)}\n`);
      }
      expect(wrong).toEqual([]);
    }, 600_000);
});

/** Without addresses, and what is this machine's alone. */
function plain<E extends { out: string; err: string }>(ended: E, tool: string, root: KmodRoot): E {
  const each = (text: string): string =>
    text
      .replaceAll(/0x[0-9a-f]{9,}/g, '0x0')
      .replaceAll(`/bin/${tool}:`, `${tool}:`)
      .replaceAll(root.release, 'RELEASE');
  return { ...ended, out: each(ended.out), err: each(ended.err) };
}
