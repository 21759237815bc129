/** kextutil(8): load kexts with diagnostics, or only test them (kext_tools kextutil_main.c). */
import { FormatError } from '../../bytes/errors.ts';
import { builtInKernel } from '../../systems/macos/check/kernel.ts';
import { planLink, TrialLinker } from '../../systems/macos/check/symbols.ts';
import { LinkFailure } from '../../systems/macos/kxld/image.ts';
import type { Kext } from '../../systems/macos/library.ts';
import { publishPersonalities } from '../../systems/macos/load.ts';
import { osReturnText } from '../../systems/macos/os-return.ts';
import type { Diagnostics } from '../../systems/macos/rules/diagnostics.ts';
import { matchAll } from '../../systems/macos/runtime/services.ts';
import { LOUDNESS } from '../../systems/macos/words.ts';
import { Answer, type Tool } from './answer.ts';
import { announceFilter, kextAt, kextNamed, type Loading, loadFromDisk } from './loading.ts';
import { DEFAULT_FILTER, type OptionSpec, type Parsed, parseOptions } from './options.ts';
import type { MacosSession } from './session.ts';
import { signatureOf } from './signatures.ts';
import { EX_NOPERM, EX_USAGE } from './sysexits.ts';

export const OPTIONS: readonly OptionSpec[] = [
  { letter: 'a', long: 'address', value: true },
  { letter: '', long: 'arch', value: true },
  { letter: 'A', long: 'use-load-addresses' },
  { letter: 'b', long: 'bundle-id', value: true },
  { letter: 'c', long: 'no-caches' },
  { letter: 'd', long: 'dependency', value: true },
  { letter: 'e', long: 'no-system-extensions' },
  { letter: 'h', long: 'help' },
  { letter: 'i', long: 'interactive' },
  { letter: 'I', long: 'interactive-all' },
  { letter: 'k', long: 'kernel', value: true },
  { letter: 'l', long: 'load-only' },
  { letter: 'm', long: 'match-only' },
  { letter: 'n', long: 'no-load' },
  { letter: 'p', long: 'personality', value: true },
  { letter: 'q', long: 'quiet' },
  { letter: 'r', long: 'repository', value: true },
  { letter: 's', long: 'symbols', value: true },
  { letter: 't', long: 'print-diagnostics' },
  { letter: 'x', long: 'safe-boot' },
  { letter: 'z', long: 'no-authentication' },
  { letter: 'Z', long: 'no-resolve-dependencies' },
];
const USAGE = 'usage: kextutil [options] [--] [kext] ...\n';
const NO_KEXTS =
  'No kernel extensions specified; name kernel extension bundles\n    following options, or use -bundle-id (-b) and -address (-a).';
/** Basic messages of all activities. */
const BASIC_FILTER = 0xff3;
/** kextutil's own exit codes. */
const EXIT = { notFound: 1, archNotFound: 2, kextBad: 4, safeBoot: 5, loadFailed: 6, policy: 27 } as const;

export const kextutil: Tool = {
  name: 'kextutil',
  usage: '[-n] [-t] [-z] [-x] [-b ID] [-d KEXT] [-r FOLDER] [KEXT]...',
  summary: 'load kernel extensions with diagnostics, or only test them (-n)',
  run: async (session, args) => {
    const parsed = parseOptions(args, OPTIONS);
    const { flags, values, operands, unknown } = parsed;
    if (flags.has('help')) return { code: 0, out: USAGE, err: '' };
    if (unknown !== undefined)
      return {
        code: EX_USAGE,
        out: '',
        err: `kextutil: unrecognized option '${unknown}'\n${USAGE}`,
      };
    const refused = combinationRefused(session, parsed);
    if (refused !== undefined) return { code: EX_USAGE, out: '', err: `${refused}\n${USAGE}` };
    if (operands.length === 0 && !values.has('bundle-id') && !values.has('address'))
      return { code: EX_USAGE, out: '', err: `${NO_KEXTS}\n${USAGE}` };
    if (session.uid !== 0 && !isDryRun(flags))
      return {
        code: EX_NOPERM,
        out: '',
        err: 'You must be running as root to load kexts or send personalities into the kernel.\n',
      };
    return (await new Utility(session, parsed).run()).result();
  },
};

