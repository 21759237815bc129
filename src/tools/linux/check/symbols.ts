/** What is told about symbols that do not fit: both versions, who offers them, what changed, and what they have in common. */
import type { CheckResult } from '../../../systems/linux/check/check.ts';
import { type ChangePath, type RecordChange, TypeComparison } from '../../../systems/linux/check/records.ts';
import type { ModuleFile } from '../../../systems/linux/module-file.ts';
import type { SymbolProblem } from '../../check.ts';
import type { LinuxCheckKernel } from './kernels.ts';
import type { FileLibrary } from './library.ts';

export interface SymbolReport {
  readonly symbols: readonly SymbolProblem[];
  readonly causes: readonly string[];
}

/** The kernel that the module was built for, when it is at hand. */
type BuildKernel = LinuxCheckKernel | undefined;

export interface Origin {
  /** The release in the module's vermagic; empty when it names none. */
  readonly builtFor: string;
  readonly find: () => BuildKernel;
}

const hex = (crc: number | undefined): string | undefined =>
  crc === undefined ? undefined : `0x${crc.toString(16).padStart(8, '0')}`;

/** Symbols whose types are compared; each costs milliseconds. */
const MOST_COMPARED = 40;
/** So many changed versions are a storm, which has a cause of its own. */
const STORM = 4;

export function explainSymbols(
  kernel: LinuxCheckKernel,
  result: CheckResult,
  library: FileLibrary,
  origin: Origin,
): SymbolReport {
  const { file, answer } = result;
  if (answer !== 'refused') return { symbols: [], causes: [] };
  if (file === undefined) return { symbols: [], causes: layoutCauses(kernel, result, origin) };
  const symbols = problems(kernel, result, file, library);
  const changed = symbols.filter(({ kind, wanted }) => kind === 'version' && wanted !== undefined);
  if (changed.length === 0) return { symbols, causes: [] };
  const build = origin.find();
  const comparison = compareTypes(build, kernel);
  const paths = new Map<string, ChangePath[]>();
  if (comparison !== undefined) {
    for (const { name } of changed.slice(0, MOST_COMPARED))
      paths.set(name, tellingFirst(comparison.from(startOf(name))));
  }
  return {
    symbols: symbols.map((symbol) => {
      const signature = symbol.kind === 'version' ? comparison?.signature(symbol.name) : undefined;
      const found = paths.get(symbol.name) ?? [];
      if (signature === undefined && found.length === 0) return symbol;
      return { ...symbol, changes: [...(signature ? [signature] : []), ...found.slice(0, 3).map(pathText)] };
    }),
    causes: causesOf(file, { kernel, builtFor: origin.builtFor, build, changed, comparison, paths }),
  };
}

/** A struct module of another size is refused before the versions are looked at: what changed in it is the cause. */
function layoutCauses(
  kernel: LinuxCheckKernel,
  { rules }: CheckResult,
  { builtFor, find }: Origin,
): string[] {
  const refused = rules.find(({ outcome }) => outcome === 'refuse');
  if (refused?.rule !== 'this-module-size' || builtFor === '' || builtFor === kernel.release) return [];
  const build = find();
  const causes = [`It was built for ${builtFor}.`];
  const change = compareTypes(build, kernel)?.change('struct module');
  if (change !== undefined) causes.push(`${change.record} changed: ${mostTelling(change)}.`);
  else if (build === undefined) causes.push(askForBuild(builtFor));
  return causes;
}

const askForBuild = (built: string): string =>
  `What changed in the types can be told with the kernel that it was built for: --built-against ${built}'s image.`;

/** Three changes, and the size, which says it all where a size is what was refused. */
function mostTelling({ changes }: RecordChange): string {
  const size = changes.slice(3).filter((text) => text.startsWith('its size'));
  return [...changes.slice(0, 3), ...size].join('; ');
}

/** module_layout is a function of no meaning that mentions struct module and a few others. */
const startOf = (symbol: string): string => (symbol === 'module_layout' ? 'struct module' : symbol);

function problems(
  kernel: LinuxCheckKernel,
  { failures }: CheckResult,
  file: ModuleFile,
  library: FileLibrary,
): SymbolProblem[] {
  const likely = file.modinfo.depends;
  const offered = (name: string) =>
    kernel.file.exports.find(name) ?? kernel.own?.find(name, likely) ?? library.find(name, likely);
  const symbols: SymbolProblem[] = failures.map(({ name, kind, why }) => {
    const found = offered(name);
    const owner = found !== undefined && 'owner' in found ? found.owner?.name : undefined;
    return { name, kind, wanted: hex(file.versions?.get(name)), offered: hex(found?.crc), owner, why };
  });
  const told = new Set(symbols.map(({ name }) => name));
  for (const [name, wanted] of file.versions ?? []) {
    const found = told.has(name) ? undefined : kernel.file.exports.find(name);
    if (found?.crc === undefined || found.crc === wanted) continue;
    symbols.push({
      name,
      kind: 'version',
      wanted: hex(wanted),
      offered: hex(found.crc),
      why: 'its version is another',
    });
  }
  return symbols;
}

function compareTypes(build: BuildKernel, kernel: LinuxCheckKernel): TypeComparison | undefined {
  if (build === undefined || build.file.origin === kernel.file.origin) return undefined;
  const [before, after] = [build.file.btf, kernel.file.btf];
  return before === undefined || after === undefined ? undefined : new TypeComparison(before, after);
}

/** A size that changed follows from something else; members that came and went do not. */
const isDerived = ({ change: { changes } }: ChangePath): boolean =>
  changes.every((text) => text.startsWith('its size') || text.includes(' moved from '));

