/** kextunload(8) (kext_tools kextunload_main.c): it asks the kernel itself, so that the kernel's words are heard. */
import { FormatError } from '../../bytes/errors.ts';
import { removePersonalities } from '../../systems/macos/load.ts';
import { findMetaClass, inherits } from '../../systems/macos/runtime/classes.ts';
import { terminateDrivers } from '../../systems/macos/runtime/services.ts';
import { LOUDNESS } from '../../systems/macos/words.ts';
import { Answer, type Tool } from './answer.ts';
import { announceFilter, kextAt, unloadInto } from './loading.ts';
import { type OptionSpec, type Parsed, parseOptions } from './options.ts';
import type { MacosSession } from './session.ts';
import { EX_NOPERM, EX_USAGE } from './sysexits.ts';

const EXIT = { notFound: 1, partialFailure: 3 } as const;

const OPTIONS: readonly OptionSpec[] = [
  { letter: 'b', long: 'bundle-id', value: true },
  { letter: 'm', long: 'module', value: true },
  { letter: 'c', long: 'class-name', value: true },
  { letter: 'p', long: 'personalities-only' },
  { letter: 'q', long: 'quiet' },
  { letter: 'h', long: 'help' },
];
const USAGE =
  'usage: kextunload [-h] [-v [0-6]]\n        [-p] [-c class_name] ... [-b bundle_id] ... [kext] ...\n\n';

export const kextunload: Tool = {
  name: 'kextunload',
  usage: '[-p] [-b ID] [-c CLASS] [-v [0-6]] [KEXT]...',
  summary: 'stop and unload kernel extensions',
  run: (session, args) => {
    const parsed = parseOptions(args, OPTIONS);
    const { flags, values, operands, unknown } = parsed;
    if (flags.has('help')) return { code: 0, out: '', err: USAGE };
    if (unknown !== undefined) {
      const err = `kextunload: unrecognized option \`-${unknown.replace(/^-+/, '')}'\n${USAGE}`;
      return { code: EX_USAGE, out: '', err };
    }
    if (session.uid !== 0) {
      const err =
        'You must be running as root to unload kexts, terminate services, or remove driver personalities.\n';
      return { code: EX_NOPERM, out: '', err };
    }
    if (operands.length === 0 && !['bundle-id', 'module', 'class-name'].some((name) => values.has(name)))
      return { code: EX_USAGE, out: '', err: `No kernel extensions specified.\n${USAGE}` };
    return new Request(session, parsed).run().result();
  },
};

class Request {
  private readonly session: MacosSession;
  private readonly parsed: Parsed;
  private readonly answer = new Answer();
  /** The exit code: that of the first thing that went wrong. */
  private code = 0;

  constructor(session: MacosSession, parsed: Parsed) {
    this.session = session;
    this.parsed = parsed;
    this.answer.filter = parsed.flags.has('quiet') ? 0 : parsed.filter;
  }

  /** Classes first, then identifiers, then bundles. */
  run(): Answer {
    const { parsed, answer, session } = this;
    const { values, operands } = parsed;
    announceFilter(answer);
    const kexts = operands.map((word) => ({ word, kext: kextAt(session, word) }));
    for (const { word, kext } of kexts) {
      if (kext !== undefined && !(kext instanceof FormatError)) continue;
      answer.log(LOUDNESS.error, `Can't create ${word.replace(/(?<=.)\/+$/, '')}.`);
      answer.explain(kext?.message);
      this.code ||= EXIT.notFound;
    }
    for (const name of values.get('class-name') ?? []) this.terminateClass(name);
    for (const identifier of [...(values.get('bundle-id') ?? []), ...(values.get('module') ?? [])])
      this.unload(identifier);
    for (const { kext } of kexts)
      if (kext !== undefined && !(kext instanceof FormatError)) this.unload(kext.identifier);
    answer.code = this.code;
    return answer;
  }

  /** -c: instances go, the kext stays. */
  private terminateClass(name: string): void {
    const { session, answer } = this;
    const { kernel } = session;
    const wanted = findMetaClass(kernel, name);
    if (wanted !== undefined) {
      const steps = terminateDrivers(kernel, (meta) => inherits(kernel, meta, wanted));
      session.perform('kextunload', steps, answer);
    }
    answer.log(LOUDNESS.basic, `All instances of class ${name} terminated.`);
  }

  private unload(identifier: string): void {
    const { session, answer } = this;
    if (this.parsed.flags.has('personalities-only')) {
      this.terminateOnly(identifier);
      return;
    }
    if (unloadInto(session, identifier, answer) === 'Success')
      answer.log(LOUDNESS.basic, `${identifier} unloaded and personalities removed.`);
    else this.code ||= EXIT.partialFailure;
  }

  /** -p: drivers stop and are matched no more, the code stays. */
  private terminateOnly(identifier: string): void {
    const { session, answer } = this;
    const kext = session.loaded(identifier);
    if (kext !== undefined) {
      removePersonalities(session.kernel, identifier);
      const own = (meta: number): boolean => meta >= kext.base && meta < kext.base + kext.bytes;
      session.perform('kextunload', terminateDrivers(session.kernel, own), answer);
    }
    answer.log(
      LOUDNESS.basic,
      `${identifier}: services terminated and personalities removed (kext not unloaded).`,
    );
  }
}
