/** Windows' side of `lkm check`: drivers against ntoskrnl.exe and what lies beside it, by the rules of a load. */
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { FormatError } from '../../../bytes/errors.ts';
import { readExports } from '../../../formats/pe/exports.ts';
import { type PeImportLibrary, readImports } from '../../../formats/pe/imports.ts';
import { type PeFile, readPe } from '../../../formats/pe/read.ts';
import { readCertificates } from '../../../formats/pki/pem.ts';
import {
  builtInKernel,
  exportsName,
  isWindowsKernel,
  readKernelFiles,
  saveKernel,
  stemOf,
  type WindowsKernelFile,
} from '../../../systems/windows/kernelfile.ts';
import { isKernelName, isUserModeName } from '../../../systems/windows/load.ts';
import { imageRules } from '../../../systems/windows/rules/image.ts';
import { signingRules } from '../../../systems/windows/rules/signing.ts';
import type {
  ImagePolicy,
  Verdict as RuleVerdict,
  SignatureFacts,
} from '../../../systems/windows/rules/verdict.ts';
import { examineSignature } from '../../../systems/windows/signature/authenticode.ts';
import { readCatalog } from '../../../systems/windows/signature/catalog.ts';
import { Status, statusText, win32Error } from '../../../systems/windows/status.ts';
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
import { errorText } from '../errors.ts';

const SETTINGS = [
  {
    name: 'integrity',
    summary: 'on (default): signatures are enforced as the release does; off: as after F8',
  },
  { name: 'testsigning', summary: 'on: any signature will do; off (default)' },
  {
    name: 'secureboot',
    summary: "on: no test mode, new drivers need the system maker's signature; off (default)",
  },
  { name: 'hvci', summary: 'on: memory integrity looks at sections and imports; off (default)' },
  { name: 'roots', summary: 'certificates (PEM or DER) that signatures may end at' },
  { name: 'catalogs', summary: 'catalog files, separated by commas' },
  { name: 'blocklist', summary: 'Authenticode hashes that must not load, one a line' },
] as const;
type Name = (typeof SETTINGS)[number]['name'];

interface WindowsCheckKernel extends CheckKernel {
  readonly file: WindowsKernelFile;
}

const ROOTS: MissingInput = {
  what: 'the certificates that the kernel trusts',
  how: 'give them with --set roots=FILE or --cert FILE',
};

const TITLES: Readonly<Record<string, string>> = {
  'image-format': 'the file is a whole PE image',
  'image-machine': "the image is built for the kernel's machine",
  'image-subsystem-version': 'it asks for no newer Windows',
  'image-uniprocessor': 'it runs with this number of processors',
  'image-checksum': 'its checksum is right, where it has one',
  'image-sections': 'its sections follow one another',
  'block-list': 'no block list names it',
  'code-signing': 'its signature is one that this kernel takes',
  'cross-certificate': 'it was signed while its cross-certificate was good',
  'signing-origin': 'it was signed on the word of somebody whom this release takes',
  'memory-integrity': 'memory integrity finds nothing against its sections',
  imports: 'every import is exported by the kernel or a driver that can be loaded',
};
const ORDER = Object.keys(TITLES);

/** The kernel at a path: a saved one, ntoskrnl.exe, or a folder that has it (or Windows\System32 below it). */
function filesOf(path: string): { path: string; bytes: Uint8Array }[] {
  const one = (file: string) => ({ path: file, bytes: new Uint8Array(readFileSync(file)) });
  const folder = statSync(path).isDirectory() ? kernelFolder(path) : dirname(path);
  const kernel = statSync(path).isDirectory() ? kernelIn(folder) : path;
  if (folder === undefined || kernel === undefined) return [];
  const first = one(kernel);
  if (!isWindowsKernel(first.bytes)) return [first];
  const beside = [folder, join(folder, 'drivers')]
    .filter((place) => existsSync(place))
    .flatMap((place) => readdirSync(place).map((name) => join(place, name)))
    .filter((file) => /\.(sys|dll)$/i.test(file) && file !== kernel && statSync(file).isFile());
  return [first, ...beside.flatMap((file) => readable(one(file)))];
}

