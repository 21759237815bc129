/** The files of a disk in sysfs: its own, its queue's and those of its backing device (block/genhd.c, blk-sysfs.c). */
import type { Steps } from '../../../kernel/steps.ts';
import type { Address } from '../../../memory/space.ts';
import { accept, addOwnFile, showText, written } from '../driver/bus.ts';
import { Errno } from '../errno.ts';
import { HZ } from '../functions/clock.ts';
import type { Linux } from '../linux.ts';
import { type AttributeMethods, attributeMethods, sysDirectory, sysfs } from '../sysfs.ts';
import { majorOf, minorOf } from '../vfs/chrdev.ts';
import { directory, type Node, regular, symlink } from '../vfs/node.ts';
import { partNumber, SECTOR } from './bio.ts';
import { capacityOf, GENHD, hasPartitions, isReadOnly, kdevOf, wholeOf } from './device.ts';
import { limit, limitsOf } from './limits.ts';
import { hardwareQueues, runningRequests } from './mq.ts';
import { isOn, type Switch, turn } from './queue.ts';
import { numbers } from './stats.ts';

const PAGE_KB = 4;
/** DISK_MAX_PARTS. */
const MOST_PARTITIONS = 256;

type Value = (k: Linux, disk: Address, queue: Address) => string | number | bigint;

const readOnly = (value: Value, disk: Address): AttributeMethods => ({
  show: (k, page) => showText(k, page, `${value(k, disk, k.read('gendisk.queue', disk))}\n`),
});

const hasRequests = (k: Linux, queue: Address): boolean => k.read('request_queue.mq_ops', queue) !== 0;
const flags = (k: Linux, disk: Address): number => k.read('gendisk.flags', disk);

/** The line of /sys/block/NAME/stat, without its newline. */
export function statLine(k: Linux, device: Address): string {
  return statNumbers(k, device)
    .map((number) => String(number).padStart(8))
    .join(' ');
}

/** Requests that the driver has of a device: reads and writes. */
export function requestsInFlight(k: Linux, device: Address): [number, number] | undefined {
  const queue = k.read('block_device.bd_queue', device);
  if (!hasRequests(k, queue)) return undefined;
  const part = partNumber(k, device) > 0;
  const own = runningRequests(k, queue).filter((at) => !part || k.read('request.part', at) === device);
  const writes = own.filter((request) => (k.read('request.cmd_flags', request) & 1) === 1).length;
  return [own.length - writes, writes];
}

export function statNumbers(k: Linux, device: Address): number[] {
  const running = requestsInFlight(k, device);
  return numbers(k, device, running === undefined ? undefined : running[0] + running[1]);
}

/** The line of /sys/block/NAME/inflight. */
export const inFlightLine = (k: Linux, device: Address): string =>
  (requestsInFlight(k, device) ?? [0, 0]).map((number) => String(number).padStart(8)).join(' ');

const DISK_FILES: Readonly<Record<string, Value>> = {
  range: (k, disk) => k.read('gendisk.minors', disk),
  ext_range: (k, disk) => (hasPartitions(k, disk) ? MOST_PARTITIONS : 1),
  removable: (k, disk) => Number((flags(k, disk) & GENHD.REMOVABLE) !== 0),
  hidden: (k, disk) => Number((flags(k, disk) & GENHD.HIDDEN) !== 0),
  ro: (k, disk) => Number(isReadOnly(k, wholeOf(k, disk))),
  size: (k, disk) => capacityOf(k, wholeOf(k, disk)),
  alignment_offset: (k, _disk, queue) => limit(k, limitsOf(k, queue), 'alignment_offset'),
  discard_alignment: (k, _disk, queue) => limit(k, limitsOf(k, queue), 'discard_alignment'),
  capability: () => '0',
  stat: (k, disk) => statLine(k, wholeOf(k, disk)),
  inflight: (k, disk) => inFlightLine(k, wholeOf(k, disk)),
  diskseq: (k, disk) => k.read('gendisk.diskseq', disk),
  events: () => '',
  events_async: () => '',
  events_poll_msecs: () => -1,
};

