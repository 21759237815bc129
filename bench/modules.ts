/** Real module code through the kernel's own functions: in the base kernel, and in a real kernel under QEMU's TCG. */
import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';
import { Archive } from '../scripts/cpio.mjs';
import { insmod } from '../src/systems/linux/loader.ts';
import { modulesBelow, Tree } from '../src/targets/census-tree.ts';
import { BUILT_IN, openKernel } from '../src/targets/kernel-store.ts';
import { LinuxSession } from '../src/tools/linux/session.ts';
import { type Bench, type BenchContext, type Figure, median } from './bench.ts';
import { OWN_TIME, timed } from './clock.ts';

interface Algorithm {
  readonly name: string;
  /** As the crypto API names the driver. */
  readonly driver: string;
  readonly kind: 'hash' | 'cipher' | 'compressor';
  readonly module: string;
}

const ALGORITHMS: readonly Algorithm[] = [
  { name: 'sha512', driver: 'sha512-generic', kind: 'hash', module: 'sha512_generic' },
  { name: 'blake2b', driver: 'blake2b-512-generic', kind: 'hash', module: 'blake2b_generic' },
  { name: 'crc32', driver: 'crc32-generic', kind: 'hash', module: 'crc32_generic' },
  { name: 'lz4', driver: 'lz4-generic', kind: 'compressor', module: 'lz4' },
  { name: 'zstd', driver: 'zstd-generic', kind: 'compressor', module: 'zstd' },
  { name: 'des', driver: 'des-generic', kind: 'cipher', module: 'des_generic' },
  { name: 'serpent', driver: 'serpent-generic', kind: 'cipher', module: 'serpent_generic' },
];
const KIB = 16384;
const QUICK_KIB = 128;
/** One chunk. */
const LEAST_KIB = 64;
const ROUNDS = 7;

/** One run: what came out, and how long it took. */
interface Run {
  readonly sum: string;
  readonly seconds: number;
}

export const modules: Bench = {
  name: 'modules',
  summary: 'module code of Debian over 16 MiB through the crypto API, against a real kernel under QEMU (TCG)',
  async run({ quick, root }: BenchContext): Promise<readonly Figure[]> {
    const setup = prepare(root);
    if (setup === undefined) return [];
    const kib = quick ? QUICK_KIB : KIB;
    const real = quick ? undefined : await RealKernel.boot(setup);
    const figures: Figure[] = [];
    let asFast = 0;
    try {
      for (const algorithm of ALGORITHMS) {
        const { ours, theirs } = await rounds(setup, algorithm, kib, quick ? 1 : ROUNDS, real);
        const seconds = median(ours);
        figures.push({ what: `${algorithm.name}: ours`, value: kib / 1024 / seconds, unit: 'MB/s' });
        if (theirs.length === 0) continue;
        const ratio = median(ours.map((own, round) => own / theirs[round]));
        if (ratio <= 1) asFast++;
        figures.push({ what: `${algorithm.name}: QEMU`, value: kib / 1024 / median(theirs), unit: 'MB/s' });
        figures.push({ what: `${algorithm.name}: time against QEMU`, value: ratio, unit: 'x' });
      }
    } finally {
      real?.end();
    }
    if (real === undefined) return figures;
    const target = { value: ALGORITHMS.length / 2, better: 'higher' } as const;
    return [
      ...figures,
      { what: 'at least as fast as QEMU', value: asFast, unit: `of ${ALGORITHMS.length}`, target },
    ];
  },
};

async function rounds(
  setup: Setup,
  algorithm: Algorithm,
  kib: number,
  count: number,
  real: RealKernel | undefined,
): Promise<{ ours: number[]; theirs: number[] }> {
  const ours: number[] = [];
  const theirs: number[] = [];
  let sum: string | undefined;
  for (let round = 0; round < count; round++) {
    const runs = [
      ourRun(setup, algorithm, kib),
      real === undefined ? undefined : await real.run(algorithm, kib),
    ];
    for (const run of runs) {
      if (run === undefined) continue;
      sum ??= run.sum;
      if (run.sum !== sum) throw new Error(`${algorithm.name}: the results differ: ${run.sum}, not ${sum}`);
    }
    ours.push(runs[0]?.seconds ?? 0);
    if (runs[1] !== undefined) theirs.push(runs[1].seconds);
  }
  return { ours, theirs };
}

interface Setup {
  readonly root: string;
  /** The unpacked package of the kernel that the built-in description is of. */
  readonly image: string;
  readonly release: string;
  readonly tree: Tree;
  /** cryptobench.ko. */
  readonly bench: string;
}