/** Files beside the kernel that are no images say nothing. */
function readable(file: { path: string; bytes: Uint8Array }): { path: string; bytes: Uint8Array }[] {
  try {
    readPe(file.bytes);
    return [file];
  } catch (error) {
    if (error instanceof FormatError) return [];
    throw error;
  }
}

const kernelIn = (folder: string | undefined): string | undefined => {
  const name = folder && readdirSync(folder).find((one) => /^ntoskrnl\.exe$/i.test(one));
  return name === undefined || folder === undefined ? undefined : join(folder, name);
};

function kernelFolder(path: string): string | undefined {
  let at: string | undefined = path;
  if (kernelIn(path) !== undefined) return path;
  for (const part of ['windows', 'system32']) {
    const here: string = at;
    const found: string | undefined = readdirSync(here).find((one) => one.toLowerCase() === part);
    if (found === undefined) return undefined;
    at = join(here, found);
  }
  return at;
}

class WindowsChecker implements SystemChecker {
  readonly system = 'windows';
  readonly settings = SETTINGS;
  readonly kernels =
    'builtin:windows-10 (nt4 to 11, with -x86 or -arm64 behind it), a folder with a Windows folder in it, ntoskrnl.exe';

  recogniseKernel({ path, bytes }: ModuleFile): number {
    if (path.startsWith('builtin:')) return builtInKernel(path) === undefined ? 0 : 1;
    try {
      if (bytes !== undefined) return isWindowsKernel(bytes) ? 1 : 0;
      const folder = kernelFolder(path);
      return folder !== undefined && kernelIn(folder) !== undefined ? 1 : 0;
    } catch (error) {
      if (error instanceof FormatError) return 0;
      throw error;
    }
  }

  open(path: string): WindowsCheckKernel {
    const file = builtInKernel(path) ?? readKernelFiles(filesOf(path));
    const { release, machine, libraries, exact } = file;
    const names = [...libraries.values()].reduce((sum, set) => sum + set.size, 0);
    const summary = exact
      ? `${release.title} ${machine}: ${names} exports of ${libraries.size} images`
      : `${release.title} ${machine}: its rules, and the names that some release exports`;
    const save = exact ? () => saveKernel(file) : undefined;
    return { name: path, release: `${release.major}.${release.minor}.${release.build}`, summary, file, save };
  }

  check(request: CheckRequest): Verdict {
    const { file, name, release } = request.kernel as WindowsCheckKernel;
    const { path, bytes = new Uint8Array(0) } = request.module;
    const checked = judge(file, request, bytes);
    const rules = ORDER.map((rule) => resultOf(rule, checked.verdicts)).map(notReached());
    const answer = answerOf(rules);
    return {
      module: { path, name: stemOf(path) },
      kernel: { name, release },
      system: 'windows',
      answer,
      rules,
      missing: answer === 'refused' ? [] : checked.missing,
      taints: [],
      first: checked.first.map((one) => ({ name: one.name, from: one.from })),
      symbols: checked.symbols,
      causes: [],
      remarks: checked.remarks,
    };
  }
}

/** Rules behind a refusal are not asked any more. */
function notReached(): (result: RuleResult) => RuleResult {
  let over = false;
  return (result) => {
    if (over) return { ...result, outcome: 'not-reached', why: '', hint: '', said: [], error: undefined };
    over = result.outcome === 'refuse';
    return result;
  };
}

const OUTCOMES = { pass: 'pass', note: 'note', refuse: 'refuse', 'cannot tell': 'unknown' } as const;

