/** codesign(1), as far as it looks at signatures: -d with -v, -r and --entitlements, and --verify. */
import { FormatError } from '../../bytes/errors.ts';
import { architectureName } from '../../formats/macho/fat.ts';
import type { KextBundle } from '../../systems/macos/bundle.ts';
import { requirementLines, signatureLines } from '../../systems/macos/signature/text.ts';
import {
  type CodeSeal,
  type SignatureReport,
  verifySignature,
} from '../../systems/macos/signature/verify.ts';
import { Answer, type Tool } from './answer.ts';
import { kextAt } from './loading.ts';
import type { MacosSession } from './session.ts';

const USAGE =
  'usage: codesign -d [-v...] [-r-] [--entitlements -] [-a ARCHITECTURE] PATH...\n       codesign --verify [-v...] PATH...\n';
const EX_USAGE = 2;

export const codesign: Tool = {
  name: 'codesign',
  usage: '-d [-vvv] [-r-] [--entitlements -] KEXT... | --verify [-vv] KEXT...',
  summary: 'show and verify code signatures',
  run: async (session, args) => {
    const options = optionsOf(args);
    if (options === undefined || options.paths.length === 0) return { code: EX_USAGE, out: '', err: USAGE };
    const answer = new Answer();
    for (const word of options.paths) await one(session, word, options, answer);
    return answer.result();
  },
};

interface Options {
  readonly display: boolean;
  readonly verbosity: number;
  readonly requirements: boolean;
  readonly entitlements: boolean;
  readonly architecture: string | undefined;
  readonly paths: readonly string[];
}

function optionsOf(args: readonly string[]): Options | undefined {
  let [display, verify, requirements, entitlements] = [false, false, false, false];
  let verbosity = 0;
  let architecture: string | undefined;
  const paths: string[] = [];
  for (let i = 0; i < args.length; i++) {
    const word = args[i];
    if (!word.startsWith('-') || word === '-') paths.push(word);
    else if (word === '--display') display = true;
    else if (word === '--verify') verify = true;
    else if (/^--verbose(=\d)?$/.test(word)) verbosity += Number(word.split('=')[1] ?? 1);
    else if (word === '--requirements' || word === '-r') {
      requirements = true;
      i++;
    } else if (word === '-r-') requirements = true;
    else if (word === '--entitlements') {
      entitlements = true;
      i++;
    } else if (word === '-a' || word === '--architecture') architecture = args[++i];
    else if (word.startsWith('--')) continue;
    else if (/^-[dv]+$/.test(word)) {
      display ||= word.includes('d');
      verbosity += word.split('v').length - 1;
    } else return undefined;
  }
  // Alone, -v asks for a verification.
  if (!display && !verify && verbosity > 0) verbosity--;
  return { display, verbosity, requirements, entitlements, architecture, paths };
}

async function one(session: MacosSession, word: string, options: Options, answer: Answer): Promise<void> {
  const kext = kextAt(session, word);
  if (kext === undefined || kext instanceof FormatError) {
    answer.complain(
      `${word}: ${kext === undefined ? 'No such file or directory' : 'bundle format unrecognized, invalid, or unsuitable'}`,
    );
    answer.code = 1;
    return;
  }
  const report = await verifySignature(kext.bundle);
  if (report.seals.length === 0) {
    answer.complain(`${word}: code object is not signed at all`);
    answer.code = 1;
  } else if (options.display) display(kext.bundle, report, options, answer);
  else verify(word, report, options, answer);
}

function chosen({ seals }: SignatureReport, architecture = 'x86_64'): CodeSeal {
  return seals.find((seal) => seal.architecture === architecture) ?? seals[0];
}

function display(bundle: KextBundle, report: SignatureReport, options: Options, answer: Answer): void {
  const seal = chosen(report, options.architecture);
  answer.complain(`Executable=${bundle.executablePath() ?? bundle.infoPath}`);
  if (options.verbosity > 0) {
    const [identifier, ...lines] = signatureLines(seal, report, Object.keys(bundle.properties).length);
    // Certificates and hashes come with more of the letter.
    const shown = lines.filter((line) => options.verbosity >= levelOf(line));
    for (const line of [identifier, `Format=${formatOf(bundle)}`, ...shown]) answer.complain(line);
  }
  if (options.requirements) for (const line of requirementLines(seal)) answer.print(line);
  const xml = seal.signature.entitlements;
  if (options.entitlements && xml !== undefined) answer.out += `${new TextDecoder().decode(xml).trimEnd()}\n`;
}

function levelOf(line: string): number {
  if (/^(Authority|Hash type|Signed Time|Timestamp)=/.test(line)) return 2;
  return /^(CandidateCDHash|Hash choices|CDHash|Executable Segment)/.test(line) ? 3 : 1;
}

function formatOf(bundle: KextBundle): string {
  const names = bundle.slices.map(({ cputype, cpusubtype }) => architectureName(cputype, cpusubtype));
  if (names.length === 0) return 'bundle';
  return `bundle with Mach-O ${names.length > 1 ? 'universal' : 'thin'} (${names.join(' ')})`;
}

/** Security's words for what is wrong, with the files it is wrong in. */
function verify(word: string, report: SignatureReport, { verbosity }: Options, answer: Answer): void {
  const broken = report.seals.flatMap(({ architecture, faults }) =>
    faults.filter((fault) => !/^it is signed ad hoc/.test(fault)).map((fault) => ({ architecture, fault })),
  );
  const [first] = broken;
  if (first !== undefined) {
    const plist = first.fault.startsWith('Info.plist');
    answer.complain(
      `${word}: ${plist ? 'invalid Info.plist (plist or signature have been modified)' : 'invalid signature (code or signature have been modified)'}`,
    );
    if (first.architecture !== 'all') answer.complain(`In architecture: ${first.architecture}`);
    answer.explain(broken.map(({ fault }) => fault).join('; '));
  } else if (report.resources.faults.length > 0) {
    answer.complain(`${word}: a sealed resource is missing or invalid`);
    for (const fault of report.resources.faults) answer.complain(sealLine(fault));
  } else {
    // Requirements are printed here, not put to the test: nothing is said about them.
    if (verbosity > 0) answer.complain(`${word}: valid on disk`);
    return;
  }
  answer.code = 1;
}

function sealLine(fault: string): string {
  const [name] = fault.split(/ (?:is missing|has changed|was added)/);
  const kind = fault.endsWith('is missing')
    ? 'missing'
    : fault.includes(' was added ')
      ? 'added'
      : 'modified';
  return `file ${kind}: ${name}`;
}
