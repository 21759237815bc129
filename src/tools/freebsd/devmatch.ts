/** devmatch(8), and rc.d/devmatch, which devd(8) starts for a device that no driver took. */
import { FormatError } from '../../bytes/errors.ts';
import {
  hexText,
  hintText,
  matchDevice,
  readNomatch,
  searchHints,
  type UnmatchedDevice,
} from '../../systems/freebsd/devmatch.ts';
import { HINTS_VERSION, type Hint, type HintPnp, readHints, rowsOf } from '../../systems/freebsd/hints.ts';
import { majorOf } from '../../systems/freebsd/version.ts';
import type { ToolResult } from '../system.ts';
import { Answer, type Tool } from './answer.ts';
import { rcVariables } from './boot-tools.ts';
import { getopt } from './getopt.ts';
import { kldload } from './kldload.ts';
import type { FreeBsdSession } from './session.ts';

const USAGE = 'devmatch: devmatch [-adv] [-p nomatch] [-h linker-hints]\n';
/** Its long options, by their letters. */
const LONG: ReadonlyMap<string, string> = new Map([
  ['--all', '-a'],
  ['--dump', '-d'],
  ['--hints', '-h'],
  ['--nomatch', '-p'],
  ['--quiet', '-q'],
  ['--unbound', '-u'],
  ['--verbose', '-v'],
]);
/** EX_UNAVAILABLE of sysexits(3), from 13 on; before, it is 1. */
const EX_UNAVAILABLE = 69;

export const devmatch: Tool = {
  name: 'devmatch',
  usage: '[-aduv] [-p EVENT] [-h FILE]',
  summary: 'show which modules want a device; -d shows the tables',
  run(session, args) {
    const answer = new Answer();
    const letters = hasQuiet(session) ? 'adh:p:quv' : 'adh:p:uv';
    const { flags, values, operands, problem } = getopt(args.flatMap(shortOption), letters);
    if (problem !== undefined || operands.length > 0) {
      answer.code = 1;
      answer.err = (problem === undefined ? '' : `devmatch: ${problem}\n`) + USAGE;
      return answer.result();
    }
    const hints = readIndex(session, answer, values.get('h'), flags.has('q'));
    if (hints === undefined) return answer.result();
    const event = values.get('p');
    if (flags.has('d')) answer.out = dumped(hints);
    else {
      const events = event === undefined ? session.unattached : [event];
      if (events.length === 0)
        answer.explain(
          'No device is without a driver here: say which with -p "? at vendor=0x8086 ... on pci0".',
        );
      for (const one of events) search(hints, one, flags, answer);
    }
    return answer.result();
  },
};

const hasQuiet = (session: FreeBsdSession): boolean => majorOf(session.choices.version) >= 13;

function shortOption(word: string): string[] {
  const [name, ...value] = word.split('=');
  const short = LONG.get(name);
  return short === undefined ? [word] : [short, ...(value.length === 0 ? [] : [value.join('=')])];
}

function search(hints: readonly Hint[], event: string, flags: ReadonlySet<string>, answer: Answer): void {
  const device = deviceOf(event, answer);
  if (device === undefined) return;
  let count = 0;
  searchHints(hints, device, {
    kernelToo: flags.has('u'),
    ...(flags.has('v') ? { trace: (line: string) => void (answer.out += `${line}\n`) } : {}),
    found(file) {
      count++;
      if (flags.has('u')) return;
      // With -a the line is not ended.
      answer.out += flags.has('a') ? `unattached: ${file}` : `${file}\n`;
      if (flags.has('v')) answer.out += `Matches --- ${file} ---\n`;
    },
  });
  if (!flags.has('u') || count > 0 || device.pnp === '') return;
  const line = `unattached on ${device.bus} pnpinfo ${device.pnp}`;
  const rule = '-------------------------';
  answer.out += flags.has('v') ? `${rule} ${line} ${rule}\n` : `${line}\n`;
}