function resultOf(rule: string, verdicts: readonly RuleVerdict[]): RuleResult {
  const own = verdicts.find((one) => one.rule === rule);
  const base = { rule, title: TITLES[rule] ?? rule, said: [], hint: own?.hint ?? '' };
  if (own === undefined) return { ...base, outcome: 'not-reached', why: '' };
  const result = { ...base, outcome: OUTCOMES[own.verdict], why: own.why };
  if (own.verdict !== 'refuse') return result;
  const error = win32Error(own.status);
  return {
    ...result,
    // What `sc start` prints of it.
    said: [{ level: undefined, text: `[SC] StartService FAILED ${error}: ${errorText(error)}` }],
    error: { name: statusText(own.status).split(' ')[0], number: own.status >>> 0 },
  };
}

interface Judged {
  readonly verdicts: RuleVerdict[];
  readonly missing: MissingInput[];
  readonly symbols: SymbolProblem[];
  readonly first: { name: string; from: string }[];
  readonly remarks: string[];
}

function judge(file: WindowsKernelFile, request: CheckRequest, bytes: Uint8Array): Judged {
  const out: Judged = { verdicts: [], missing: [], symbols: [], first: [], remarks: [] };
  let pe: PeFile;
  try {
    pe = readPe(bytes);
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    const why = `The file is damaged: ${error.message}.`;
    out.verdicts.push({ rule: 'image-format', verdict: 'refuse', status: Status.INVALID_IMAGE_FORMAT, why });
    return out;
  }
  out.verdicts.push({ rule: 'image-format', verdict: 'pass', status: 0, why: 'it can be read' });
  const policy = policyOf(file, request);
  const catalogs = paths(request, 'catalogs').map((path) => readCatalog(new Uint8Array(readFileSync(path))));
  const signature = examineSignature(pe, policy.roots, catalogs);
  out.verdicts.push(...imageRules(policy, pe));
  for (const verdict of signingRules(policy, { pe, signature }))
    out.verdicts.push(withRoots(verdict, policy, signature, out));
  imports(file, request, pe, out);
  return out;
}

/** Who is trusted was not said: a signature that holds may be good or not. */
function withRoots(
  verdict: RuleVerdict,
  policy: ImagePolicy,
  facts: SignatureFacts,
  out: Judged,
): RuleVerdict {
  if (verdict.rule !== 'code-signing' || verdict.verdict !== 'refuse') return verdict;
  if (facts.state !== 'valid' || policy.roots.length > 0) return verdict;
  out.missing.push(ROOTS);
  return {
    rule: verdict.rule,
    verdict: 'cannot tell',
    status: 0,
    why: `The signature holds (${facts.detail}); whom the kernel trusts is not known.`,
  };
}

const read = (path: string, name: string): Uint8Array => {
  if (!existsSync(path))
    throw new SettingError(`${name}=${path}: there is no such file`, 'the path of a file is wanted');
  return new Uint8Array(readFileSync(path));
};

function paths({ settings }: CheckRequest, name: Name): string[] {
  const found = (settings.get(name) ?? '').split(',').filter((one) => one !== '');
  for (const path of found) read(path, name);
  return found;
}

function policyOf({ release, machine }: WindowsKernelFile, request: CheckRequest): ImagePolicy {
  const flag = (name: Name, otherwise: boolean) => {
    const value = request.settings.get(name);
    if (value !== undefined && value !== 'on' && value !== 'off')
      throw new SettingError(`${name}=${value}: on or off is wanted`, `${name}=on, ${name}=off`);
    return value === undefined ? otherwise : value === 'on';
  };
  const given = paths(request, 'roots').flatMap((path) => readCertificates(read(path, 'roots')));
  const trusted = (request.certificates ?? []).flatMap((one) => readCertificates(one));
  const hashes = paths(request, 'blocklist').flatMap((path) => [
    ...new TextDecoder('latin1')
      .decode(read(path, 'blocklist'))
      .toLowerCase()
      .matchAll(/^([0-9a-f]{40}|[0-9a-f]{64})\b/gm),
  ]);
  return {
    release,
    machine,
    processors: 1,
    secureBoot: flag('secureboot', false),
    testSigning: flag('testsigning', false),
    noIntegrityChecks: !flag('integrity', true),
    hvci: flag('hvci', false),
    blocked: new Set(hashes.map(([, hash]) => hash)),
    roots: [...given, ...trusted].map(({ der }) => der),
  };
}

