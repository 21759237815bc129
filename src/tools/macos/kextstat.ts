/** kextstat(8): the kexts in the kernel, by load tag. */
import type { LoadedKext } from '../../systems/macos/kexts.ts';
import type { ToolResult } from '../system.ts';
import type { Tool } from './answer.ts';
import { parseOptions } from './options.ts';
import type { MacosSession } from './session.ts';
import { EX_USAGE } from './sysexits.ts';

const OPTIONS = [
  { letter: 'a', long: 'arch' },
  { letter: 'b', long: 'bundle-id', value: true },
  { letter: 'k', long: 'no-kernel' },
  { letter: 'l', long: 'list-only' },
  { letter: 's', long: 'sort' },
  { letter: 'h', long: 'help' },
] as const;
const USAGE = 'usage: kextstat [-a] [-k] [-l] [-s] [-b <bundle identifier>] ...';
const HEADER = 'Index Refs Address            Size       Wired      ';
const HEADER_32 = 'Index Refs Address    Size       Wired      ';
const ARCHITECTURE = 'Architecture       ';

export const kextstat: Tool = {
  name: 'kextstat',
  usage: '[-a] [-k] [-l] [-s] [-b ID]...',
  summary: 'list the loaded kernel extensions',
  run: (session, args): ToolResult => {
    const { flags, values, unknown } = parseOptions(args, OPTIONS);
    if (flags.has('help')) return { code: 0, out: `${USAGE}\n`, err: '' };
    if (unknown !== undefined)
      return {
        code: EX_USAGE,
        out: '',
        err: `kextstat: illegal option -- ${unknown.replace(/^-+/, '')}\n${USAGE}\n`,
      };
    return {
      code: 0,
      out: statText(session, { flags, identifiers: values.get('bundle-id') ?? [], empty: '' }),
      err: '',
    };
  },
};

/** The table; `empty` is what stands behind a kext without dependencies (`<>` in kmutil). */
export function statText(
  session: MacosSession,
  {
    flags,
    identifiers,
    empty,
  }: { flags: ReadonlySet<string>; identifiers: readonly string[]; empty: string },
): string {
  const { kexts } = session.kernel;
  const chosen = kexts.all.filter(
    (kext) =>
      (identifiers.length === 0 || identifiers.includes(kext.identifier)) &&
      !(flags.has('no-kernel') && kext.isKernelComponent),
  );
  const key = flags.has('sort') ? (kext: LoadedKext) => kext.base : (kext: LoadedKext) => kexts.tag(kext);
  const sorted = [...chosen].sort((a, b) => key(a) - key(b));
  const arch = flags.has('arch');
  const head = `${session.kernel.word === 4 ? HEADER_32 : HEADER}${arch ? ARCHITECTURE : ''}Name (Version) UUID <Linked Against>\n`;
  const rows = sorted.map((kext) => `${row(session, kext, arch, empty)}\n`);
  return (flags.has('list-only') ? '' : head) + rows.join('');
}

const hex = (value: number, width: number): string =>
  (value === 0 ? '0' : `0x${BigInt.asUintN(64, BigInt(value)).toString(16)}`).padEnd(width);

function row({ kernel }: MacosSession, kext: LoadedKext, arch: boolean, empty: string): string {
  const { kexts } = kernel;
  const tags = kexts.linkedAgainst(kext).sort((a, b) => b - a);
  const numbers = `${String(kexts.tag(kext)).padStart(5)} ${String(kexts.references(kext)).padStart(4)}`;
  const wired = kext.bytes - kernel.read('kmod_info.hdr_size', kext.control);
  const sizes = `${hex(kext.base, kernel.word === 4 ? 10 : 18)} ${hex(kext.bytes, 10)} ${hex(wired, 10)}`;
  const machine = arch ? `${kernel.architecture.padEnd(ARCHITECTURE.length - 1)} ` : '';
  const linked = tags.length === 0 ? empty : ` <${tags.join(' ')}>`;
  return `${numbers} ${sizes} ${machine}${kext.identifier} (${kext.versionText})${kext.uuid === undefined ? ' no UUID' : ` ${kext.uuid}`}${linked}`;
}