const sectors =
  (name: string): Value =>
  (k, _disk, queue) =>
    limit(k, limitsOf(k, queue), name) * SECTOR;
const kilobytes =
  (name: string): Value =>
  (k, _disk, queue) =>
    limit(k, limitsOf(k, queue), name) >>> 1;
const plain =
  (name: string): Value =>
  (k, _disk, queue) =>
    limit(k, limitsOf(k, queue), name);
const none: Value = () => 0;
const switched =
  (name: Switch): Value =>
  (k, _disk, queue) =>
    Number(isOn(k, queue, name));

/** Files of every queue in every kernel; those that later ones added stand below. */
const QUEUE_FILES: Readonly<Record<string, Value>> = {
  add_random: switched('add_random'),
  chunk_sectors: plain('chunk_sectors'),
  dax: switched('dax'),
  discard_granularity: plain('discard_granularity'),
  discard_max_bytes: sectors('max_discard_sectors'),
  discard_max_hw_bytes: sectors('max_hw_discard_sectors'),
  discard_zeroes_data: none,
  dma_alignment: plain('dma_alignment'),
  fua: switched('fua'),
  hw_sector_size: plain('logical_block_size'),
  io_poll: switched('io_poll'),
  io_poll_delay: (k, _disk, queue) =>
    k.types.has('request_queue.poll_nsec') ? k.read('request_queue.poll_nsec', queue) : -1,
  iostats: switched('iostats'),
  logical_block_size: plain('logical_block_size'),
  max_discard_segments: plain('max_discard_segments'),
  max_hw_sectors_kb: kilobytes('max_hw_sectors'),
  max_integrity_segments: plain('max_integrity_segments'),
  max_sectors_kb: kilobytes('max_sectors'),
  max_segment_size: plain('max_segment_size'),
  max_segments: plain('max_segments'),
  minimum_io_size: plain('io_min'),
  nomerges: none,
  nr_zones: (k, disk) => k.read('gendisk.nr_zones', disk),
  optimal_io_size: plain('io_opt'),
  physical_block_size: plain('physical_block_size'),
  read_ahead_kb: (k, disk) => k.read('backing_dev_info.ra_pages', k.read('gendisk.bdi', disk)) * PAGE_KB,
  rotational: switched('rotational'),
  stable_writes: switched('stable_writes'),
  virt_boundary_mask: plain('virt_boundary_mask'),
  write_cache: (k, _disk, queue) => (isOn(k, queue, 'write_cache') ? 'write back' : 'write through'),
  write_same_max_bytes: none,
  write_zeroes_max_bytes: sectors('max_write_zeroes_sectors'),
  zone_append_max_bytes: sectors('max_zone_append_sectors'),
  zone_write_granularity: plain('zone_write_granularity'),
  zoned: () => 'none',
};

/** Files of queues with requests; up to 6.11 other queues have the first three, too. */
const REQUEST_FILES: Readonly<Record<string, Value>> = {
  nr_requests: (k, _disk, queue) => k.read('request_queue.nr_requests', queue),
  rq_affinity: (k, _disk, queue) => Number(hasRequests(k, queue)),
  // Requests go to the driver as they come: there is no scheduler to choose.
  scheduler: (k, _disk, queue) => (hasRequests(k, queue) ? '[none]' : 'none'),
};

