/**
 * kmutil(8), from macOS 11 on. Its source is not published: subcommands, options, columns and errors are those of its manual
 * page and of transcripts; where neither has words, it says nothing and the note is ours.
 */
import { FormatError } from '../../bytes/errors.ts';
import { readMachO } from '../../formats/macho/read.ts';
import type { Kext } from '../../systems/macos/library.ts';
import type { ToolResult } from '../system.ts';
import { Answer, type Tool } from './answer.ts';
import { kextfind } from './kextfind/kextfind.ts';
import { kextlibs } from './kextlibs.ts';
import { statText } from './kextstat.ts';
import { CODE, notFound, refused, requestFailed } from './kmutil-errors.ts';
import { diagnosticsOf, kextAt, kextNamed, loadFromDisk, policyView, unloadInto } from './loading.ts';
import { type OptionSpec, type Parsed, parseOptions } from './options.ts';
import type { MacosSession } from './session.ts';
import { EX_USAGE } from './sysexits.ts';

const SUBCOMMANDS: readonly (readonly [name: string, summary: string])[] = [
  ['create', 'Create one or more new artifacts based on the arguments provided.'],
  ['load', 'Load one or more extensions based on the arguments provided.'],
  ['unload', 'Unload the named kexts and all personalities.'],
  ['log', 'Display logging information about the KernelManagement subsystem.'],
  ['libraries', 'Search for library kexts that define symbols needed for linking by a kernel extension.'],
  ['dumpstate', 'Dumps kernelmanagerd(8) state for debugging'],
  ['inspect', "Inspect & display a kext collection's contents according to the options provided."],
  ['clear-staging', 'Clears all contents of the kext staging locations on the system'],
  ['find', 'Find kexts available on the operating system.'],
  ['showloaded', 'Show the loaded state of the extensions on the system, according to the options provided.'],
  [
    'trigger-panic-medic',
    `Delete and disable loading of third party kexts in order to safely boot into a target volume. (can only be triggered in Recovery mode)\n${' '.repeat(26)}eg usage: \`kmutil trigger-panic-medic --volume-root /Volumes/<VolumeName>\``,
  ],
  [
    'check',
    'Check the consistency of kext collections against each other and/or load information in-kernel.',
  ],
  [
    'print-diagnostics',
    'Perform all possible tests on a specified kext, and indicate whether the kext is loadable.',
  ],
];

const COMMON: readonly OptionSpec[] = [
  { letter: 'b', long: 'bundle-identifier', value: true },
  { letter: 'p', long: 'bundle-path', value: true },
  { letter: 'r', long: 'repository', value: true },
  { letter: 'e', long: 'no-default-repositories' },
  { letter: 'z', long: 'no-authentication' },
  { letter: 'a', long: 'arch', value: true },
  { letter: 'V', long: 'variant-suffix', value: true },
  { letter: 'h', long: 'help' },
];
/** What an option's value is called in help; else it is called as the option. */
const VALUE_NAMES: Readonly<Record<string, string>> = {
  'bundle-identifier': 'bundle identifier',
  'bundle-path': 'path',
  repository: 'directory',
};
const value = (long: string, letter = ''): OptionSpec => ({ letter, long, value: true });
const flag = (long: string, letter = ''): OptionSpec => ({ letter, long });

