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
import { Answer, type Tool } from './answer.ts';
import { kextAt, kextNamed, type Loading, loadFromDisk } from './loading.ts';
import { type OptionSpec, type Parsed, parseOptions } from './options.ts';
import type { MacosSession } from './session.ts';
import { signatureOf } from './signatures.ts';

const OPTIONS: readonly OptionSpec[] = [
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
const EX_USAGE = 64;
const EX_NOPERM = 77;
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
const isDryRun = (flags: ReadonlySet<string>): boolean =>
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
    if (options.verbosity >= 2) answer.complain(this.kernelFile);
    for (const [name, why] of Object.entries(WITHOUT_EFFECT))
      if (options.flags.has(name)) answer.explain(`-${name} has no effect: ${why}`);
    const arch = options.values.get('arch')?.at(-1);
    if (arch !== undefined && arch !== session.choices.architecture)
      answer.explain(
        `-arch has no effect: kexts are looked at as a kernel for ${session.choices.architecture} sees them`,
      );
    for (const identifier of options.values.get('bundle-id') ?? []) {
      const kext = kextNamed(session, identifier, this.repositories);
      if (kext !== undefined) await this.one(kext, kext.path);
      else {
        answer.complain(`Can't find extension with identifier ${identifier}.`);
        answer.code = EXIT.notFound;
      }
    }
    for (const word of options.operands) await this.named(word);
    if (options.flags.has('quiet')) answer.err = '';
    return answer;
  }

  private get kernelFile(): string {
    const early = ['10.6', '10.7', '10.8', '10.9'].includes(this.session.choices.release.name);
    return early
      ? "No kernel file specified, using '/mach_kernel'"
      : "Defaulting to kernel file '/System/Library/Kernels/kernel'";
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
      answer.complain(`${dryRun ? 'Notice: ' : ''}${path} is not eligible for loading during safe boot.`);
      if (!dryRun) {
        answer.code = EXIT.safeBoot;
        return;
      }
    }
    if (flags.has('match-only')) {
      this.sendPersonalities(kext, path);
      return;
    }
    const result = loadFromDisk(session, kext, answer, {
      repositories: this.repositories,
      dryRun,
      // A bare -n looks at no owners, so that developers may test as they go.
      withoutAuthentication: flags.has('no-authentication') || (dryRun && !flags.has('print-diagnostics')),
      withoutSystem: flags.has('no-system-extensions'),
      unresolved: flags.has('no-resolve-dependencies'),
      personalities: this.chosen,
    });
    answer.explain(result.note);
    this.dependencyLines(path, result.diagnostics);
    this.findings(kext, path, result);
    for (const line of result.kernel) answer.complain(`(kernel) ${line}`);
    if (result.code !== 'Success') this.failed(path, result);
    else if (dryRun) this.trialLink(kext, path);
    else answer.print(`${path} successfully loaded (or already loaded).`);
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
    if (info.personalities.size === 0) answer.complain(`${path} has no personalities to send.`);
  }

  /** Each library that was not found, or not in a version that fits. */
  private dependencyLines(path: string, diagnostics: Diagnostics): void {
    for (const { rule, values } of diagnostics.of('dependencies')) {
      for (const name of values) {
        if (rule === 'macos.dependency-missing')
          this.answer.complain(`${path} - dependency '${name}' not found.`);
        else if (rule === 'macos.dependency-version')
          this.answer.complain(`${path} - no compatible dependency found for ${name}.`);
        else if (rule === 'macos.dependency-no-library')
          this.answer.complain(`${path} - dependency for ${name} lacks valid OSBundleCompatibleVersion.`);
      }
    }
  }

  /** All of them when the kext cannot be used, warnings alone when it can. */
  private findings(kext: Kext, path: string, { code, diagnostics }: Loading): void {
    const { answer, session } = this;
    const bad = ['Validation', 'Authentication', 'Dependencies', 'ArchNotFound'].includes(code);
    const warnings = diagnostics.only('warnings');
    if (bad && diagnostics.findings.length > 0) answer.out += diagnostics.text(path);
    const state = session.choices.release.signature === 'none' ? undefined : signatureOf(session, kext).kind;
    if (state === 'none' || state === 'invalid')
      answer.complain(
        `Code Signing Failure: ${state === 'none' ? 'not code signed' : 'code signature is invalid'}`,
      );
    if (!bad && warnings.findings.length > 0) answer.out += `${warnings.body}\n`;
  }

  private failed(path: string, { code, complete }: Loading): void {
    const { answer } = this;
    if (!complete) return;
    if (code === 'SystemPolicy') answer.code = EXIT.policy;
    else if (code === 'ArchNotFound') answer.code = EXIT.archNotFound;
    else if (['Validation', 'Dependencies', 'Authentication'].includes(code)) answer.code = EXIT.kextBad;
    else {
      answer.code = EXIT.loadFailed;
      answer.complain(`Failed to load ${path} - ${osReturnText(code)}.`);
    }
    if (code === 'LinkError') answer.complain('Check library declarations for your kext with kextlibs(8).');
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
      answer.print(`${path} appears to be loadable (including linkage for on-disk libraries).`);
    } catch (error) {
      if (!(error instanceof LinkFailure) && !(error instanceof FormatError)) throw error;
      for (const line of error.message.split('\n')) answer.complain(`kxld[${kext.identifier}]: ${line}`);
      answer.complain('Link failed (error code 5).');
      answer.complain('Check library declarations for your kext with kextlibs(8).');
      answer.code = EXIT.loadFailed;
    }
  }
}
