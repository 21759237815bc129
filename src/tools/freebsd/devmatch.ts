/** devmatch(8), and rc.d/devmatch, which devd(8) starts for a device that no driver took. */
import { FormatError } from '../../bytes/errors.ts';
import { matchDevice, readNomatch } from '../../systems/freebsd/devmatch.ts';
import { type Hint, readHints, rowsOf } from '../../systems/freebsd/hints.ts';
import type { ToolResult } from '../system.ts';
import { Answer, type Tool } from './answer.ts';
import { rcVariables } from './boot-tools.ts';
import { getopt } from './getopt.ts';
import { kldload } from './kldload.ts';
import type { FreeBsdSession } from './session.ts';

const USAGE = 'devmatch: devmatch [-adv] [-p nomatch] [-h linker-hints]\n';

export const devmatch: Tool = {
  name: 'devmatch',
  usage: '[-dv] [-p EVENT] [-h FILE]',
  summary: 'show which modules want a device; -d shows the tables',
  run(session, args) {
    const answer = new Answer();
    const { flags, values, operands, problem } = getopt(args, 'adh:p:uv');
    if (problem !== undefined || operands.length > 0) {
      answer.code = 1;
      answer.err = (problem === undefined ? '' : `devmatch: ${problem}\n`) + USAGE;
      return answer.result();
    }
    const hints = indexes(session, answer, values.get('h'));
    if (flags.has('d')) answer.out = hints.map(dumped).join('');
    else if (values.has('p')) {
      const found = wanted(hints, values.get('p') ?? '', answer);
      answer.out = found.map((file) => `${file}\n`).join('');
    } else
      answer.explain('The base kernel has no devices: say which with -p "? at vendor=0x8086 ... on pci0".');
    return answer.result();
  },
};

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
  const files = [...new Set(wanted(indexes(session, answer), event, answer))].sort();
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

function wanted(hints: readonly Hint[], event: string, answer: Answer): string[] {
  const device = readNomatch(event);
  if (typeof device !== 'string') return matchDevice(hints, device);
  answer.code = 1;
  answer.err += `devmatch: ${device}\n`;
  return [];
}

/** The indexes of kern.module_path, one after another. */
function indexes(session: FreeBsdSession, answer: Answer, given?: string): Hint[] {
  const { folders } = session.booted.linker.search;
  const paths = given === undefined ? folders.map((folder) => `${folder}/linker.hints`) : [given];
  const hints: Hint[] = [];
  for (const path of paths) {
    const bytes = session.files.read(path);
    try {
      if (bytes !== undefined) hints.push(...readHints(bytes));
      else if (given !== undefined) {
        answer.code = 1;
        answer.err += `devmatch: Can't open ${path}: No such file or directory\n`;
      }
    } catch (error) {
      if (!(error instanceof FormatError)) throw error;
      answer.err += `devmatch: ${path}: ${error.message}\n`;
    }
  }
  return hints;
}

function dumped(hint: Hint): string {
  if (hint.type === 'version') return `Version: if ${hint.module}.${hint.version} kmod ${hint.file}\n`;
  if (hint.type === 'module') return `Module ${hint.module} in ${hint.file}\n`;
  if (hint.type === 'other') return `Unknown Type ${hint.number} len ${hint.data.length + 4}\n`;
  const fields = hint.description.split(';').filter((field) => field !== '' && !field.startsWith('T'));
  let text = `PNP info for bus ${hint.bus} format ${hint.description} ${hint.entries} entries\n`;
  for (let entry = 0; entry < rowsOf(hint); entry++) {
    const row = hint.values.slice(entry * fields.length, (entry + 1) * fields.length);
    text += `   ${row.map((one) => (typeof one === 'string' ? `'${one}':` : `0x${(one >>> 0).toString(16)}:`)).join('')}\n`;
  }
  return text;
}