/** -a and -A imply -n. */
export const isDryRun = (flags: ReadonlySet<string>): boolean =>
  ['no-load', 'address', 'use-load-addresses'].some((name) => flags.has(name));

const LOADING_ONLY = 'is allowed only when not loading or sending personalities.';

/** Options that do not go together, in the order in which they are looked at (checkArgs). */
function combinationRefused(session: MacosSession, { flags, values }: Parsed): string | undefined {
  const [load, match, dry] = [flags.has('load-only'), flags.has('match-only'), isDryRun(flags)];
  if (Number(load) + Number(match) + Number(dry) > 1)
    return 'Only one of -load-only (-l), -match-only (-m), or -no-load (-n) is allowed;\n-address (-a) and -use-load-addresses (-A) imply -no-load (-n).';
  const asks = flags.has('interactive') || flags.has('interactive-all');
  if (asks && dry) return 'Use interactive modes only when loading or matching.';
  if (flags.has('address') && flags.has('use-load-addresses'))
    return "Don't use -address (-a) when loading, or with -use-load-addresses (-A).";
  if (flags.has('kernel') && !dry) return `-kernel (-k) ${LOADING_ONLY}`;
  if (flags.has('no-authentication') && !dry) return `-no-authentication (-z) ${LOADING_ONLY}`;
  if (flags.has('no-resolve-dependencies') && ((!dry && !match) || flags.has('symbols')))
    return 'Use -no-resolve-dependencies (-Z) only with -no-load (-n) or match-only (-m), and not with -symbols (-s).';
  const arch = values.get('arch')?.at(-1);
  const { architecture } = session.choices;
  if (arch !== undefined && arch !== architecture && !dry)
    return `Specified architecture ${arch} does not match running kernel architecture ${architecture}.`;
  return undefined;
}

/** Options that change nothing on this machine, and why. */
const WITHOUT_EFFECT: Readonly<Record<string, string>> = {
  'no-caches': 'no caches are kept here',
  interactive: 'nobody is asked: every answer is yes',
  'interactive-all': 'nobody is asked: every answer is yes',
  address: 'the trial link takes addresses of its own',
  'use-load-addresses': 'the trial link takes addresses of its own',
  symbols: 'symbol files are not written',
  kernel: "the trial link is against the release's recorded kernel",
};

class Utility {
  private readonly session: MacosSession;
  private readonly options: Parsed;
  private readonly answer = new Answer();
  private readonly repositories: readonly string[];

  constructor(session: MacosSession, options: Parsed) {
    this.session = session;
    this.options = options;
    const words = ['repository', 'dependency'].flatMap((name) => options.values.get(name) ?? []);
    this.repositories = words.map((word) => session.locate(word) ?? session.absolute(word));
  }

  async run(): Promise<Answer> {
    const { session, options, answer } = this;
    const { flags } = options;
    answer.filter = flags.has('quiet') ? 0 : options.filter;
    announceFilter(answer);
    answer.log(LOUDNESS.debug, `Kext library architecture set to ${session.choices.architecture}.`);
    this.kernelFile();
    // Who only tests wants to hear how it went.
    const quietly = answer.filter === DEFAULT_FILTER;
    const asks = ['interactive', 'interactive-all'].some((name) => flags.has(name));
    if (quietly && (isDryRun(flags) || asks)) answer.filter = BASIC_FILTER;
    for (const [name, why] of Object.entries(WITHOUT_EFFECT))
      if (flags.has(name)) answer.explain(`-${name} has no effect: ${why}`);
    const arch = options.values.get('arch')?.at(-1);
    if (arch !== undefined && arch !== session.choices.architecture)
      answer.explain(
        `-arch has no effect: kexts are looked at as a kernel for ${session.choices.architecture} sees them`,
      );
    for (const identifier of options.values.get('bundle-id') ?? []) {
      const kext = kextNamed(session, identifier, this.repositories);
      if (kext !== undefined) await this.one(kext, kext.path);
      else {
        answer.log(LOUDNESS.error, `Can't find extension with identifier ${identifier}.`);
        answer.code = EXIT.notFound;
      }
    }
    for (const word of options.operands) await this.named(word);
    return answer;
  }

