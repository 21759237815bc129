/** The screens of `lkm memory`. */
import { hexAddress } from '../memory/address.ts';
import type { FrameStatistics } from '../memory/frames.ts';
import type { Footprint, MapRow, MemoryMeasure, Verdict } from '../systems/linux/memory-report.ts';
import { wrap } from './help.ts';
import { printable } from './printable.ts';
import type { Style } from './style.ts';

const WIDTH = 80;

export function sizeText(bytes: number): string {
  if (bytes < 1024 * 1024) return `${Math.ceil(bytes / 1024)} KiB`;
  return `${(bytes / 1024 / 1024).toFixed(bytes < 100 * 1024 * 1024 ? 1 : 0)} MiB`;
}

/** base, size, permission, what; areas of one module in one row for each permission. */
export function mapText(rows: readonly MapRow[], style: Style): string {
  const head = `${'base'.padEnd(18)} ${'size'.padStart(10)} perm ${'pages used'.padStart(10)}  what\n`;
  const lines = rows.map(
    ({ base, bytes, permissions, what, touched }) =>
      `${hexAddress(base).padEnd(18)} ${sizeText(bytes).padStart(10)} ${permissions.padEnd(4)} ` +
      `${String(touched).padStart(10)}  ${printable(what)}\n`,
  );
  return style.bold(head) + lines.join('');
}

export function framesText(
  { total, used, free, fragmentation }: FrameStatistics,
  owners: readonly { label: string; pages: number }[],
  style: Style,
): string {
  const most = [...owners].sort((a, b) => b.pages - a.pages).slice(0, 8);
  const named = most.map(({ label, pages }) => `${label} ${pages}`).join(', ');
  return (
    `${style.bold('Frames')} of 4 KiB: ${total}, used ${used}, free ${free}; fragmentation index ` +
    `${fragmentation.toFixed(4)}\n${para(`The largest users: ${named}.`)}`
  );
}

export function modulesText(modules: readonly Footprint[], style: Style): string {
  if (modules.length === 0) return '';
  const head = `${'module'.padEnd(24)} ${'pages'.padStart(6)} ${'bytes'.padStart(9)} ${'waste'.padStart(9)}  segments\n`;
  const lines = modules.map(({ name, pages, bytes, waste, segments }) => {
    const parts = segments.map((one) => `${one.permissions} ${one.pages}`).join(', ');
    return `${printable(name).padEnd(24)} ${String(pages).padStart(6)} ${String(bytes).padStart(9)} ${String(waste).padStart(9)}  ${parts}\n`;
  });
  return style.bold(head) + lines.join('');
}

/** The free blocks of the buddy allocator at four moments. */
export function blocksText({ frames }: MemoryMeasure, style: Style): string {
  const rows: [string, FrameStatistics][] = [
    ['after boot', frames.booted],
    ['all loaded', frames.fresh],
    ['after the cycles', frames.cycled],
    ['all unloaded', frames.emptied],
  ];
  const orders = frames.booted.blocks.map((_count, order) => String(order).padStart(4)).join('');
  const lines = rows.map(
    ([when, { blocks, free, fragmentation }]) =>
      `${when.padEnd(17)}${blocks.map((count) => String(count).padStart(4)).join('')}${String(free).padStart(8)}  ${fragmentation.toFixed(4)}\n`,
  );
  return (
    style.bold(`${'free blocks of 2^'.padEnd(17)}${orders}${'pages'.padStart(8)}  index\n`) + lines.join('')
  );
}

export function verdictsText(found: readonly Verdict[], style: Style): string {
  return found
    .map(({ claim, holds, because }) => {
      const text = para(`Here the claim ${holds ? 'holds' : 'does not hold'}: ${because}.`);
      return `${style.bold(`"${claim}"`)}\n${holds ? style.green(text) : style.yellow(text)}`;
    })
    .join('');
}

/** What is measured and what is a model. */
export const HOW =
  'Measured: the pages, frames and areas of the kernel in this process, whose modules get their pages one by one, as ' +
  'vmalloc gives them, from a buddy allocator. Simulated: two TLBs (instructions, data) of 64 entries for 4 KiB and 32 ' +
  'for 2 MiB pages, four ways, without a second level; they see each instruction and each access of the ' +
  "modules' machine code, and the accesses of the kernel functions, which are TypeScript here, but not their " +
  'instructions. The kernel image and the direct map count as 2 MiB pages, as on a real machine.';

export function para(text: string): string {
  return wrap(text, WIDTH - 4)
    .map((line) => `    ${line}\n`)
    .join('');
}
