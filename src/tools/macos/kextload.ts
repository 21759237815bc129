/** kextload(8) and kextunload(8). */
import { FormatError } from '../../bytes/errors.ts';
import type { Kext } from '../../systems/macos/library.ts';
import { osReturnText } from '../../systems/macos/os-return.ts';
import type { ToolResult } from '../system.ts';
import { Answer, type Tool } from './answer.ts';
import { failedText, kextAt, kextNamed, loadFromDisk, unloadInto } from './loading.ts';
import { type OptionSpec, parseOptions } from './options.ts';
import type { MacosSession } from './session.ts';

/** sysexits(3) */
const EX_USAGE = 64;
const EX_NOPERM = 77;
const SYSTEM_POLICY = 27;

const LOAD_OPTIONS: readonly OptionSpec[] = [
  { letter: 'b', long: 'bundle-id', value: true },
  { letter: 'd', long: 'dependency', value: true },
  { letter: 'r', long: 'repository', value: true },
  { letter: 'q', long: 'quiet' },
  { letter: 'h', long: 'help' },
];

const LOAD_USAGE =
  'usage: kextload [-h] [-v [0-6]]\n        [-d <extension>] ... [-r <directory>] ... \n        [--] [<kext>] ...';

export const kextload: Tool = {
  name: 'kextload',
  usage: '[-b ID] [-d KEXT] [-r FOLDER] [-v [0-6]] [KEXT]...',
  summary: 'load kernel extensions',
  run: async (session, args) => {
    const { flags, values, operands, verbosity, unknown } = parseOptions(args, LOAD_OPTIONS);
    if (flags.has('help')) return { code: 0, out: `${LOAD_USAGE}\n`, err: '' };
    if (unknown !== undefined)
      return {
        code: EX_USAGE,
        out: '',
        err: `kextload: illegal option -- ${unknown.replace(/^-+/, '')}\n${LOAD_USAGE}\n`,
      };
    const identifiers = values.get('bundle-id') ?? [];
    const quiet = flags.has('quiet');
    if (operands.length + identifiers.length === 0) {
      const text =
        'No kernel extensions specified; name kernel extension bundles\n    following options, or use -bundle-id (-b).';
      return { code: EX_USAGE, out: '', err: `${text}\n${LOAD_USAGE}\n` };
    }
    const answer = new Answer();
    const repositories = [...(values.get('repository') ?? []), ...(values.get('dependency') ?? [])].map(
      (word) => session.locate(word) ?? session.absolute(word),
    );
    await session.prepareSignatures(session.kexts(repositories));
    for (const identifier of identifiers) {
      const kext = kextNamed(session, identifier, repositories);
      if (kext === undefined)
        fail(
          answer,
          `${identifier} failed to load - ${osReturnText('NotFound')}; check the system/kernel logs for errors or try kextutil(8).`,
          quiet,
        );
      else loadOne(session, kext, identifier, answer, { repositories, quiet, verbosity });
    }
    for (const word of operands) {
      const kext = kextAt(session, word);
      if (kext === undefined)
        fail(
          answer,
          `${word} failed to load - file/directory not found; check the system/kernel logs for errors or try kextutil(8).`.replace(
            'file/directory not found',
            osReturnText('NotFound'),
          ),
          quiet,
        );
      else if (kext instanceof FormatError) {
        fail(answer, failedText(word, 'NotAKext'), quiet);
        answer.explain(kext.message);
      } else {
        await session.prepareSignatures([kext]);
        loadOne(session, kext, session.absolute(word), answer, { repositories, quiet, verbosity });
      }
    }
    return answer.result();
  },
};

function fail(answer: Answer, text: string, quiet: boolean, code = 71): void {
  answer.code = code;
  if (!quiet) answer.complain(text);
}

function loadOne(
  session: MacosSession,
  kext: Kext,
  name: string,
  answer: Answer,
  { repositories, quiet, verbosity }: { repositories: readonly string[]; quiet: boolean; verbosity: number },
): void {
  const result = loadFromDisk(session, kext, answer, { repositories });
  if (result.code === 'Success') {
    if (verbosity >= 2 && !quiet) answer.print(`${name} loaded successfully (or already loaded).`);
    return;
  }
  if (!result.complete) return;
  if (verbosity >= 3) for (const line of result.kernel) answer.complain(`(kernel) ${line}`);
  const code =
    result.code === 'SystemPolicy' ? SYSTEM_POLICY : result.code === 'NotPrivileged' ? EX_NOPERM : 71;
  fail(answer, failedText(name, result.code), quiet, code);
  answer.explain(result.note);
}

const UNLOAD_OPTIONS: readonly OptionSpec[] = [
  { letter: 'b', long: 'bundle-id', value: true },
  { letter: 'm', long: 'module', value: true },
  { letter: 'c', long: 'class-name', value: true },
  { letter: 'p', long: 'personalities-only' },
  { letter: 'q', long: 'quiet' },
  { letter: 'h', long: 'help' },
];
const UNLOAD_USAGE =
  'usage: kextunload [-h] [-v [0-6]] [-p] [-c <class name>] ... [-b <bundle identifier>] ... [--] [<kext>] ...';
const NOT_FOUND = 1;
const NOT_PRIVILEGED = 2;
const PARTIAL = 3;

export const kextunload: Tool = {
  name: 'kextunload',
  usage: '[-b ID] [-v [0-6]] [KEXT]...',
  summary: 'stop and unload kernel extensions',
  run: (session, args): ToolResult => {
    const { flags, values, operands, unknown } = parseOptions(args, UNLOAD_OPTIONS);
    if (flags.has('help')) return { code: 0, out: `${UNLOAD_USAGE}\n`, err: '' };
    if (unknown !== undefined)
      return {
        code: EX_USAGE,
        out: '',
        err: `kextunload: illegal option -- ${unknown.replace(/^-+/, '')}\n${UNLOAD_USAGE}\n`,
      };
    if (operands.length === 0 && !['bundle-id', 'module', 'class-name'].some((name) => values.has(name)))
      return { code: EX_USAGE, out: '', err: `${UNLOAD_USAGE}\n` };
    if (session.uid !== 0)
      return { code: NOT_PRIVILEGED, out: '', err: 'You must be running as root to unload kexts.\n' };
    const identifiers = [...(values.get('bundle-id') ?? []), ...(values.get('module') ?? [])];
    const answer = new Answer();
    for (const word of operands) {
      const kext = kextAt(session, word);
      if (kext === undefined || kext instanceof FormatError) {
        answer.complain(`Kext ${word} not found.`);
        answer.code = NOT_FOUND;
      } else identifiers.push(kext.identifier);
    }
    let failed = answer.code === 0 ? 0 : 1;
    for (const identifier of identifiers) if (unloadInto(session, identifier, answer) !== 'Success') failed++;
    const all = identifiers.length + (answer.code !== 0 && operands.length > identifiers.length ? 1 : 0);
    if (failed > 0) answer.code = failed < all ? PARTIAL : answer.code === 0 ? NOT_FOUND : answer.code;
    return answer.result();
  },
};
