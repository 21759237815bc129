/**
 * depmod, modinfo and modprobe against kmod over a whole Debian kernel: plain, zstd and xz trees (made here), after ten
 * changed modules, and many lookups. Whole processes, one after the other in turn; the figures are medians of the ratios.
 */
import { spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, readdirSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { type Bench, type BenchContext, type Figure, median } from './bench.ts';

const ROUNDS = 9;
const LOOKUPS = 200;

/** The program, as it is called by, and the words of one run. */
interface Run {
  readonly program: string;
  readonly words: readonly string[];
  readonly name?: string;
  readonly input?: string;
}

export const depmod: Bench = {
  name: 'depmod',
  summary: 'the module tools against kmod, whole processes, wall time',
  run({ quick, root }: BenchContext): Promise<readonly Figure[]> {
    const cache = process.env.LKM_CACHE ?? join(homedir(), '.cache/lkm');
    const source = newestTree(join(cache, 'debian'));
    if (source === undefined || spawnSync('kmod', ['-V'], { argv0: 'depmod' }).status !== 0) {
      console.error('  left out: needs kmod and a Debian kernel (node scripts/fetch-debian.mjs amd64)');
      return Promise.resolve([]);
    }
    const trees = new Trees(join(cache, 'bench', 'depmod'), source);
    const rounds = quick ? 1 : ROUNDS;
    const lkm = (words: readonly string[], input?: string): Run => ({
      program: process.execPath,
      words: [join(root, 'dist/lkm.js'), 'linux', ...words],
      ...(input !== undefined && { input }),
    });
    const kmod = (name: string, words: readonly string[]): Run => ({ program: 'kmod', name, words });
    const figures: Figure[] = [];
    for (const kind of quick ? (['plain'] as const) : (['plain', 'zst', 'xz'] as const)) {
      const words = ['-b', trees.make(kind), trees.release];
      const ours = lkm(['depmod', ...words]);
      figures.push(figure(`depmod, ${kind} modules`, against([kmod('depmod', words)], ours, rounds), 0.7));
      const value = resident(ours);
      const target = { value: 200, better: 'lower' } as const;
      if (value !== undefined)
        figures.push({ what: `depmod, ${kind} modules, resident memory`, value, unit: 'MB', target });
    }
    figures.push(...more(trees, rounds, lkm, kmod));
    return Promise.resolve(figures);
  },
};

const figure = (what: string, value: number, goal: number): Figure => ({
  what,
  value,
  unit: 'x',
  target: { value: goal, better: 'lower' },
});

function more(
  trees: Trees,
  rounds: number,
  lkm: (words: readonly string[], input?: string) => Run,
  kmod: (name: string, words: readonly string[]) => Run,
): Figure[] {
  const plain = trees.make('plain');
  const words = ['-b', plain, trees.release];
  const files = trees.files('plain');
  const incremental = lkm(['depmod', '--incremental', ...words]);
  once(incremental);
  const touch = () => {
    const now = new Date();
    for (const file of files.slice(0, 10)) utimesSync(file, now, now);
  };
  const names = files.filter((_, i) => i % Math.floor(files.length / LOOKUPS) === 0).slice(0, LOOKUPS);
  const modules = names.map((path) => path.replace(/^.*\//, '').replace(/\.ko.*$/, ''));
  const where = ['-D', '-d', plain, '-S', trees.release];
  return [
    figure(
      'depmod --incremental, ten changed',
      against([kmod('depmod', words)], incremental, rounds, touch),
      0.25,
    ),
    figure('modinfo of all files', against([kmod('modinfo', files)], lkm(['modinfo', ...files]), rounds), 1),
    figure(
      `${modules.length} lookups in one process against as many of kmod`,
      against(
        modules.map((name) => kmod('modprobe', [...where, name])),
        lkm(['modprobe', '--stdin', ...where], modules.map((name) => `${name}\n`).join('')),
        rounds,
      ),
      0.3,
    ),
  ];
}

/** Median of the ratios of ours to theirs. */
function against(theirs: readonly Run[], ours: Run, rounds: number, before: () => void = () => {}): number {
  const ratios: number[] = [];
  for (let round = -1; round < rounds; round++) {
    const other = theirs.reduce((sum, run) => sum + once(run), 0);
    before();
    const own = once(ours);
    // The first round warms the page cache.
    if (round >= 0) ratios.push(own / other);
  }
  return median(ratios);
}

/** Milliseconds. */
function once({ program, words, name, input }: Run): number {
  const started = performance.now();
  const ended = spawnSync(program, words, {
    env: environment(),
    stdio: [input === undefined ? 'ignore' : 'pipe', 'pipe', 'pipe'],
    maxBuffer: 2 ** 30,
    ...(name !== undefined && { argv0: name }),
    ...(input !== undefined && { input }),
  });
  const time = performance.now() - started;
  if (ended.status !== 0) throw new Error(`${program} ${words.slice(0, 6).join(' ')}: ${ended.stderr}`);
  return time;
}

/** MB at the highest, as GNU time tells it; undefined without that program. */
function resident({ program, words }: Run): number | undefined {
  const ended = spawnSync('/usr/bin/time', ['-f', '%M', program, ...words], {
    env: environment(),
    encoding: 'utf8',
  });
  return ended.status === 0 ? Number(ended.stderr.trim().split('\n').at(-1)) / 1024 : undefined;
}

/** Without certificates that Node 20 would read at every start: they have nothing to do with what is measured. */
function environment(): NodeJS.ProcessEnv {
  const { NODE_EXTRA_CA_CERTS: _, ...env } = process.env;
  return env;
}

function newestTree(folder: string): string | undefined {
  const found = (existsSync(folder) ? readdirSync(folder) : [])
    .map((name) => /^linux-image-(6\.1\.\d+-\d+-amd64)$/.exec(name)?.[1])
    .filter((release) => release !== undefined)
    .sort((a, b) => a.localeCompare(b, 'en', { numeric: true }))
    .at(-1);
  return found === undefined ? undefined : join(folder, `linux-image-${found}`, 'lib/modules', found);
}

/** Copies of a tree, packed once and kept. */
class Trees {
  readonly release: string;
  private readonly folder: string;
  private readonly source: string;

  constructor(folder: string, source: string) {
    this.folder = folder;
    this.source = source;
    this.release = source.slice(source.lastIndexOf('/') + 1);
  }

  private tree(kind: string): string {
    return join(this.folder, kind, 'lib/modules', this.release);
  }

  /** The root of a tree. */
  make(kind: 'plain' | 'zst' | 'xz'): string {
    const root = join(this.folder, kind);
    const done = join(root, 'done');
    if (existsSync(done)) return root;
    rmSync(root, { recursive: true, force: true });
    mkdirSync(join(root, 'lib/modules'), { recursive: true });
    cpSync(this.source, this.tree(kind), { recursive: true });
    const pack = {
      plain: undefined,
      zst: 'zstd -q --rm -3',
      xz: 'xz --check=crc32 --lzma2=preset=2,dict=2MiB',
    }[kind];
    if (pack !== undefined) {
      const all = `find "$0" -name '*.ko' -print0 | xargs -0 -P2 -n100 ${pack}`;
      const ended = spawnSync('sh', ['-c', all, this.tree(kind)], { encoding: 'utf8' });
      if (ended.status !== 0) throw new Error(`${pack}: ${ended.stderr}`);
    }
    writeFileSync(done, '');
    return root;
  }

  files(kind: string): readonly string[] {
    const names = readdirSync(this.tree(kind), { recursive: true, encoding: 'utf8' });
    return names.filter((name) => /\.ko(\.\w+)?$/.test(name)).map((name) => join(this.tree(kind), name));
  }
}