  /** Up to 10.9 a warning, later told only to those who ask. */
  private kernelFile(): void {
    const { answer } = this;
    if (this.since(14))
      answer.log(LOUDNESS.basic, "Defaulting to kernel file '/System/Library/Kernels/kernel'");
    else answer.log(LOUDNESS.warning, "No kernel file specified, using '/mach_kernel'");
  }

  /** Is this the release of that Darwin version, or a later one? */
  private since(darwin: number): boolean {
    return Number(this.session.choices.release.darwin.split('.')[0]) >= darwin;
  }

  private async named(word: string): Promise<void> {
    const { session, answer } = this;
    const kext = kextAt(session, word);
    // Paths are told as they were given.
    const path = word.replace(/(?<=.)\/+$/, '');
    if (kext !== undefined && !(kext instanceof FormatError)) {
      await this.one(kext, path);
      return;
    }
    answer.complain(
      kext === undefined
        ? `Can't open ${path} - no such file or directory.`
        : `Can't create kernel extension from ${path}.`,
    );
    answer.explain(kext?.message);
    answer.code = EXIT.notFound;
  }

  private async one(kext: Kext, path: string): Promise<void> {
    const { session, answer } = this;
    const { flags } = this.options;
    const dryRun = isDryRun(flags);
    await session.prepareSignatures([kext, ...session.kexts(this.repositories)]);
    if (flags.has('safe-boot') && kext.info.required === undefined) {
      answer.log(
        LOUDNESS.warning,
        `${dryRun ? 'Notice: ' : ''}${path} is not eligible for loading during safe boot.`,
      );
      if (!dryRun) {
        answer.code = EXIT.safeBoot;
        return;
      }
    }
    if (flags.has('match-only')) {
      this.sendPersonalities(kext, path);
      return;
    }
    const authentication: string[] = [];
    const result = loadFromDisk(session, kext, answer, {
      repositories: this.repositories,
      dryRun,
      // A bare -n looks at no owners, so that developers may test as they go.
      withoutAuthentication: flags.has('no-authentication') || (dryRun && !flags.has('print-diagnostics')),
      withoutSystem: flags.has('no-system-extensions'),
      unresolved: flags.has('no-resolve-dependencies'),
      personalities: this.chosen,
      hear: (line) => authentication.push(line),
    });
    answer.explain(result.note);
    this.tested(kext, path, result, authentication);
    if (result.code !== 'Success' && !result.inKernel) {
      this.refused(result);
      return;
    }
    if (dryRun) {
      this.trialLink(kext, path);
      return;
    }
    answer.log(
      LOUDNESS.basic,
      `${path} appears to be loadable (not including linkage for on-disk libraries).`,
    );
    if (this.loadAuthenticates) for (const line of authentication) answer.log(LOUDNESS.error, line);
    answer.log(LOUDNESS.basic, `Loading ${path}.`);
    for (const line of result.kernel) answer.complain(`(kernel) ${line}`);
    if (result.code === 'Success')
      answer.log(LOUDNESS.basic, `${path} successfully loaded (or already loaded).`);
    else this.failed(path, result);
  }

  /** Which personalities go to the kernel: none with -l, those named with -p, else all. */
  private get chosen(): readonly string[] | undefined {
    return this.options.flags.has('load-only') ? [] : this.options.values.get('personality');
  }

  /** -m: the kext must be loaded already, or is asked for when something matches. */
  private sendPersonalities({ info }: Kext, path: string): void {
    const { session, answer } = this;
    publishPersonalities(session.kernel, info, this.chosen);
    session.perform('kextutil', matchAll(session.kernel), answer);
    if (info.personalities.size === 0) answer.log(LOUDNESS.step, `${path} has no personalities to send.`);
  }

  /**
   * What the tests of a kext say, in the order of the release: up to 10.12 its signature is looked at last, and what comes of it
   * is said by the load.
   */
  private tested(kext: Kext, path: string, result: Loading, authentication: readonly string[]): void {
    const { answer } = this;
    const late = this.loadAuthenticates;
    const hear = (): void => {
      for (const line of authentication) answer.log(LOUDNESS.error, line);
    };
    if (!late) hear();
    // Thrown away before it could be tested.
    if (!late && result.rule === 'macos.signature') return;
    this.dependencyLines(path, result.diagnostics);
    const bad = !result.inKernel && this.isBad(result);
    const signing = this.signingFailure(kext);
    if (signing !== undefined && !late) {
      answer.log(LOUDNESS.error, signing);
      this.diagnostics(result.diagnostics.body);
    }
    if (bad) {
      answer.log(LOUDNESS.error, `Diagnostics for ${path}:`);
      this.diagnostics(result.diagnostics.body);
    }
    if (signing !== undefined && late) {
      if (!bad) answer.log(LOUDNESS.error, `Diagnostics for ${path}:`);
      answer.log(LOUDNESS.error, signing);
    }
    if (!bad) this.diagnostics(result.diagnostics.only('warnings').body);
    if (late && result.rule === 'macos.signature') hear();
  }

