/** kextlibs(8): which libraries a kext's symbols come from. */
import { FormatError } from '../../bytes/errors.ts';
import { readMachO } from '../../formats/macho/read.ts';
import { KPI_KEXTS } from '../../systems/macos/kpi.ts';
import type { Kext } from '../../systems/macos/library.ts';
import { Answer, type Tool } from './answer.ts';
import { kextAt } from './loading.ts';
import { type OptionSpec, parseOptions } from './options.ts';
import type { MacosSession } from './session.ts';

const OPTIONS: readonly OptionSpec[] = [
  { letter: 'c', long: 'compatible-versions' },
  { letter: '', long: 'undef-symbols' },
  { letter: '', long: 'unsupported' },
  { letter: '', long: 'xml' },
  { letter: 'h', long: 'help' },
];
const USAGE = 'usage: kextlibs [-h] [-c] [-undef-symbols] [-unsupported] [-xml] [--] <kext>';
const EX_USAGE = 64;
/** Interfaces that are not offered unless asked for. */
const RESERVED = /\.(unsupported|private|dsep)$/;

export const kextlibs: Tool = {
  name: 'kextlibs',
  usage: '[-c] [-undef-symbols] [-unsupported] [-xml] KEXT',
  summary: 'find the libraries that a kernel extension needs',
  run: (session, args) => {
    const { flags, operands, unknown } = parseOptions(args, OPTIONS);
    if (flags.has('help')) return { code: 0, out: `${USAGE}\n`, err: '' };
    const [word] = operands;
    if (unknown !== undefined || word === undefined) return { code: EX_USAGE, out: '', err: `${USAGE}\n` };
    const kext = kextAt(session, word);
    if (kext === undefined || kext instanceof FormatError)
      return { code: EX_USAGE, out: '', err: `Can't create kernel extension from ${word}.\n` };
    return report(session, kext, flags).result();
  },
};

function report(session: MacosSession, kext: Kext, flags: ReadonlySet<string>): Answer {
  const answer = new Answer();
  const symbols =
    kext.executable === undefined ? [] : (readMachO(kext.executable).symbols()?.undefined ?? []);
  const libraries = new Map<string, string>();
  const absent: string[] = [];
  const others = session
    .kexts()
    .filter(({ info, identifier }) => info.isLibrary && identifier !== kext.identifier);
  for (const { name } of symbols) {
    const owners = session.kernel.kpi.owners(name).map(({ owner }) => owner);
    const owner = owners.find((one) => flags.has('unsupported') || !RESERVED.test(one));
    const library = owner === undefined ? others.find((one) => exportsOf(one).has(name)) : undefined;
    if (owner !== undefined) libraries.set(owner, versionOf(session, owner, flags));
    else if (library !== undefined) {
      const version = flags.has('compatible-versions')
        ? library.info.text('OSBundleCompatibleVersion')
        : library.info.versionText;
      libraries.set(library.identifier, version ?? '');
    } else absent.push(name);
  }
  print(answer, libraries, flags.has('xml'));
  if (absent.length === 0) return answer;
  answer.code = 1;
  answer.complain(
    `    ${absent.length} symbol${absent.length === 1 ? '' : 's'} not found in any library kext`,
  );
  if (flags.has('undef-symbols')) for (const name of absent) answer.complain(`        ${name}`);
  return answer;
}

function versionOf(session: MacosSession, owner: string, flags: ReadonlySet<string>): string {
  if (!flags.has('compatible-versions')) return session.choices.release.darwin;
  return KPI_KEXTS.find(({ identifier }) => identifier === owner)?.compatible ?? '';
}

function exportsOf(kext: Kext): ReadonlySet<string> {
  try {
    const bytes = kext.executable;
    return new Set(
      bytes === undefined ? [] : (readMachO(bytes).symbols()?.exports ?? []).map(({ name }) => name),
    );
  } catch (error) {
    if (error instanceof FormatError) return new Set();
    throw error;
  }
}

function print(answer: Answer, libraries: ReadonlyMap<string, string>, xml: boolean): void {
  const sorted = [...libraries].sort(([a], [b]) => (a < b ? -1 : 1));
  if (xml) {
    answer.print('\t<key>OSBundleLibraries</key>\n\t<dict>');
    for (const [name, version] of sorted)
      answer.print(`\t\t<key>${name}</key>\n\t\t<string>${version}</string>`);
    answer.print('\t</dict>');
    return;
  }
  answer.complain('For all architectures:');
  if (sorted.length === 0) answer.complain('    No libraries found.');
  for (const [name, version] of sorted) answer.print(`    ${name} = ${version}`);
}
