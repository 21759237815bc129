/**
 * Out-of-tree modules of Debian's dkms packages, built for one kernel and checked against it and others: each verdict is
 * what the real kernel does under QEMU, and the members named as the cause are different by pahole, too.
 */
import { execFileSync } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { decompress } from '../../src/bytes/decompress.ts';
import { readElf } from '../../src/formats/elf/read.ts';
import { unpackKernel } from '../../src/systems/linux/kernelfile/open.ts';
import type { Verdict } from '../../src/tools/check.ts';
import { runLine } from '../cli/fake.ts';
import { type PaholeRecord, paholeRecords } from './ctypes-images.ts';
import { seeded, testSeed } from './random.ts';
import {
  cacheDirectory,
  type DebianKernel,
  describeWith,
  moduleFiles,
  needs,
  needsDkms,
  needsOtherKernels,
  needsTool,
} from './require.ts';
import { mistake } from './verdict/mistake.ts';
import { askKernels, type LoadStep } from './verdict/qemu.ts';

/** Kernels besides the one that the modules are built for. */
const KERNELS = Number(process.env.LKM_KERNELS ?? 2);

const seed = testSeed();
console.info(`seed of the kernels: ${seed} (LKM_SEED repeats it)`);

type Kernel = Pick<DebianKernel, 'release' | 'vmlinuz'>;

const folderOf = ({ release }: Kernel): string => join(cacheDirectory(), 'debian', `linux-image-${release}`);

/** kbuild as dkms calls it, in copies of the sources. */
function build(folders: readonly string[], headers: string, work: string): string[] {
  for (const folder of folders) {
    const copy = join(work, basename(folder));
    cpSync(folder, copy, { recursive: true });
    execFileSync('make', ['-s', '-C', headers, `M=${copy}`, 'modules'], { stdio: 'pipe' });
  }
  return moduleFiles(work);
}

async function verdictOf(module: string, kernel: Kernel, built: Kernel): Promise<Verdict> {
  const words = ['--kernel', folderOf(kernel), '--built-against', folderOf(built)];
  const { out, err } = await runLine(['check', '--json', module, ...words]);
  expect(err).toBe('');
  return JSON.parse(out) as Verdict;
}

const stepFor = (path: string, how: LoadStep['how']): LoadStep => ({
  name: basename(path),
  how,
  bytes: decompress(new Uint8Array(readFileSync(path))),
});

/**
 * What start functions ask for by other ways than symbols (libcrc32c: the cipher crc32c, a soft dependency of modprobe's);
 * a check says nothing of start functions.
 */
const SOFT: ReadonlyMap<string, string> = new Map([['libcrc32c', 'crc32c_generic']]);

/** Files of the modules that must be there first, each behind those that it needs. */
function firstOf(verdicts: readonly Verdict[], files: readonly string[]): string[] {
  const paths = verdicts.flatMap(({ first }) =>
    first.flatMap(({ name, from }) => [
      ...files.filter((path) => basename(path).startsWith(`${SOFT.get(name)}.ko`)),
      from,
    ]),
  );
  return [...new Set(paths)];
}