  /** Up to 10.12 the tests leave authentication to the load. */
  private get loadAuthenticates(): boolean {
    return !this.since(17);
  }

  /** A record of several lines ends with an empty one. */
  private diagnostics(body: string): void {
    if (body !== '') this.answer.log(LOUDNESS.error, body);
  }

  private isBad({ code, rule }: Loading): boolean {
    return (
      ['Validation', 'Authentication', 'Dependencies', 'ArchNotFound', 'SystemPolicy'].includes(code) ||
      (code === 'NotLoadable' && rule !== 'macos.signature')
    );
  }

  private signingFailure(kext: Kext): string | undefined {
    const { session } = this;
    if (session.choices.release.signature === 'none') return undefined;
    const { kind } = signatureOf(session, kext);
    if (kind !== 'none' && kind !== 'invalid') return undefined;
    return `Code Signing Failure: ${kind === 'none' ? 'not code signed' : 'code signature is invalid'}`;
  }

  /** Each library that was not found, or not in a version that fits: once for each test that looks for them. */
  private dependencyLines(path: string, diagnostics: Diagnostics): void {
    const lines = diagnostics.of('dependencies').flatMap(({ rule, values }) =>
      values.flatMap((name) => {
        if (rule === 'macos.dependency-missing') return `${path} - dependency '${name}' not found.`;
        if (rule === 'macos.dependency-version')
          return `${path} - no compatible dependency found for ${name}.`;
        if (rule === 'macos.dependency-no-library')
          return `${path} - dependency for ${name} lacks valid OSBundleCompatibleVersion.`;
        return [];
      }),
    );
    const rounds = this.options.flags.has('no-authentication') ? 2 : 3;
    for (let round = 0; round < rounds; round++)
      for (const line of lines) this.answer.log(LOUDNESS.error, line);
  }

  /** It did not get as far as the kernel. */
  private refused({ code, complete }: Loading): void {
    if (!complete) return;
    const { answer } = this;
    if (code === 'SystemPolicy') answer.code = EXIT.policy;
    else if (code === 'ArchNotFound') answer.code = EXIT.archNotFound;
    else answer.code = EXIT.kextBad;
  }

  private failed(path: string, { code, complete }: Loading): void {
    const { answer } = this;
    if (!complete) return;
    answer.code = EXIT.loadFailed;
    answer.log(LOUDNESS.error, `Failed to load ${path} - ${osReturnText(code)}.`);
    if (code === 'LinkError')
      answer.log(LOUDNESS.error, 'Check library declarations for your kext with kextlibs(8).');
  }

  /** Linked in user space against what is on disk; nothing reaches the kernel. */
  private trialLink(kext: Kext, path: string): void {
    const { session, answer } = this;
    const known = [...session.kexts(this.repositories), kext];
    const { release, architecture } = session.choices;
    const kernel = builtInKernel(architecture === 'i386' ? `${release.name}-i386` : release.name);
    const linker = new TrialLinker(kernel, (one) => planLink(one, known));
    try {
      if (kext.executable !== undefined) linker.link(planLink(kext, known));
      answer.log(LOUDNESS.basic, `${path} appears to be loadable (including linkage for on-disk libraries).`);
    } catch (error) {
      if (!(error instanceof LinkFailure) && !(error instanceof FormatError)) throw error;
      for (const line of error.message.split('\n'))
        answer.log(LOUDNESS.error, `kxld[${kext.identifier}]: ${line}`);
      answer.log(LOUDNESS.error, 'Link failed (error code 5).');
      answer.log(LOUDNESS.error, 'Check library declarations for your kext with kextlibs(8).');
      answer.code = EXIT.loadFailed;
    }
  }
}
