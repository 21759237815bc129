/** kextutil(8): load a kext or only look at it, with diagnostics. */
import { FormatError } from '../../bytes/errors.ts';
import { osReturnText } from '../../systems/macos/os-return.ts';
import { Answer, type Tool } from './answer.ts';
import { kextAt, loadFromDisk } from './loading.ts';
import { type OptionSpec, parseOptions } from './options.ts';

const OPTIONS: readonly OptionSpec[] = [
  { letter: 'n', long: 'no-load' },
  { letter: 't', long: 'print-diagnostics' },
  { letter: 'z', long: 'no-authenticate' },
  { letter: 'd', long: 'dependency', value: true },
  { letter: 'r', long: 'repository', value: true },
  { letter: 'q', long: 'quiet' },
  { letter: 'h', long: 'help' },
];
const USAGE =
  'usage: kextutil [-h] [-n] [-t] [-z] [-d <extension>] ... [-r <directory>] ... [--] [<kext>] ...';
const EX_USAGE = 64;
/** kextutil's own exit codes. */
const EXIT = { notFound: 1, kextBad: 4, loadFailed: 6, policy: 27 } as const;

export const kextutil: Tool = {
  name: 'kextutil',
  usage: '[-n] [-t] [-z] [-d KEXT] [-r FOLDER] KEXT...',
  summary: 'load kernel extensions with diagnostics, or only test them (-n)',
  run: async (session, args) => {
    const { flags, values, operands, unknown } = parseOptions(args, OPTIONS);
    if (flags.has('help')) return { code: 0, out: `${USAGE}\n`, err: '' };
    if (unknown !== undefined || operands.length === 0) return { code: EX_USAGE, out: '', err: `${USAGE}\n` };
    const answer = new Answer();
    const words = [...(values.get('repository') ?? []), ...(values.get('dependency') ?? [])];
    const repositories = words.map((word) => session.locate(word) ?? session.absolute(word));
    const dryRun = flags.has('no-load');
    for (const word of operands) {
      const kext = kextAt(session, word);
      const path = session.absolute(word);
      if (kext === undefined || kext instanceof FormatError) {
        answer.complain(
          kext === undefined
            ? `Can't open ${path} - no such file or directory.`
            : `Can't create kernel extension from ${path}.`,
        );
        answer.explain(kext?.message);
        answer.code = EXIT.notFound;
        continue;
      }
      await session.prepareSignatures([kext, ...session.kexts(repositories)]);
      const result = loadFromDisk(session, kext, answer, {
        repositories,
        dryRun,
        withoutAuthentication: flags.has('no-authenticate'),
      });
      if (flags.has('print-diagnostics')) answer.out += result.diagnostics.text(path);
      for (const line of result.kernel) answer.complain(`(kernel) ${line}`);
      answer.explain(result.note);
      if (result.code === 'Success') {
        answer.print(
          dryRun
            ? `${path} appears to be loadable (not including linkage for on-disk libraries).`
            : `${path} successfully loaded (or already loaded).`,
        );
        continue;
      }
      if (!result.complete) continue;
      const early =
        result.code === 'Validation' || result.code === 'Dependencies' || result.code === 'Authentication';
      answer.code = result.code === 'SystemPolicy' ? EXIT.policy : early ? EXIT.kextBad : EXIT.loadFailed;
      answer.complain(`Failed to load ${path} - ${osReturnText(result.code)}.`);
      if (result.code === 'LinkError')
        answer.complain('Check library declarations for your kext with kextlibs(8).');
    }
    return answer.result();
  },
};
