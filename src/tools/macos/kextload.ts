/**
 * kextload(8) (kext_tools kextload_main.c). It asks kextd, which loads: what kextd and the kernel say of it stands in the
 * machine's log, not here.
 */
import { FormatError } from '../../bytes/errors.ts';
import type { Kext } from '../../systems/macos/library.ts';
import type { OsReturnName } from '../../systems/macos/os-return.ts';
import { LOUDNESS } from '../../systems/macos/words.ts';
import { Answer, type Tool } from './answer.ts';
import { announceFilter, failedText, kextAt, kextNamed, loadFromDisk } from './loading.ts';
import { type OptionSpec, type Parsed, parseOptions } from './options.ts';
import type { MacosSession } from './session.ts';
import { EX_NOPERM, EX_USAGE } from './sysexits.ts';

/** sysexits(3) */
const EX_OSERR = 71;
const SYSTEM_POLICY = 27;

const OPTIONS: readonly OptionSpec[] = [
  { letter: 'b', long: 'bundle-id', value: true },
  { letter: 'c', long: 'no-caches' },
  { letter: 'd', long: 'dependency', value: true },
  { letter: 'D', long: 'no-loaded-check' },
  { letter: 'r', long: 'repository', value: true },
  { letter: 'q', long: 'quiet' },
  { letter: 't', long: 'tests' },
  { letter: 'h', long: 'help' },
];
/** Options of older releases that do nothing any more, with what is said of them. */
const IGNORED: readonly (readonly [long: string, notice: string])[] = [
  ['no-caches', 'Notice: -no-caches (-c) ignored; use kextutil(8) to test kexts.'],
  ['no-loaded-check', 'Notice: -no-loaded-check (-D) ignored.'],
  ['tests', 'Notice: -tests (-t) ignored; use kextutil(8) to test kexts.'],
];

const USAGE =
  'usage: kextload [-h] [-v [0-6]]\n        [-d <extension>] ... [-r <directory>] ... \n        [--] [<kext>] ...\n';
const NO_KEXTS =
  'No kernel extensions specified; name kernel extension bundles\n    following options, or use -bundle-id (-b).\n';

export const kextload: Tool = {
  name: 'kextload',
  usage: '[-b ID] [-d KEXT] [-r FOLDER] [-v [0-6]] [KEXT]...',
  summary: 'load kernel extensions',
  run: async (session, args) => {
    const parsed = parseOptions(args, OPTIONS);
    const { flags, values, operands, unknown } = parsed;
    if (flags.has('help')) return { code: 0, out: '', err: USAGE };
    if (unknown !== undefined) {
      const name = unknown.replace(/^-+/, '');
      const err = `kextload: unrecognized option \`-${name}'\nUse kextutil(8) for development loading of kexts.\n${USAGE}`;
      return { code: EX_USAGE, out: '', err };
    }
    if (operands.length === 0 && !values.has('bundle-id'))
      return { code: EX_USAGE, out: '', err: `${NO_KEXTS}${USAGE}` };
    return (await new Request(session, parsed).run()).result();
  },
};

class Request {
  private readonly session: MacosSession;
  private readonly parsed: Parsed;
  private readonly repositories: readonly string[];
  private readonly answer = new Answer();

  constructor(session: MacosSession, parsed: Parsed) {
    this.session = session;
    this.parsed = parsed;
    this.answer.filter = parsed.flags.has('quiet') ? 0 : parsed.filter;
    const words = ['repository', 'dependency'].flatMap((name) => parsed.values.get(name) ?? []);
    this.repositories = words.map((word) => session.locate(word) ?? session.absolute(word));
  }

  async run(): Promise<Answer> {
    const { session, parsed, answer } = this;
    announceFilter(answer);
    for (const [long, notice] of IGNORED) if (parsed.flags.has(long)) answer.log(LOUDNESS.warning, notice);
    await session.prepareSignatures(session.kexts(this.repositories));
    for (const identifier of parsed.values.get('bundle-id') ?? [])
      await this.one(kextNamed(session, identifier, this.repositories), identifier);
    for (const word of parsed.operands) await this.one(kextAt(session, word), session.absolute(word));
    return answer;
  }

  private async one(kext: Kext | FormatError | undefined, name: string): Promise<void> {
    const { session, answer, repositories } = this;
    answer.log(LOUDNESS.basic, `Requesting load of ${name}.`);
    if (kext === undefined) {
      this.failed(name, 'NotFound');
      return;
    }
    if (kext instanceof FormatError) {
      this.failed(name, 'NotAKext');
      answer.explain(kext.message);
      return;
    }
    await session.prepareSignatures([kext]);
    const { code, complete, note } = loadFromDisk(session, kext, answer, { repositories });
    if (code === 'Success') answer.log(LOUDNESS.basic, `${name} loaded successfully (or already loaded).`);
    else if (complete) {
      this.failed(name, code);
      answer.explain(note);
    }
  }

  private failed(name: string, code: OsReturnName): void {
    this.answer.log(LOUDNESS.error, failedText(name, code));
    this.answer.code =
      code === 'SystemPolicy' ? SYSTEM_POLICY : code === 'NotPrivileged' ? EX_NOPERM : EX_OSERR;
  }
}