/** `struct device changed: member ...` and `struct mutex (by way of struct device): member ...`. */
const CHANGE = /((?:struct|union) \w+)(?: changed| \(by way of [^)]*\))?: ((?:member `|its size was).*)$/;

type Holds = (before: PaholeRecord, after: PaholeRecord) => boolean;

const has = ({ lines }: PaholeRecord, member: string, at = ''): boolean =>
  lines.some((line) => line.startsWith(`${member} @${at}`));

/** What a sentence about a record says, as questions to pahole's records. */
function claimsIn(text: string): Holds[] {
  const came = [...text.matchAll(/member `(\w+)` \(.*?\) was (added|removed)/g)].map(
    ([, name, what]): Holds =>
      (before, after) =>
        has(before, name) === (what === 'removed') && has(after, name) === (what === 'added'),
  );
  const retyped = [...text.matchAll(/member `(\w+)` was /g)].map(
    ([, name]): Holds =>
      (before, after) =>
        has(before, name) && has(after, name),
  );
  const sizes = [...text.matchAll(/its size was (\d+), is (\d+) bytes/g)].map(
    ([, old, now]): Holds =>
      (before, after) =>
        before.size === Number(old) && after.size === Number(now),
  );
  const moved = [...text.matchAll(/member `(\w+)` moved from byte (\d+) to (\d+)/g)].map(
    ([, name, old, now]): Holds =>
      (before, after) =>
        old !== now && has(before, name, `${Number(old) * 8} `) && has(after, name, `${Number(now) * 8} `),
  );
  return [...came, ...retyped, ...sizes, ...moved];
}

type Records = Map<string, PaholeRecord[]>;

function recordsOf({ vmlinuz }: Kernel): Records {
  const elf = readElf(unpackKernel(new Uint8Array(readFileSync(vmlinuz))));
  const types = elf.section('.BTF');
  if (types === undefined) throw new Error(`${vmlinuz} has no .BTF section`);
  return paholeRecords(elf.data(types).slice());
}

/** What a verdict says of changed records: how many statements, and those that pahole does not confirm. */
function changesIn(verdict: Verdict, before: Records, after: Records): { said: number; wrong: string[] } {
  const texts = [...verdict.causes, ...verdict.symbols.flatMap(({ changes = [] }) => changes)];
  const wrong: string[] = [];
  let said = 0;
  for (const text of new Set(texts)) {
    const [, record, what] = CHANGE.exec(text) ?? [];
    if (record === undefined) continue;
    const claims = claimsIn(what);
    said += claims.length;
    // Private records of several files can share a tag.
    const confirmed = before
      .get(record)
      ?.some((old) => after.get(record)?.some((now) => claims.every((holds) => holds(old, now))));
    if (claims.length === 0 || confirmed !== true) wrong.push(text);
  }
  return { said, wrong };
}

const own = needs('debian-amd64');
const dkms = own && needsDkms(own.release);
const kernels = needsOtherKernels();
const tools = ['make', 'pahole', 'qemu-system-x86_64'].every((name) => needsTool(name) !== undefined);
const ready = tools && own && dkms && kernels && { own, dkms, kernels };

describeWith(ready || undefined, "modules of Debian's dkms packages", ({ own, dkms, kernels }) => {
  const work = mkdtempSync(join(tmpdir(), 'lkm-dkms-'));
  let modules: string[] = [];
  beforeAll(() => {
    modules = build(dkms.folders, dkms.headers, work);
  }, 600_000);
  afterAll(() => rmSync(work, { recursive: true }));

  it('load on the kernel that they were built for', { timeout: 300_000 }, async () => {
    expect(modules.length).toBeGreaterThanOrEqual(dkms.folders.length);
    const verdicts: Verdict[] = [];
    for (const module of modules) verdicts.push(await verdictOf(module, own, own));
    expect(verdicts.map(({ answer }) => answer)).toEqual(modules.map(() => 'loads'));
    const first = firstOf(verdicts, moduleFiles(own.modules));
    const steps = [
      ...first.map((path) => stepFor(path, 'keep')),
      ...modules.map((path) => stepFor(path, 'finit')),
    ];
    const answers = (await askKernels(own.vmlinuz, 'initcall_debug', steps)).flat();
    expect(answers.slice(0, first.length).filter(({ errno }) => errno !== 0)).toEqual([]);
    const judged = answers.slice(first.length).map((answer, i) => mistake(verdicts[i], answer));
    expect(judged).toEqual(modules.map(() => undefined));
  });

  const others = kernels.filter(({ release }) => release !== own.release);
  for (const kernel of seeded(seed).sample(others, KERNELS)) {
    it(`are refused by ${kernel.release} as is said, and for the members named`, {
      timeout: 300_000,
    }, async () => {
      const verdicts: Verdict[] = [];
      for (const module of modules) verdicts.push(await verdictOf(module, kernel, own));
      expect(verdicts.map(({ answer }) => answer)).toEqual(modules.map(() => 'refused'));
      const [before, after] = [recordsOf(own), recordsOf(kernel)];
      for (const verdict of verdicts) {
        const { said, wrong } = changesIn(verdict, before, after);
        expect(wrong, verdict.module.name).toEqual([]);
        // A kernel of the same types can have another release.
        const rule = verdict.rules.find(({ outcome }) => outcome === 'refuse')?.rule;
        expect(rule === 'vermagic' ? 1 : said, verdict.module.name).toBeGreaterThan(0);
      }
      const steps = modules.map((path) => stepFor(path, 'finit'));
      const boots = await askKernels(kernel.vmlinuz, 'initcall_debug', steps);
      expect(boots.flat().map((answer, i) => mistake(verdicts[i], answer))).toEqual(
        modules.map(() => undefined),
      );
    });
  }
});
