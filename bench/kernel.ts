/** Opening a kernel file, booting it, and a module's way from file to live; in a new process and in a warm one. */
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { basename, join } from 'node:path';
import { readKernel } from '../src/systems/linux/kernelfile/open.ts';
import { insmod } from '../src/systems/linux/loader.ts';
import { modulesBelow, Tree } from '../src/targets/census-tree.ts';
import { BUILT_IN, openKernel } from '../src/targets/kernel-store.ts';
import { LinuxSession } from '../src/tools/linux/session.ts';
import type { Bench, BenchContext, Figure } from './bench.ts';
import { median } from './bench.ts';
import { OWN_TIME, timed } from './clock.ts';
import { type Lifecycle, lifecycle } from './lifecycle.ts';

const MiB = 2 ** 20;
/** A driver of about a megabyte. */
const LARGE = 'i40e';

export const kernel: Bench = {
  name: 'kernel',
  summary: `a kernel file opened, booted, a module loaded (${OWN_TIME ? 'processor time of the main thread' : 'by the clock'})`,
  async run(context: BenchContext): Promise<readonly Figure[]> {
    const { quick, root } = context;
    const { release } = openKernel(BUILT_IN, {
      packaged: (path) => join(root, path),
      environment: process.env,
    });
    const debian = debianPackage(release);
    const module = moduleFile(root, debian);
    const cold = Array.from({ length: quick ? 1 : 9 }, () => inNewProcess(root, module));
    for (let i = 0; i < (quick ? 1 : 10); i++) lifecycle(root, module, 3);
    const warm = Array.from({ length: quick ? 2 : 30 }, () => lifecycle(root, module, 4));
    return [
      ...stepFigures(cold, warm, basename(module)),
      ...largeFigures(root, debian, quick),
      ...imageFigures(debian, quick),
    ];
  },
};

function stepFigures(cold: readonly Lifecycle[], warm: readonly Lifecycle[], module: string): Figure[] {
  const first = ({ loads }: Lifecycle) => loads[0];
  const again = ({ loads }: Lifecycle) => Math.min(...loads.slice(1));
  const open = (one: Lifecycle) => one.open;
  const boot = (one: Lifecycle) => one.boot;
  return [
    ...pair('built-in kernel file, new process', cold.map(open), 20),
    ...pair('built-in kernel file, warm', warm.map(open), 20),
    ...pair('boot, new process', cold.map(boot), 50),
    ...pair('boot, warm', warm.map(boot), 50),
    {
      what: 'memory a boot adds to a new process (resident)',
      value: median(cold.map((one) => one.resident)) / MiB,
      unit: 'MB',
      target: { value: 64, better: 'lower' },
    },
    ...pair(`${module} to live, new process`, cold.map(first)),
    ...pair(`${module} to live, warm, a new kernel`, warm.map(first), 10),
    ...pair(`${module} to live, warm, again`, warm.map(again), 10),
    ...pair(
      `${module} unloaded, warm`,
      warm.map((one) => one.unload),
    ),
  ];
}

/** The best of the runs is the one that was disturbed least; the median says what to expect on this machine now. */
function pair(what: string, values: readonly number[], target?: number): Figure[] {
  const goal = target === undefined ? undefined : ({ value: target, better: 'lower' } as const);
  return [
    { what: `${what}, best`, value: Math.min(...values), unit: 'ms', target: goal },
    { what: `${what}, median`, value: median(values), unit: 'ms' },
  ];
}

/** A driver of a megabyte, loaded after what it needs; nothing where there is no package. */
function largeFigures(root: string, debian: string | undefined, quick: boolean): Figure[] {
  if (debian === undefined) return [];
  const tree = new Tree(modulesBelow(join(debian, 'lib', 'modules')));
  const found = tree.find(LARGE);
  if (found === undefined) return [];
  const files = tree.plan(found).map(({ path }) => ({ path, bytes: new Uint8Array(readFileSync(path)) }));
  const times = Array.from({ length: quick ? 2 : 12 }, () => {
    const kernel = openKernel(BUILT_IN, {
      packaged: (path) => join(root, path),
      environment: process.env,
    });
    const { k } = new LinuxSession(kernel, { moduleFile: () => undefined });
    // The last is the module itself.
    const loads = files.map(({ path, bytes }) => {
      const [load, { outcome }] = timed(() => insmod(k, bytes, '', { path }));
      if (outcome !== 'loaded') throw new Error(`${path} was not loaded: ${outcome}`);
      return load;
    });
    return loads[loads.length - 1];
  });
  const { length } = files[files.length - 1].bytes;
  const what = `${LARGE}.ko (${(length / 1e6).toFixed(2)} MB) to live`;
  return [
    { what: `${what}, first`, value: times[0], unit: 'ms' },
    ...pair(`${what}, warm, a new kernel`, times.slice(1), 150),
  ];
}

/** Reading a kernel image instead of the description of one; nothing where there is no image. */
function imageFigures(debian: string | undefined, quick: boolean): Figure[] {
  const boot = debian === undefined ? undefined : join(debian, 'boot');
  const name = boot && existsSync(boot) && readdirSync(boot).find((file) => file.startsWith('vmlinuz-'));
  if (!boot || !name) return [];
  const bytes = new Uint8Array(readFileSync(join(boot, name)));
  const times = Array.from({ length: quick ? 1 : 4 }, () => timed(() => readKernel(bytes))[0]);
  const target = { value: 1500, better: 'lower' } as const;
  return [
    { what: `${name} read, first`, value: times[0], unit: 'ms', target },
    { what: `${name} read, best`, value: Math.min(...times), unit: 'ms', target },
  ];
}

/** The unpacked Debian package of that release, when `scripts/fetch-debian.mjs` has brought it. */
function debianPackage(release: string): string | undefined {
  const caches =
    process.env.LKM_CACHE ?? join(process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'lkm');
  const path = join(caches, 'debian', `linux-image-${release}`);
  return existsSync(path) ? path : undefined;
}

/** crc7 of that package, else a fixture of ours. */
function moduleFile(root: string, debian: string | undefined): string {
  const fixture = join(root, 'fixtures', 'linux', 'built', 'hello.ko');
  if (debian === undefined) return fixture;
  const releases = join(debian, 'lib', 'modules');
  const found = (existsSync(releases) ? readdirSync(releases) : [])
    .map((release) => join(releases, release, 'kernel', 'lib', 'crc7.ko'))
    .find(existsSync);
  return found ?? fixture;
}

function inNewProcess(root: string, module: string): Lifecycle {
  const environment = { ...process.env };
  delete environment.NODE_EXTRA_CA_CERTS;
  const script = join(root, 'dist', 'bench', 'once.js');
  const { status, stdout, stderr } = spawnSync(process.execPath, [script, root, module], {
    env: environment,
    encoding: 'utf8',
  });
  if (status !== 0) throw new Error(`${script} ended with ${status}: ${stderr}`);
  return JSON.parse(stdout) as Lifecycle;
}