/** A line of the log that our module writes: driver, error, sum of the results, nanoseconds. */
const LINE = /cryptobench (\S+) (-?\d+) ([0-9a-f]+) (\d+)/;

/** A fresh kernel each time: what is translated is translated within the time. */
function ourRun(setup: Setup, { driver, kind, module }: Algorithm, kib: number): Run {
  const kernel = openKernel(BUILT_IN, {
    packaged: (path) => join(setup.root, path),
    environment: process.env,
  });
  const { k } = new LinuxSession(kernel, { moduleFile: () => undefined });
  // 16 MiB of cipher blocks are more instructions than a thread may run in one go.
  k.scheduler.instructionBudget = k.scheduler.runBudget = Number.MAX_SAFE_INTEGER;
  const found = setup.tree.find(module);
  if (found === undefined) throw new Error(`no module ${module} in ${setup.image}`);
  for (const { path } of setup.tree.plan(found)) load(k, path, '');
  const bytes = readFileSync(setup.bench);
  const args = `algorithm=${driver} kind=${kind} kib=${kib}`;
  const [milliseconds, result] = timed(() => insmod(k, bytes, args, { path: setup.bench }));
  const seconds = milliseconds / 1e3;
  const line = k.log.records.map(({ text }) => LINE.exec(text)).find((match) => match !== null);
  if (result.outcome !== 'loaded' || line === undefined || line === null || line[2] !== '0')
    throw new Error(`${driver}: ${result.outcome} ${line?.[2] ?? JSON.stringify(result).slice(0, 300)}`);
  return { sum: line[3], seconds };
}

function load(k: LinuxSession['k'], path: string, args: string): void {
  const result = insmod(k, readFileSync(path), args, { path });
  if (result.outcome !== 'loaded') throw new Error(`${path} was not loaded: ${result.outcome}`);
}

/** Where Debian's package of the kernel that the fixtures are built for is unpacked, if it is. */
export function debianImage(root: string): { image: string; release: string; cache: string } {
  const hello = readFileSync(join(root, 'fixtures', 'linux', 'built', 'hello.ko'), 'latin1');
  const release = /vermagic=(\S+)/.exec(hello)?.[1] ?? '';
  const cache = process.env.LKM_CACHE ?? join(homedir(), '.cache', 'lkm');
  return { image: join(cache, 'debian', `linux-image-${release}`), release, cache };
}

/** Undefined, after saying why, where something is missing. */
function prepare(root: string): Setup | undefined {
  const { image, release, cache } = debianImage(root);
  const headers = join('/lib/modules', release, 'build');
  if (!existsSync(image) || !existsSync(headers)) {
    console.log(`  (needs the Debian packages linux-image-${release} and linux-headers-${release})`);
    return undefined;
  }
  const tree = new Tree(modulesBelow(join(image, 'lib', 'modules', release)));
  return { root, image, release, tree, bench: buildModule(root, headers, cache) };
}

function buildModule(root: string, headers: string, cache: string): string {
  const source = join(root, 'bench', 'modules', 'cryptobench.c');
  const hash = createHash('sha256').update(readFileSync(source)).digest('hex').slice(0, 16);
  const output = join(cache, 'bench', `cryptobench-${hash}.ko`);
  if (existsSync(output)) return output;
  const work = mkdtempSync(join(tmpdir(), 'lkm-cryptobench-'));
  copyFileSync(source, join(work, 'cryptobench.c'));
  writeFileSync(join(work, 'Makefile'), 'obj-m := cryptobench.o\n');
  execFileSync('make', ['-C', headers, `M=${work}`, 'modules'], { stdio: 'pipe' });
  mkdirSync(join(cache, 'bench'), { recursive: true });
  copyFileSync(join(work, 'cryptobench.ko'), output);
  rmSync(work, { recursive: true });
  return output;
}

/** What the machine runs: it takes `driver kind kib module...` on its console, and answers with the module's own line. */
const INIT = `#!/bin/sh
/bin/busybox mount -t proc none /proc
/bin/busybox mount -t devtmpfs none /dev
/bin/busybox stty -echo raw < /dev/ttyS1
echo ready > /dev/ttyS1
while read driver kind kib modules; do
  for m in $modules; do /bin/busybox insmod /m/$m 2> /dev/null; done
  /bin/busybox dmesg -c > /dev/null
  /bin/busybox insmod /m/cryptobench.ko algorithm=$driver kind=$kind kib=$kib
  /bin/busybox dmesg -c | /bin/busybox grep cryptobench > /dev/ttyS1
  echo done > /dev/ttyS1
  /bin/busybox rmmod cryptobench
done < /dev/ttyS1
`;

