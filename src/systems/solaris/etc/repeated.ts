/** What the kernel says of commands of /etc/system that come more than once (common/os/modsysfile.c). */
import type { SystemFile } from './system-file.ts';

interface Said {
  /** As the kernel's source has it, for the message id. */
  readonly format: string;
  readonly text: string;
}

/** Commands of which there is one value. */
const SINGLE = ['rootdev', 'rootfs', 'swapdev', 'swapfs', 'moddir'];

type Assignment = SystemFile['assignments'][number];

/** Those before the file's last command for the same thing do not count; `bits` are those of the kernel. */
export function repeatedCommands(system: SystemFile, path: string, bits: 32 | 64): Said[] {
  const single = SINGLE.filter((name) => system.commands.filter((one) => one.name === name).length > 1);
  const groups = new Map<string, Assignment[]>();
  for (const one of system.assignments) {
    if (one.only !== undefined && one.only !== bits) continue;
    const name = one.module === '' ? one.symbol : `${one.module}:${one.symbol}`;
    groups.set(name, [...(groups.get(name) ?? []), one]);
  }
  return [
    ...[...groups].flatMap(([name, all]) => repeatedSet(name, all, path)),
    ...single.map((name) => ({
      format: '"%s" appears more than once in /%s.',
      text: `"${name}" appears more than once in ${path}.`,
    })),
  ];
}

/** A value that is the first one's again is no repetition. */
function repeatedSet(name: string, [first, ...later]: readonly Assignment[], path: string): Said[] {
  const others = later.filter(({ value }) => typeof value === 'string' || value !== first.value);
  const last = others.at(-1);
  if (last === undefined || others.every(({ operator }) => operator !== '=')) return [];
  let value: bigint | string = 0n;
  for (const one of others) {
    if (one.operator === '=') value = one.value;
    else if (typeof value === 'bigint' && typeof one.value === 'bigint')
      value = one.operator === '&' ? value & one.value : value | one.value;
  }
  const [shown, kind] =
    typeof value === 'string'
      ? [value, '%s']
      : last.hexadecimal
        ? [`0x${value.toString(16)}`, '0x%llx']
        : [String(BigInt.asIntN(64, value)), '%lld'];
  const variable = first.module === '' ? '%s' : '%s:%s';
  return [
    {
      format: `${variable} is set more than once in /%s. "%s ${variable} = ${kind}" applied as the current setting.\n`,
      text: `${name} is set more than once in ${path}. "set ${name} = ${shown}" applied as the current setting.`,
    },
  ];
}
