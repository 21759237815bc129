/** Solaris' side of `lkm check`: module files against unix and genunix, and the configuration of a root folder. */
import { existsSync, readFileSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { FormatError } from '../../../bytes/errors.ts';
import { type ElfFile, readElf } from '../../../formats/elf/read.ts';
import { DEFAULT_MODULE_PATH, textOf } from '../../../systems/solaris/configuration.ts';
import { parseNumbers } from '../../../systems/solaris/etc/name-files.ts';
import { parseModulePath, parseSystemFile } from '../../../systems/solaris/etc/system-file.ts';
import {
  isaBits,
  isKernelPart,
  type KernelPart,
  readKernelParts,
  type SolarisKernelFile,
  saveKernelParts,
} from '../../../systems/solaris/kernelfile.ts';
import { moduleName } from '../../../systems/solaris/modctl.ts';
import { type CheckResult, type CheckView, checkModule } from '../../../systems/solaris/rules/check.ts';
import { POLICIES, type SignatureGate } from '../../../systems/solaris/rules/signature.ts';
import {
  answerOf,
  type CheckKernel,
  type CheckRequest,
  type MissingInput,
  type RuleResult,
  type SymbolProblem,
  type SystemChecker,
  type Verdict,
} from '../../check.ts';
import { type ModuleFile, SettingError } from '../../system.ts';
import { Trust } from '../trust-store.ts';

const SETTINGS = [
  { name: 'module-path', summary: 'directories of modules below the root, instead of those of /etc/system' },
  { name: 'policy', summary: 'signatures: none (default), warning or enforce' },
  { name: 'certs', summary: 'a PEM or DER file of certificates that are trusted' },
] as const;

interface SolarisCheckKernel extends CheckKernel {
  readonly file: SolarisKernelFile;
  /** The root folder that the kernel lies in; undefined for a file outside of one. */
  readonly root: string | undefined;
}

/** Where the parts of a kernel lie below a root, by width: the platform's unix, the common genunix. */
const PLACES = {
  unix: [
    'platform/i86pc/kernel/amd64/unix',
    'platform/sun4v/kernel/sparcv9/unix',
    'platform/sun4u/kernel/sparcv9/unix',
    'platform/i86pc/kernel/unix',
  ],
  genunix: ['kernel/amd64/genunix', 'kernel/sparcv9/genunix', 'kernel/genunix'],
} as const;

function partsIn(root: string): string[] {
  const unix = PLACES.unix.find((place) => existsSync(join(root, place)));
  const wide = unix === undefined ? '' : (/amd64|sparcv9/.exec(unix)?.[0] ?? '');
  const genunix =
    unix === undefined
      ? PLACES.genunix.find((place) => existsSync(join(root, place)))
      : `kernel/${wide === '' ? '' : `${wide}/`}genunix`;
  return [unix, genunix].flatMap((place) =>
    place !== undefined && existsSync(join(root, place)) ? [join(root, place)] : [],
  );
}

/** The root of which a file is unix or genunix; undefined when it lies elsewhere. */
function rootOf(path: string): string | undefined {
  for (const place of [...PLACES.unix, ...PLACES.genunix])
    if (path.endsWith(`/${place}`)) return path.slice(0, -place.length - 1) || '/';
  return undefined;
}

/** unix beside genunix, for files that lie in one folder. */
function beside(path: string): string[] {
  const folder = dirname(path);
  return ['unix', 'genunix'].map((name) => join(folder, name)).filter((one) => existsSync(one));
}

const read = (path: string): KernelPart => ({ path, bytes: readFileSync(path) });

class SolarisChecker implements SystemChecker {
  readonly system = 'solaris';
  readonly settings = SETTINGS;
  readonly kernels = 'unix and genunix of the other machine, or its root folder';

  recogniseKernel({ path, bytes }: ModuleFile): number {
    if (bytes !== undefined) return isKernelPart({ path, bytes }) ? 1 : 0;
    if (path.startsWith('builtin:')) return 0;
    return this.partsOf(path).some((part) => isKernelPart(read(part))) ? 1 : 0;
  }

  private partsOf(path: string): string[] {
    if (!statSync(path).isDirectory()) {
      const root = rootOf(path);
      const found = root === undefined ? beside(path) : partsIn(root);
      return found.includes(path) ? found : [path];
    }
    const found = partsIn(path);
    return found.length > 0 ? found : beside(join(path, 'unix'));
  }

  open(path: string): SolarisCheckKernel {
    const parts = this.partsOf(path);
    const file = readKernelParts(parts.map(read));
    const root = statSync(path).isDirectory() ? path : rootOf(path);
    const release = `Solaris ${file.isa}`;
    const names = parts.map((part) => moduleName(part)).join(' and ');
    const summary = `${release}: ${file.count} symbols of ${names}`;
    const save = () => new Uint8Array(gzipSync(saveKernelParts(file)));
    return { name: path, release, summary, file, root, save };
  }

  check(request: CheckRequest): Verdict {
    const { file, root, name, release } = request.kernel as SolarisCheckKernel;
    const { path, bytes = new Uint8Array(0) } = request.module;
    const view = viewOf(file, root, request);
    const results = checkModule(view, bytes, path);
    const rules = ruleResults(results, file);
    const missing: MissingInput[] = file.complete ? [] : [GENUNIX];
    const unknown = rules.some(({ outcome }) => outcome === 'unknown');
    return {
      module: { path, name: moduleName(path) },
      kernel: { name, release },
      system: 'solaris',
      answer: answerOf(rules),
      rules,
      missing: unknown ? missing : [],
      taints: [],
      first: [],
      symbols: unknown ? [] : symbolProblems(results),
      causes: [],
      remarks: [],
    };
  }
}

const GENUNIX: MissingInput = {
  what: 'the symbols of genunix',
  how: 'give the root folder, or unix and genunix in one folder',
};

/** Files of the root folder, of the companions, and the settings. */
function viewOf(file: SolarisKernelFile, root: string | undefined, request: CheckRequest): CheckView {
  const at = (path: string): Uint8Array | undefined => {
    const full = root === undefined ? undefined : join(root, path);
    return full !== undefined && existsSync(full) && statSync(full).isFile() ? readFileSync(full) : undefined;
  };
  const system = parseSystemFile(textOf(at('/etc/system')));
  const given = request.settings.get('module-path');
  const path = given === undefined ? (system.moddir ?? DEFAULT_MODULE_PATH) : parseModulePath(given);
  const [majors, numbers] = ['/etc/name_to_major', '/etc/name_to_sysnum'].map((table) => {
    const bytes = at(table);
    return bytes === undefined ? undefined : parseNumbers(textOf(bytes));
  });
  return {
    bits: isaBits(file.isa),
    sparc: file.isa === 'sparcv9' || file.isa === 'sparc',
    primary: (name) => file.has(name),
    module: (name) => elfOf(dependency(name, file, path, at, request.companions ?? [])),
    excluded: system.exclude,
    major: (name) => (majors === undefined ? null : majors.get(name)),
    systemCall: (name) => (numbers === undefined ? null : numbers.get(name)),
    signatures: gateOf(request.settings),
  };
}

function dependency(
  name: string,
  { isa }: SolarisKernelFile,
  path: readonly string[],
  at: (path: string) => Uint8Array | undefined,
  companions: readonly string[],
): Uint8Array | undefined {
  const slash = name.lastIndexOf('/');
  const wide = `${name.slice(0, slash + 1)}${isa}/${name.slice(slash + 1)}`;
  for (const place of [
    ...path.map((folder) => `${folder}/${wide}`),
    ...path.map((folder) => `${folder}/${name}`),
  ]) {
    const bytes = at(place);
    if (bytes !== undefined) return bytes;
  }
  const beside = companions.find((one) => moduleName(one) === moduleName(name));
  return beside === undefined ? undefined : readFileSync(beside);
}

function elfOf(bytes: Uint8Array | undefined): ElfFile | undefined {
  try {
    return bytes === undefined ? undefined : readElf(bytes);
  } catch (error) {
    if (error instanceof FormatError) return undefined;
    throw error;
  }
}

function gateOf(settings: ReadonlyMap<string, string>): SignatureGate {
  const text = settings.get('policy') ?? 'none';
  const policy = POLICIES.find((one) => one === text);
  if (policy === undefined)
    throw new SettingError(`policy cannot be '${text}'`, `it is one of ${POLICIES.join(', ')}`);
  const certs = settings.get('certs');
  const trust = certs === undefined ? undefined : new Trust(readFileSync(certs));
  return { policy, verdict: (bytes) => trust?.verdict(bytes) };
}

/** The rules of a load in their order, each with the ids of what checkModule may say of it. */
const RULES = [
  ['excluded', '/etc/system does not exclude it', ['excluded']],
  [
    'file',
    "krtld takes the file: ELF, of the kernel's machine, relocatable, whole",
    ['file', 'elf', 'isa', 'relocatable', 'section-address', 'symbol-table', 'damaged'],
  ],
  ['signature', 'the boot policy takes its signature', ['signature']],
  ['dependencies', 'its dependencies have names that can be, and files', ['dependency-name', 'dependency']],
  ['symbols', 'each symbol is in a direct dependency or a primary module', ['symbols']],
  ['relocations', 'krtld knows the types of its relocations', ['relocation']],
  ['entry-points', 'it has _init, and _fini to go again', ['no-init', 'no-fini']],
  ['linkage', 'the numbers that its linkage needs are bound', ['no-major', 'no-number']],
] as const;

function ruleResults(results: readonly CheckResult[], file: SolarisKernelFile): RuleResult[] {
  let over = false;
  return RULES.map(([rule, title, ids]) => {
    const own = results.filter((one) => ids.some((id) => one.rule === id || one.rule.startsWith(`${id}-`)));
    const refused = own.find(({ verdict }) => verdict === 'refuse');
    const noted = own.filter(({ verdict }) => verdict === 'note');
    const base = { rule, title, said: own.flatMap(({ said }) => said.map(spoken)), hint: '' };
    const hint = HINTS[rule] ?? '';
    if (over) return { ...base, outcome: 'not-reached', why: '' };
    if (refused !== undefined && rule === 'symbols' && !file.complete)
      return {
        ...base,
        said: [],
        outcome: 'unknown',
        why: 'genunix is not at hand, where most symbols are.',
      };
    if (refused !== undefined) {
      over = true;
      return { ...base, outcome: 'refuse', error: errorOf(rule, refused.rule), why: refused.why, hint };
    }
    if (noted.length > 0) return { ...base, outcome: 'note', why: noted.map(({ why }) => why).join(' ') };
    return { ...base, outcome: 'pass', why: '' };
  });
}

const spoken = (text: string) => ({ level: undefined, text });

const HINTS: Partial<Readonly<Record<(typeof RULES)[number][0], string>>> = {
  excluded: 'Take the exclude line out and boot again.',
  file: '64-bit modules lie in a directory named after their machine below that of their class; link with ld -r.',
  signature: 'Sign it with elfsign and put the certificate into the store, or set the policy to none.',
  symbols: 'Name the module that has it as a dependency: ld -r -dy -N misc/foo.',
  'entry-points': 'Every module defines int _init(void), which calls mod_install.',
  linkage: 'A driver is bound with add_drv, a system call with a line in /etc/name_to_sysnum.',
};

/** What modload(1M) gets: EINVAL for whatever is wrong with the file. */
function errorOf(rule: string, id: string): RuleResult['error'] {
  if (rule === 'excluded' || id === 'no-major') return { name: 'ENXIO', number: 6 };
  if (rule === 'signature') return { name: 'EACCES', number: 13 };
  if (id === 'no-init') return { name: 'EFAULT', number: 14 };
  if (id === 'no-number') return { name: 'ENOSPC', number: 28 };
  return { name: 'EINVAL', number: 22 };
}

/** From the kernel's own words: ` 'NAME'` follows each `undefined symbol`. */
function symbolProblems(results: readonly CheckResult[]): SymbolProblem[] {
  const said = results.find(({ rule, verdict }) => rule === 'symbols' && verdict === 'refuse')?.said ?? [];
  return said.flatMap((text) => {
    const name = /^ '(.+)'$/.exec(text)?.[1];
    const why = 'no direct dependency and no primary module has it; other loaded modules do not count';
    return name === undefined ? [] : [{ name, kind: 'missing' as const, why }];
  });
}

export const solarisChecker: SystemChecker = new SolarisChecker();