const OPTIONS: Readonly<Record<string, readonly OptionSpec[]>> = {
  load: [value('personality-name', 'P'), value('load-style')],
  unload: [value('class-name', 'c'), flag('personalities-only', 'P')],
  showloaded: [
    ...['list-only', 'sort', 'arch-info', 'no-kernel-components', 'show-kernel', 'show-mach-headers'].map(
      (name) => flag(name),
    ),
    value('show'),
    value('collection'),
  ],
  find: [value('optional-identifier'), flag('kernel')],
  libraries: [
    flag('compatible-versions', 'c'),
    ...['all-symbols', 'onedef-symbols', 'multdef-symbols', 'undef-symbols', 'unsupported', 'xml'].map(
      (name) => flag(name),
    ),
  ],
  'print-diagnostics': [
    flag('no-resolve-dependencies', 'Z'),
    flag('diagnose-dependencies', 'D'),
    flag('plugins'),
    flag('do-staging'),
  ],
  inspect: [flag('show-kext-uuids'), flag('show-kext-load-addresses'), value('auxiliary-path', 'A')],
  check: [flag('collection-linkage'), flag('load-info'), flag('kernel-only'), value('collection')],
  create: [
    value('new', 'n'),
    value('boot-path', 'B'),
    value('system-path', 'S'),
    value('auxiliary-path', 'A'),
    value('kernel', 'k'),
    flag('allow-missing-kdk'),
  ],
  dumpstate: [],
  log: [],
  'clear-staging': [],
  'trigger-panic-medic': [value('volume-root')],
};

export const kmutil: Tool = {
  name: 'kmutil',
  usage: 'load|unload|showloaded|find|libraries|print-diagnostics|inspect|check|log ...',
  summary: 'manage kernel extensions and collections (macOS 11 and later)',
  run: async (session, args) => {
    if (!session.choices.release.collections)
      return { code: 127, out: '', err: '-sh: kmutil: command not found\n', note: 'it came with macOS 11' };
    const [name = '', ...rest] = args;
    if (name === '' || name === '-h' || name === '--help') return { code: 0, out: overview(), err: '' };
    if (name === 'help') return { code: 0, out: helpOf(rest[0] ?? '') ?? overview(), err: '' };
    const own = OPTIONS[name];
    if (own === undefined) return usage(`Unexpected argument '${name}'`);
    const parsed = parseOptions(rest, [...own, ...COMMON]);
    if (parsed.unknown !== undefined) return usage(`Unknown option '${parsed.unknown}'`, name);
    if (parsed.flags.has('help')) return { code: 0, out: helpOf(name) ?? overview(), err: '' };
    return await run(session, name, parsed);
  },
};

/** As macOS 11.2 prints it; the version is that of its tool. */
function overview(): string {
  const rows = SUBCOMMANDS.map(([name, summary]) => `  ${name.padEnd(23)} ${summary}\n`);
  return `OVERVIEW: kmutil: KernelManagement Utility (KernelManagement_executables-102.60.20)\n\nUSAGE: kmutil <subcommand>\n\nOPTIONS:\n  -h, --help              Show help information.\n\nSUBCOMMANDS:\n${rows.join('')}\n  See 'kmutil help <subcommand>' for detailed help.\n`;
}

/** The options of one subcommand; descriptions of them are not known, and left out. */
function helpOf(name: string): string | undefined {
  const summary = SUBCOMMANDS.find(([one]) => one === name)?.[1];
  const own = OPTIONS[name];
  if (summary === undefined || own === undefined) return undefined;
  const rows = [...own, ...COMMON].map((option) => {
    const { letter, long } = option;
    const names = letter === '' ? `--${long}` : `-${letter}, --${long}`;
    return `  ${option.value === true ? `${names} <${VALUE_NAMES[long] ?? long}>` : names}\n`;
  });
  return `OVERVIEW: ${summary}\n\nUSAGE: kmutil ${name} [<options>]\n\nOPTIONS:\n${rows.join('')}`;
}

const usage = (problem: string, name?: string): ToolResult => ({
  code: EX_USAGE,
  out: '',
  err: `Error: ${problem}\nUsage: kmutil ${name ?? '<subcommand>'}\n`,
});

async function run(session: MacosSession, name: string, parsed: Parsed): Promise<ToolResult> {
  const answer = new Answer();
  switch (name) {
    case 'load':
      await load(session, parsed, answer);
      break;
    case 'unload':
      return unload(session, parsed, answer);
    case 'showloaded':
      showLoaded(session, parsed, answer);
      break;
    case 'find':
      return await kextfind.run(session, findQuery(parsed));
    case 'libraries':
      return await kextlibs.run(session, librariesWords(parsed));
    case 'print-diagnostics':
      await diagnose(session, parsed, answer);
      break;
    case 'create':
      create(session, parsed, answer);
      break;
    case 'dumpstate':
      dumpState(session, answer);
      break;
    case 'check':
      check(session, parsed, answer);
      break;
    case 'log':
      for (const { text } of session.kernel.log.records) answer.print(text);
      break;
    case 'inspect':
      inspect(session, parsed, answer);
      break;
    case 'trigger-panic-medic':
      panicMedic(session, answer);
      break;
    default:
    // Nothing is staged: nothing to say.
  }
  return answer.result();
}

