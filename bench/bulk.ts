/** What modules ask of the kernel over whole buffers: its bulk functions, against the host's own over the same bytes. */
import { join } from 'node:path';
import { BUILT_IN, openKernel } from '../src/targets/kernel-store.ts';
import { LinuxSession } from '../src/tools/linux/session.ts';
import { type Bench, type BenchContext, type Figure, median } from './bench.ts';
import { timed } from './clock.ts';

const MiB = 1 << 20;
const BYTES = 16 * MiB;
const QUICK_BYTES = 64 << 10;
const ROUNDS = 7;

interface Bulk {
  readonly name: string;
  /** Arguments, given two buffers that hold the same and their length. */
  readonly args: (to: number, from: number, length: number) => readonly number[];
  /** The same by the host, where it has such a function. */
  readonly host?: (to: Buffer, from: Buffer) => unknown;
}

const FUNCTIONS: readonly Bulk[] = [
  { name: 'memcpy', args: (to, from, n) => [to, from, n], host: (to, from) => to.set(from) },
  {
    name: 'memmove',
    args: (to, _, n) => [to + 1, to, n - 1],
    host: (to) => to.copyWithin(1, 0),
  },
  { name: 'memset', args: (to, _, n) => [to, 0x5a, n], host: (to) => to.fill(0x5a) },
  {
    name: 'memcmp',
    args: (to, from, n) => [to, from, n],
    host: (to, from) => to.equals(from),
  },
  { name: 'strlen', args: (to) => [to], host: (to) => to.indexOf(0) },
  { name: 'memchr', args: (to, _, n) => [to, 0, n], host: (to) => to.indexOf(0) },
  { name: 'crc32_le', args: (to, _, n) => [0, to, n] },
  { name: 'csum_partial', args: (to, _, n) => [to, n, 0] },
];

export const bulk: Bench = {
  name: 'bulk',
  summary: 'bulk functions of the kernel over 16 MiB of vmalloc, against the host',
  async run({ quick, root }: BenchContext): Promise<readonly Figure[]> {
    const length = quick ? QUICK_BYTES : BYTES;
    const kernel = openKernel(BUILT_IN, {
      packaged: (path) => join(root, path),
      environment: process.env,
    });
    const { k } = new LinuxSession(kernel, { moduleFile: () => undefined });
    const call = (name: string, ...args: readonly number[]): number => {
      let result = 0;
      k.runTask(
        'bench',
        (function* () {
          result = Number(yield* k.call(k.addressOf(name), ...args));
        })(),
      );
      return result;
    };
    const [to, from] = [call('vmalloc', length), call('vmalloc', length)];
    const [hostTo, hostFrom] = [Buffer.alloc(length), Buffer.alloc(length)];
    return FUNCTIONS.flatMap((one) => {
      const times = Array.from({ length: quick ? 1 : ROUNDS }, () => {
        // Alike to the last byte, which ends a string.
        for (const at of [to, from]) {
          call('memset', at, 0x41, length);
          k.memory.set8(at + length - 1, 0);
        }
        for (const buffer of [hostTo, hostFrom]) buffer.fill(0x41).writeUInt8(0, length - 1);
        const [ours] = timed(() => call(one.name, ...one.args(to, from, length)));
        const [host] = timed(() => one.host?.(hostTo, hostFrom));
        return { ours, host };
      });
      return figures(one, times, length);
    });
  },
};

function figures(
  { name, host }: Bulk,
  times: readonly { ours: number; host: number }[],
  length: number,
): Figure[] {
  const seconds = median(times.map(({ ours }) => ours)) / 1e3;
  const speed: Figure = { what: name, value: length / MiB / seconds, unit: 'MB/s' };
  if (host === undefined) return [speed];
  const value = median(times.map((time) => time.ours / time.host));
  return [speed, { what: `${name} against the host`, value, unit: 'x' }];
}