/** Names and ordinals, library by library: the kernel's own, those beside it, and the other files of the command line. */
function imports(file: WindowsKernelFile, request: CheckRequest, pe: PeFile, out: Judged): void {
  const fail = (status: number, why: string, hint?: string) => {
    out.verdicts.push({ rule: 'imports', verdict: 'refuse', status, why, hint });
  };
  const unknown: string[] = [];
  let count = 0;
  for (const library of readImports(pe)) {
    if (isUserModeName(library.library)) {
      fail(
        Status.PROCEDURE_NOT_FOUND,
        `The driver imports from ${library.library}, which only user mode has.`,
      );
      return;
    }
    const stem = isKernelName(library.library) ? kernelStem(library.library) : stemOf(library.library);
    const companion =
      file.libraries.has(stem) || isKernelName(library.library) ? undefined : companionOf(request, stem);
    if (companion !== undefined) out.first.push({ name: stem, from: companion.path });
    for (const { name, ordinal } of library.imports) {
      count++;
      const has =
        companion === undefined
          ? name !== undefined && exportsName(file, stem, name)
          : companion.has(name, ordinal);
      if (has === undefined) unknown.push(library.library);
      else if (!has) out.symbols.push(problem(library, name ?? `#${ordinal}`));
    }
  }
  const [first] = out.symbols;
  if (first !== undefined)
    fail(
      first.name.startsWith('#') ? Status.DRIVER_ORDINAL_NOT_FOUND : Status.DRIVER_ENTRYPOINT_NOT_FOUND,
      `${out.symbols.length} of ${count} imports are not exported, the first is ${first.name}.`,
      'The driver may be built for a newer release; MmGetSystemRoutineAddress asks at run time instead.',
    );
  else if (unknown.length > 0) {
    const names = [...new Set(unknown)].join(', ');
    out.missing.push({ what: `the exports of ${names}`, how: 'give ntoskrnl.exe in a folder with them' });
    out.verdicts.push({
      rule: 'imports',
      verdict: 'cannot tell',
      status: 0,
      why: `what ${names} export is not known`,
    });
  } else
    out.verdicts.push({ rule: 'imports', verdict: 'pass', status: 0, why: `${count} imports are exported` });
}

const kernelStem = (library: string): string => (/^hal/i.test(library) ? 'hal' : 'ntoskrnl');

const problem = ({ library }: PeImportLibrary, name: string): SymbolProblem => ({
  name,
  kind: 'missing',
  owner: stemOf(library),
  why: `${library} does not export it`,
});

function companionOf({ companions = [] }: CheckRequest, stem: string) {
  const path = companions.find((one) => stemOf(one) === stem);
  if (path === undefined) return undefined;
  const kernel = readKernelExports(path);
  return kernel === undefined ? undefined : { path, has: kernel };
}

function readKernelExports(
  path: string,
): ((name: string | undefined, ordinal: number | undefined) => boolean) | undefined {
  try {
    const entries = readExportsOf(path);
    return (name, ordinal) =>
      entries.some((one) => (name === undefined ? one.ordinal === ordinal : one.name === name));
  } catch (error) {
    if (error instanceof FormatError) return undefined;
    throw error;
  }
}

const readExportsOf = (path: string) =>
  readExports(readPe(new Uint8Array(readFileSync(path))))?.entries ?? [];

export const windowsChecker: SystemChecker = new WindowsChecker();