interface Named {
  readonly word: string;
  readonly kext: Kext | FormatError | undefined;
}

/** Kexts by path and by identifier, in this order. */
function named(session: MacosSession, { values }: Parsed): { list: Named[]; repositories: string[] } {
  const repositories = (values.get('repository') ?? []).map(
    (word) => session.locate(word) ?? session.absolute(word),
  );
  const paths = (values.get('bundle-path') ?? []).map((word) => ({ word, kext: kextAt(session, word) }));
  const identifiers = (values.get('bundle-identifier') ?? []).map((word) => ({
    word,
    kext: kextNamed(session, word, repositories),
  }));
  return { list: [...paths, ...identifiers], repositories };
}

async function load(session: MacosSession, parsed: Parsed, answer: Answer): Promise<void> {
  const { list, repositories } = named(session, parsed);
  if (list.length === 0) {
    answer.complain('Error: At least one bundle identifier or path must be specified.');
    answer.code = EX_USAGE;
    return;
  }
  for (const { word, kext } of list) {
    if (kext === undefined || kext instanceof FormatError) {
      notFound(session, answer, word, kext);
      continue;
    }
    await session.prepareSignatures([kext, ...session.kexts(repositories)]);
    const withoutAuthentication = parsed.flags.has('no-authentication');
    // What kernelmanagerd writes of it is not known.
    const hear = (): void => undefined;
    const result = loadFromDisk(session, kext, answer, { repositories, withoutAuthentication, hear });
    if (result.code === 'Success' || !result.complete) continue;
    refused(session, kext, result, answer);
    answer.explain(result.note);
  }
}

function unload(session: MacosSession, parsed: Parsed, answer: Answer): ToolResult {
  if (session.uid !== 0) {
    requestFailed(answer, 'NotPrivileged');
    return answer.result();
  }
  for (const { word, kext } of named(session, parsed).list) {
    if (word.includes('/') && (kext === undefined || kext instanceof FormatError)) {
      notFound(session, answer, word, kext);
      continue;
    }
    const identifier = kext === undefined || kext instanceof FormatError ? word : kext.identifier;
    const silent = new Answer();
    const code = unloadInto(session, identifier, silent);
    answer.explain(silent.result().note);
    if (code !== 'Success') requestFailed(answer, code);
  }
  return answer.result();
}

/** The table of kextstat, with the kernel's own marks for nothing. */
function showLoaded(session: MacosSession, { flags, values }: Parsed, answer: Answer): void {
  answer.complain('No variant specified, falling back to release');
  const kinds = values.get('collection') ?? [];
  if (
    values.get('show')?.includes('unloaded') === true ||
    (kinds.length > 0 && kinds.every((one) => one === 'codeless'))
  )
    return;
  answer.out += statText(session, {
    flags: new Set([
      ...(flags.has('arch-info') ? ['arch'] : []),
      ...(flags.has('no-kernel-components') ? ['no-kernel'] : []),
      ...['list-only', 'sort'].filter((name) => flags.has(name)),
    ]),
    identifiers: values.get('bundle-identifier') ?? [],
    empty: ' <>',
  });
}

function findQuery({ values }: Parsed): string[] {
  const identifiers = (values.get('bundle-identifier') ?? []).flatMap((one, i) => [
    ...(i === 0 ? [] : ['-or']),
    '-b',
    one,
  ]);
  const folders = [...(values.get('repository') ?? []), ...(values.get('bundle-path') ?? [])];
  return [...folders.flatMap((one) => ['-f', one]), ...identifiers];
}