/** service devmatch quietstart EVENT: what matches is loaded, but for devmatch_blocklist of rc.conf(5). */
export const service: Tool = {
  name: 'service',
  usage: 'devmatch quietstart EVENT',
  summary: 'what devd does for a device without a driver: loads the modules that want it',
  run(session, args) {
    const [name, verb = '', event] = args;
    if (name !== 'devmatch' || !/start$/.test(verb) || event === undefined)
      return {
        code: 1,
        out: '',
        err: `${name ?? 'service'} does not exist in /etc/rc.d here; devmatch does\n`,
      };
    return autoload(session, event);
  },
};

export function autoload(session: FreeBsdSession, event: string): ToolResult {
  const answer = new Answer();
  // The script says nothing where there is no index.
  const hints = readIndex(session, new Answer(), undefined, true);
  const device = deviceOf(event, answer);
  const files =
    hints === undefined || device === undefined ? [] : [...new Set(matchDevice(hints, device))].sort();
  if (hints === undefined)
    answer.explain('No folder of kern.module_path has a linker.hints: kldxref(8) writes it.');
  const variables = rcVariables(session.files);
  const blocked = ['devmatch_blacklist', 'devmatch_blocklist'].flatMap((name) =>
    (variables.get(name)?.value ?? '').split(/\s+/),
  );
  for (const file of files) {
    if (blocked.includes(file) || blocked.includes(file.replace(/\.ko$/, ''))) continue;
    answer.out += `Autoloading module: ${file}\n`;
    const loaded = kldload.run(session, ['-n', file]);
    answer.out += loaded.out;
    answer.err += loaded.err;
    if (loaded.code !== 0) answer.code = loaded.code;
    if (loaded.note !== undefined) answer.explain(loaded.note);
  }
  return answer.result();
}

function deviceOf(event: string, answer: Answer): UnmatchedDevice | undefined {
  const device = readNomatch(event);
  if (typeof device !== 'string') return device;
  answer.code = 1;
  answer.err += `devmatch: ${device}\n`;
  return undefined;
}

/** The index it is told of, or the first one in kern.module_path: no other is read. Undefined when it ends there. */
function readIndex(
  session: FreeBsdSession,
  answer: Answer,
  given: string | undefined,
  quiet: boolean,
): Hint[] | undefined {
  const { folders } = session.booted.linker.search;
  const paths = given === undefined ? folders.map((folder) => `${folder}/linker.hints`) : [given];
  for (const path of paths) {
    const bytes = session.files.read(path);
    if (bytes !== undefined) return parseIndex(answer, path, bytes);
  }
  answer.code = given === undefined && hasQuiet(session) ? EX_UNAVAILABLE : 1;
  if (given !== undefined)
    answer.err += `devmatch: Can't open ${given} for reading: No such file or directory\n`;
  else if (!quiet) answer.err += "devmatch: Can't read linker hints file.\n";
  if (!quiet) answer.explain('kldxref(8) writes it: kldxref /boot/modules');
  return undefined;
}

function parseIndex(answer: Answer, path: string, bytes: Uint8Array): Hint[] | undefined {
  const version = bytes.length < 4 ? 0 : new DataView(bytes.buffer, bytes.byteOffset).getInt32(0, true);
  if (version !== HINTS_VERSION) {
    answer.code = 1;
    answer.err += `devmatch: Linker hints version ${version} doesn't match expected ${HINTS_VERSION}.\n`;
    return undefined;
  }
  try {
    return readHints(bytes);
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    answer.code = 1;
    answer.explain(`${path}: ${error.message}`);
    return undefined;
  }
}

function dumped(hints: readonly Hint[]): string {
  let text = '';
  let file: string | undefined;
  for (const hint of hints) {
    if (hint.type === 'module') file = hint.file;
    text +=
      hint.type === 'other'
        ? `Unknown Type ${hint.number} len ${hint.data.length + 4}\n`
        : `${hintText(hint, file)}\n`;
    if (hint.type === 'pnp') text += rowTexts(hint);
  }
  return text;
}

function rowTexts(hint: HintPnp): string {
  const fields = hint.description.split(';').filter((field) => field !== '' && !field.startsWith('T'));
  let text = '';
  for (let entry = 0; entry < rowsOf(hint); entry++) {
    const row = hint.values.slice(entry * fields.length, (entry + 1) * fields.length);
    text += `   ${row.map((one) => (typeof one === 'string' ? `'${one}':` : `${hexText(one)}:`)).join('')}\n`;
  }
  return text;
}