const tellingFirst = (paths: readonly ChangePath[]): ChangePath[] => [
  ...paths.filter((one) => !isDerived(one)),
  ...paths.filter(isDerived),
];

function pathText({ change, path }: ChangePath): string {
  const through = path.length > 1 ? ` (by way of ${path.slice(0, -1).slice(-3).join(', ')})` : '';
  return `${change.record}${through}: ${change.changes.slice(0, 3).join('; ')}`;
}

interface CauseMaterial {
  readonly kernel: LinuxCheckKernel;
  readonly builtFor: string;
  readonly build: BuildKernel;
  readonly changed: readonly SymbolProblem[];
  readonly comparison: TypeComparison | undefined;
  readonly paths: ReadonlyMap<string, readonly ChangePath[]>;
}

function causesOf(file: ModuleFile, material: CauseMaterial): string[] {
  const { kernel, builtFor: built, build, changed, comparison } = material;
  if (changed.length < STORM && comparison !== undefined) return [];
  const causes: string[] = [];
  if (built !== kernel.release) {
    causes.push(
      `It was built for ${built || 'a kernel it does not name'}; of the symbols it uses ${changed.length} have another version here.`,
    );
  }
  const struct = commonRecord(file, material);
  if (struct !== undefined) causes.push(struct);
  const config = configCause(build, kernel);
  if (config !== undefined) causes.push(config);
  if (build === undefined && built !== '') {
    causes.push(askForBuild(built));
  } else if (comparison === undefined && build !== undefined && build.file.origin !== kernel.file.origin) {
    causes.push(
      'What changed in the types cannot be told: one of the two kernels has no type information (BTF).',
    );
  }
  return causes;
}

/**
 * The record that most of the changed symbols lead to and the fewest of the unchanged ones, if it reaches most of them. An
 * unchanged version proves that a record behind it was not looked at, or is the same.
 */
function commonRecord(
  file: ModuleFile,
  { kernel, changed, comparison, paths }: CauseMaterial,
): string | undefined {
  if (comparison === undefined || changed.length < STORM) return undefined;
  const same = [...(file.versions ?? [])]
    .filter(([name, crc]) => kernel.file.exports.find(name)?.crc === crc)
    .slice(0, MOST_COMPARED)
    .map(([name]) => comparison.from(startOf(name)));
  const reached = new Map<string, { count: number; far: number; path: ChangePath }>();
  for (const list of paths.values()) {
    for (const path of list) {
      if (isDerived(path)) continue;
      const known = reached.get(path.change.record) ?? { count: 0, far: 0, path };
      reached.set(path.change.record, { path, count: known.count + 1, far: known.far + path.path.length });
    }
  }
  const score = (record: string, { count, far }: { count: number; far: number }) =>
    count / Math.max(1, paths.size) -
    same.filter((list) => list.some(({ change }) => change.record === record)).length /
      Math.max(1, same.length) -
    far / count / 100;
  const [best] = [...reached].sort((a, b) => score(...b) - score(...a));
  if (best === undefined || best[1].count * 2 < paths.size) return undefined;
  const [record, { count, path }] = best;
  const of = paths.size < changed.length ? `${paths.size} symbols looked at` : `${paths.size}`;
  return `Common to ${count} of the ${of}: ${record} changed: ${path.change.changes.slice(0, 3).join('; ')}.`;
}

/** Options that say how and when a kernel was built, and decide nothing. */
const NO_CAUSE =
  /^CONFIG_(CC_|GCC_|CLANG_|LD_|AS_|LLD_|PAHOLE_|RUSTC_|BINDGEN_|BUILD_SALT|LOCALVERSION|VERSION_SIGNATURE|SYSTEM_TRUSTED)/;
/** Options that change many structures; told first. */
const WEIGHTIEST = /^CONFIG_(PREEMPT_RT|SMP|PREEMPT|MODVERSIONS|RANDSTRUCT\w*|GCC_PLUGIN_RANDSTRUCT|64BIT)$/;
const WEIGHTY =
  /PREEMPT|SMP|NR_CPUS|DEBUG|LOCK|TRAC|LSM|SECURITY|NUMA|CGROUP|MEMCG|KASAN|RANDSTRUCT|HZ|PAGE|XEN|HYPERVISOR/;

function configCause(build: BuildKernel, kernel: LinuxCheckKernel): string | undefined {
  const [before, after] = [build?.file.config, kernel.file.config];
  if (before === undefined || after === undefined || build?.file === kernel.file) return undefined;
  const names = new Set([...before.keys(), ...after.keys()]);
  const different = [...names].filter(
    (name) => !NO_CAUSE.test(name) && isBuiltIn(before.get(name)) !== isBuiltIn(after.get(name)),
  );
  if (different.length === 0) return undefined;
  const weight = (name: string) => (WEIGHTIEST.test(name) ? 0 : WEIGHTY.test(name) ? 1 : 2);
  const first = different.sort((one, other) => weight(one) - weight(other));
  const some = first
    .slice(0, 5)
    .map((name) => `${name} was ${before.get(name) ?? 'n'}, is ${after.get(name) ?? 'n'}`);
  const of =
    different.length > some.length
      ? `${different.length} options of the configuration differ, such as `
      : 'The configuration differs: ';
  return `${of}${some.join('; ')}.`;
}

/** `m` changes no structure that the kernel itself has: only what is built in counts. */
const isBuiltIn = (value: string | undefined): string => (value === undefined || value === 'm' ? 'n' : value);