/** kextlibs knows the same questions under the same names. */
function librariesWords({ flags, values, operands }: Parsed): string[] {
  const kexts = [...(values.get('bundle-path') ?? []), ...operands];
  const known = (OPTIONS.libraries ?? []).map(({ long }) => long).filter((name) => flags.has(name));
  const repositories = (values.get('repository') ?? []).flatMap((one) => ['-r', one]);
  return [...known.map((name) => `-${name}`), ...repositories, ...kexts];
}

async function diagnose(session: MacosSession, parsed: Parsed, answer: Answer): Promise<void> {
  const { list } = named(session, parsed);
  for (const { word, kext } of list) {
    if (kext === undefined || kext instanceof FormatError) {
      answer.explain(kext?.message ?? `there is no ${word}`);
      answer.code = 1;
      continue;
    }
    const plugIns = parsed.flags.has('plugins')
      ? kext.bundle.plugIns.map((path) => session.library.open(path))
      : [];
    await session.prepareSignatures([kext, ...plugIns]);
    for (const one of [kext, ...plugIns]) {
      const all = diagnosticsOf(session, one, !parsed.flags.has('no-resolve-dependencies'));
      if (all.findings.length === 0) answer.explain(`nothing was found against ${one.path}`);
      else answer.out += all.text(one.path);
      if (all.findings.some(({ group }) => group !== 'warnings')) answer.code = 1;
    }
  }
}

/** What takes part in the auxiliary collection. */
function inspect(session: MacosSession, { flags }: Parsed, answer: Answer): void {
  for (const kext of session.kexts()) {
    if (!session.records.collection.has(kext.identifier)) continue;
    const uuid = flags.has('show-kext-uuids') ? ` ${session.loaded(kext.identifier)?.uuid ?? ''}` : '';
    answer.print(`${kext.identifier} (${kext.info.versionText ?? ''})${uuid}`);
  }
}

/**
 * -n aux: the auxiliary collection is put together anew from what is installed and approved; it counts from the next start
 * on, as the machine keeps it. The other collections are the system's own.
 */
function create(session: MacosSession, { values }: Parsed, answer: Answer): void {
  const kinds = (values.get('new') ?? []).flatMap((one) => one.split(' '));
  answer.complain('No variant specified, falling back to release');
  if (kinds.length === 0 || kinds.some((kind) => kind !== 'aux') || values.has('auxiliary-path')) {
    answer.code = EX_USAGE;
    answer.explain('only -n aux without a path is here: the collection of this machine, not the file of one');
    return;
  }
  const { approved } = policyView(session);
  for (const kext of session.kexts())
    if (!kext.inSystem && approved(kext)) session.records.collection.add(kext.identifier);
}

/** What is recorded of the machine's kexts; the format is ours. */
function dumpState({ records, csr }: MacosSession, answer: Answer): void {
  answer.print(`csr 0x${csr.toString(16)}`);
  for (const one of records.approved) answer.print(`approved ${one}`);
  for (const one of records.collection) answer.print(`auxiliary collection ${one}`);
  answer.explain('the format is not that of kernelmanagerd');
}

/** Loaded kexts of the auxiliary collection and their bundles must be of one version and executable; nothing is said of a match. */
function check(session: MacosSession, _parsed: Parsed, answer: Answer): void {
  for (const kext of session.kexts()) {
    const loaded = session.loaded(kext.identifier);
    if (loaded === undefined || loaded.isKernelComponent) continue;
    const uuid = kext.executable === undefined ? undefined : readMachO(kext.executable).uuid;
    if (loaded.versionText === kext.info.versionText && (uuid === undefined || uuid === loaded.uuid))
      continue;
    answer.code = CODE.other;
    answer.explain(`${kext.path} is not what is loaded: ${loaded.versionText} ${loaded.uuid ?? ''}`);
  }
}

function panicMedic(session: MacosSession, answer: Answer): void {
  if (session.halted === undefined) {
    answer.explain('only the recovery system can do that');
    answer.code = 1;
    return;
  }
  session.records.approved.clear();
  session.records.collection.clear();
}