/** Atomic writes (6.11), streams and unmapping zeroes (6.16 and later): files of the limits of the same kernels. */
const LATER_FILES: Readonly<Record<string, readonly [needs: string, value: Value]>> = {
  atomic_write_max_bytes: ['atomic_write_max_sectors', sectors('atomic_write_max_sectors')],
  atomic_write_boundary_bytes: ['atomic_write_boundary_sectors', sectors('atomic_write_boundary_sectors')],
  atomic_write_unit_max_bytes: ['atomic_write_unit_max', plain('atomic_write_unit_max')],
  atomic_write_unit_min_bytes: ['atomic_write_unit_min', plain('atomic_write_unit_min')],
  iostats_passthrough: ['max_write_streams', none],
  max_write_streams: ['max_write_streams', plain('max_write_streams')],
  write_stream_granularity: ['max_write_streams', plain('write_stream_granularity')],
  write_zeroes_unmap_max_bytes: ['max_wzeroes_unmap_sectors', sectors('max_wzeroes_unmap_sectors')],
  write_zeroes_unmap_max_hw_bytes: ['max_hw_wzeroes_unmap_sectors', sectors('max_hw_wzeroes_unmap_sectors')],
};

/** Files that can be written: switches, and how much is read ahead. */
const SWITCH_FILES: readonly Switch[] = ['rotational', 'iostats', 'add_random', 'stable_writes'];

function methodsOf(name: string, value: Value, disk: Address): { mode: number; methods: AttributeMethods } {
  const methods = readOnly(value, disk);
  const own = SWITCH_FILES.find((each) => each === name);
  if (own === undefined && name !== 'read_ahead_kb') return { mode: 0o444, methods };
  return {
    mode: 0o644,
    methods: { ...methods, store: (k, page, count) => store(k, disk, own, written(k, page, count), count) },
  };
}

function store(k: Linux, disk: Address, own: Switch | undefined, text: string, count: number): Steps<number> {
  if (!/^\d+$/.test(text)) return accept(-Errno.EINVAL);
  if (own !== undefined) turn(k, k.read('gendisk.queue', disk), own, Number(text) !== 0);
  else k.write('backing_dev_info.ra_pages', k.read('gendisk.bdi', disk), Math.floor(Number(text) / PAGE_KB));
  return accept(count);
}

/** Makes the files of a disk that has a directory. */
export function addDiskFiles(k: Linux, disk: Address): void {
  const kobject = kdevOf(k, disk) + k.offset('device.kobj');
  for (const [name, value] of Object.entries(DISK_FILES))
    addOwnFile(k, kobject, name, 0o444, readOnly(value, disk));
  if (k.types.has('request_queue.limits_lock'))
    addOwnFile(
      k,
      kobject,
      'partscan',
      0o444,
      readOnly((_k, at) => Number(hasPartitions(k, at)), disk),
    );
  const tree = k.state(sysfs);
  addBacking(k, disk, tree.directoryOf(kobject));
  addUnused(k, disk, tree.directoryOf(kobject));
  const number = k.read('block_device.bd_dev', wholeOf(k, disk));
  const own = tree.directoryOf(kobject);
  if (own === undefined) return;
  sysDirectory(k, 'block').add(symlink(own.name, own.path));
  sysDirectory(k, 'dev/block').add(symlink(`${majorOf(number)}:${minorOf(number)}`, own.path));
}

/** What nothing here makes use of: checks of integrity by the disk, and traces of what it is asked. */
const UNUSED: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  integrity: {
    device_is_integrity_capable: '0',
    format: 'none',
    protection_interval_bytes: '0',
    read_verify: '0',
    tag_size: '0',
    write_generate: '0',
  },
  trace: { act_mask: 'disabled', enable: '0', end_lba: 'disabled', pid: 'disabled', start_lba: 'disabled' },
};

/** Folders that devices of every driver have; of power management there is the folder alone. */
export function addUnused(k: Linux, disk: Address, own: Node | undefined, parts = Object.keys(UNUSED)): void {
  for (const part of parts) {
    const folder = own?.add(directory(part));
    for (const [name, text] of Object.entries(UNUSED[part]))
      folder?.add(regular(name, 0o444, attributeMethods(readOnly(() => text, disk))));
  }
  own?.add(directory('power'));
  own?.add(symlink('subsystem', sysDirectory(k, 'class/block').path));
}