/** Debian's kernel under QEMU without hardware help, spoken to over a serial line. */
class RealKernel {
  readonly #setup: Setup;
  readonly #child: ChildProcess;
  readonly #work: string;
  #text = '';
  #wake: () => void = () => {};

  private constructor(setup: Setup) {
    this.#setup = setup;
    this.#work = mkdtempSync(join(tmpdir(), 'lkm-bench-'));
    const ramdisk = join(this.#work, 'initrd');
    writeFileSync(ramdisk, this.#archive());
    const args = [
      '-machine',
      'accel=tcg',
      '-cpu',
      'max,la57=off',
      '-smp',
      '1',
      '-m',
      '512',
      '-display',
      'none',
    ];
    args.push('-no-reboot', '-monitor', 'none', '-nic', 'none', '-initrd', ramdisk);
    args.push('-kernel', join(setup.image, 'boot', `vmlinuz-${setup.release}`));
    args.push(
      '-append',
      'console=ttyS0 quiet panic=-1 no_timer_check',
      '-serial',
      'null',
      '-serial',
      'stdio',
    );
    this.#child = spawn('qemu-system-x86_64', args, { stdio: ['pipe', 'pipe', 'ignore'] });
    this.#child.stdout?.on('data', (bytes) => {
      this.#text += String(bytes);
      this.#wake();
    });
    this.#child.on('close', () => this.#wake());
    this.#child.on('error', () => this.#wake());
  }

  /** Undefined, after saying so, where there is no QEMU or no busybox. */
  static async boot(setup: Setup): Promise<RealKernel | undefined> {
    if (spawnSync('qemu-system-x86_64', ['--version']).status !== 0 || !existsSync('/bin/busybox')) {
      console.log('  (needs qemu-system-x86_64 and busybox-static for the comparison)');
      return undefined;
    }
    const kernel = new RealKernel(setup);
    await kernel.#until(/ready/);
    return kernel;
  }

  /**
   * In processor time, as ours: other programs on the machine do not count. What a run costs beside the work is taken off
   * by a run with next to no work.
   */
  async run(algorithm: Algorithm, kib: number): Promise<Run> {
    const idle = await this.#once(algorithm, LEAST_KIB);
    const run = await this.#once(algorithm, kib);
    return { sum: run.sum, seconds: Math.max(1e-3, run.seconds - idle.seconds) };
  }

  async #once({ driver, kind, module }: Algorithm, kib: number): Promise<Run> {
    const before = this.#processorSeconds();
    const found = this.#setup.tree.find(module);
    const files = found === undefined ? [] : this.#setup.tree.plan(found).map(({ name }) => `${name}.ko`);
    this.#text = '';
    this.#child.stdin?.write(`${driver} ${kind} ${kib} ${files.join(' ')}\n`);
    await this.#until(/done/);
    const line = LINE.exec(this.#text);
    if (line === null || line[2] !== '0') throw new Error(`${driver} in the real kernel: ${this.#text}`);
    const seconds = before === undefined ? Number(line[4]) / 1e9 : (this.#processorSeconds() ?? 0) - before;
    return { sum: line[3], seconds };
  }

  /** Of all threads of the emulator; undefined where the system does not tell. */
  #processorSeconds(): number | undefined {
    const tasks = `/proc/${this.#child.pid}/task`;
    if (!OWN_TIME) return undefined;
    const of = (task: string): number =>
      Number.parseInt(readFileSync(join(tasks, task, 'schedstat'), 'utf8'), 10) / 1e9;
    return readdirSync(tasks).reduce((sum, task) => sum + of(task), 0);
  }

  end(): void {
    this.#child.kill('SIGKILL');
    rmSync(this.#work, { recursive: true, force: true });
  }

  async #until(what: RegExp): Promise<void> {
    while (!what.test(this.#text)) {
      if (this.#child.exitCode !== null) throw new Error(`the real kernel ended: ${this.#text}`);
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  #archive(): Buffer {
    const archive = new Archive();
    for (const folder of ['proc', 'dev', 'tmp']) archive.directory(folder);
    archive.file('init', INIT);
    archive.file('bin/busybox', readFileSync('/bin/busybox'));
    archive.link('bin/sh', 'busybox');
    archive.file('m/cryptobench.ko', readFileSync(this.#setup.bench));
    const needed = new Map(
      ALGORITHMS.flatMap(({ module }) => {
        const found = this.#setup.tree.find(module);
        return found === undefined ? [] : this.#setup.tree.plan(found);
      }).map(({ name, path }) => [name, path]),
    );
    for (const [name, path] of needed) archive.file(`m/${name}.ko`, readFileSync(path));
    return archive.finish();
  }
}
