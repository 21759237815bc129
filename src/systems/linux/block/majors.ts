/** Block majors: who has which, and who makes the disks of one on demand (block/genhd.c, register_blkdev). */
import { perKernel } from '../../../kernel/kernel.ts';
import type { Steps } from '../../../kernel/steps.ts';
import type { Address } from '../../../memory/space.ts';
import { Errno } from '../errno.ts';
import { moduleRequest } from '../functions/request-module.ts';
import type { Linux } from '../linux.ts';
import { majorOf, minorOf } from '../vfs/chrdev.ts';

/** BLKDEV_MAJOR_MAX (include/linux/fs.h), and the last of the majors that are handed out by themselves. */
const MAJOR_MAX = 512;
const LAST_DYNAMIC = 254;
/** BLOCK_EXT_MAJOR (include/uapi/linux/major.h): disks and partitions that no other major has room for. */
export const BLOCK_EXT_MAJOR = 259;

const extended = perKernel<Set<number>, Linux>(() => new Set());

/** blk_alloc_ext_minor: the lowest number of the extended major that nobody has. */
export function takeExtended(k: Linux): number {
  const taken = k.state(extended);
  let minor = 0;
  while (taken.has(minor)) minor++;
  taken.add(minor);
  return minor;
}

export function giveBackExtended(k: Linux, number: number): void {
  if (majorOf(number) === BLOCK_EXT_MAJOR) k.state(extended).delete(minorOf(number));
}

interface Major {
  readonly name: string;
  /** Called with the number of a device that is opened and not there; 0 when nobody makes any. */
  readonly probe: Address;
}

export const blockMajors = perKernel<Map<number, Major>, Linux>(
  () => new Map([[BLOCK_EXT_MAJOR, { name: 'blkext', probe: 0 }]]),
);

/** Reserves a major, or any when it is 0: that one, 0 for the wanted one, or a negative errno. */
export function registerMajor(k: Linux, major: number, name: string, probe: Address): number {
  const taken = k.state(blockMajors);
  if (major >= MAJOR_MAX) {
    const limit = `is greater than the maximum (${MAJOR_MAX - 1})`;
    k.printk(3, `__register_blkdev: major requested (${major}) ${limit} for ${name}`);
    return -Errno.EINVAL;
  }
  if (major !== 0 && taken.has(major)) {
    k.printk(4, `register_blkdev: cannot get major ${major} for ${name}`);
    return -Errno.EBUSY;
  }
  let given = major;
  if (major === 0) {
    given = LAST_DYNAMIC;
    while (given > 0 && taken.has(given)) given--;
    if (given === 0) {
      k.printk(4, `__register_blkdev: failed to get major for ${name}`);
      return -Errno.EBUSY;
    }
  }
  taken.set(given, { name, probe });
  return major === 0 ? given : 0;
}

export function unregisterMajor(k: Linux, major: number, name: string): void {
  const taken = k.state(blockMajors);
  if (taken.get(major)?.name === name) taken.delete(major);
}

/** What drivers have registered, without what is the kernel's own. */
export function* registeredMajors(k: Linux): Generator<{ major: number; name: string }> {
  for (const [major, { name }] of k.state(blockMajors)) if (major !== BLOCK_EXT_MAJOR) yield { major, name };
}

/** The list of majors in /proc/devices. */
export function majorLines(k: Linux): string {
  const rows = [...k.state(blockMajors)].sort(([a], [b]) => a - b);
  return rows.map(([major, { name }]) => `${String(major).padStart(3)} ${name}\n`).join('');
}

/** blk_request_module: the owner of the major makes the disk, or a module that says it would is loaded. */
export function* requestDisk(k: Linux, device: number): Steps<void> {
  const probe = k.state(blockMajors).get(majorOf(device))?.probe ?? 0;
  if (probe !== 0) {
    yield* k.call(probe, device);
    return;
  }
  const { load } = k.state(moduleRequest);
  const major = `block-major-${majorOf(device)}`;
  if ((yield* load(k, `${major}-${minorOf(device)}`, true)) > 0) yield* load(k, major, true);
}