export function removeDiskFiles(k: Linux, disk: Address): void {
  const name = k.readString('gendisk.disk_name', disk);
  const number = k.read('block_device.bd_dev', wholeOf(k, disk));
  const numbered = `${majorOf(number)}:${minorOf(number)}`;
  sysDirectory(k, 'block').remove(name.replaceAll('/', '!'));
  for (const folder of ['dev/block', 'class/bdi', 'devices/virtual/bdi'])
    sysDirectory(k, folder).remove(numbered);
}

/** The queue's files: blk_register_queue. */
export function addQueueFiles(k: Linux, disk: Address): void {
  const queue = k.read('gendisk.queue', disk);
  const kobject = kdevOf(k, disk) + k.offset('device.kobj');
  const folder = k.state(sysfs).subdirectory(kobject, 'queue');
  const add = (name: string, value: Value) => {
    const { mode, methods } = methodsOf(name, value, disk);
    folder?.add(regular(name, mode, attributeMethods(methods)));
  };
  for (const [name, value] of Object.entries(QUEUE_FILES)) add(name, value);
  const requests = hasRequests(k, queue);
  if (requests || !k.types.has('queue_limits.features')) {
    for (const [name, value] of Object.entries(REQUEST_FILES)) add(name, value);
    // Nothing slows writes down here: as for a queue without that function, reading fails.
    folder?.add(regular('wbt_lat_usec', 0o644, attributeMethods({ show: () => accept(-Errno.EINVAL) })));
  }
  if (requests && k.read('blk_mq_ops.timeout', k.read('request_queue.mq_ops', queue)) !== 0)
    add('io_timeout', (_k, _disk, at) => (k.read('request_queue.rq_timeout', at) * 1000) / HZ);
  for (const [name, [needs, value]] of Object.entries(LATER_FILES))
    if (k.types.has(`queue_limits.${needs}`)) add(name, value);
  if (requests) addHardwareFiles(k, kobject, queue);
}

/** mq/N: the hardware queues and the processors that use each. */
function addHardwareFiles(k: Linux, kobject: Address, queue: Address): void {
  const folder = k.state(sysfs).subdirectory(kobject, 'mq');
  for (const [number, hardware] of hardwareQueues(k, queue).entries()) {
    const own = folder?.add(directory(String(number)));
    const tags = () => k.read('blk_mq_hw_ctx.tags', hardware);
    const file = (name: string, value: () => string | number) =>
      own?.add(
        regular(name, 0o444, attributeMethods({ show: (_k, page) => showText(k, page, `${value()}\n`) })),
      );
    file('nr_tags', () => k.read('blk_mq_tags.nr_tags', tags()));
    file('nr_reserved_tags', () => k.read('blk_mq_tags.nr_reserved_tags', tags()));
    file('cpu_list', () => (number === 0 ? '0' : ''));
    if (number === 0) own?.add(directory('cpu0'));
  }
}

/** bdi_register: /sys/class/bdi/MAJOR:MINOR, and a link to it. */
function addBacking(k: Linux, disk: Address, own: Node | undefined): void {
  const number = k.read('block_device.bd_dev', wholeOf(k, disk));
  const name = `${majorOf(number)}:${minorOf(number)}`;
  const bdi = k.read('gendisk.bdi', disk);
  k.memory.write(bdi + k.offset('backing_dev_info.dev_name'), new TextEncoder().encode(`${name}\0`));
  const folder = sysDirectory(k, 'devices/virtual/bdi').add(directory(name));
  sysDirectory(k, 'class/bdi').add(symlink(name, folder.path));
  own?.add(symlink('bdi', folder.path));
  const ahead = methodsOf('read_ahead_kb', QUEUE_FILES.read_ahead_kb, disk);
  folder.add(regular('read_ahead_kb', ahead.mode, attributeMethods(ahead.methods)));
  for (const file of ['min_ratio', 'max_ratio'])
    folder.add(
      regular(file, 0o444, attributeMethods(readOnly((_k) => k.read(`backing_dev_info.${file}`, bdi), disk))),
    );
  folder.add(
    regular('stable_pages_required', 0o444, attributeMethods(readOnly(switched('stable_writes'), disk))),
  );
}
