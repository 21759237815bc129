/** The devices of partitions: made and taken away with what is found on a disk (block/partitions/core.c). */
import { perKernel } from '../../../kernel/kernel.ts';
import type { Steps } from '../../../kernel/steps.ts';
import type { Address } from '../../../memory/space.ts';
import { addOwnFile, showText } from '../driver/bus.ts';
import { kobjectOf } from '../driver/names.ts';
import { addVariable } from '../driver/uevent.ts';
import { addDevice, deleteDevice, initialise } from '../functions/device.ts';
import { createAndAdd, hold, put, setName } from '../functions/kobject.ts';
import type { Linux } from '../linux.ts';
import { sysDirectory, sysfs } from '../sysfs.ts';
import { majorOf, makeDevice, minorOf } from '../vfs/chrdev.ts';
import { symlink } from '../vfs/node.ts';
import { partitionPrefix, partNumber } from './bio.ts';
import {
  allocateDevice,
  blockDevices,
  capacityOf,
  diskOf,
  embedded,
  freeDevice,
  inodeOfDevice,
  isReadOnly,
  kdevOf,
  queueOf,
  setCapacity,
  startOf,
} from './device.ts';
import { addUnused, inFlightLine, statLine } from './disk-files.ts';
import { limit, limitsOf } from './limits.ts';
import { BLOCK_EXT_MAJOR, giveBackExtended, takeExtended } from './majors.ts';
import { invalidate, synchronise } from './pages.ts';
import type { FoundPartition } from './partition-tables.ts';

/** PARTITION_META_INFO_UUIDLTH and PARTITION_META_INFO_VOLNAMELTH: struct partition_meta_info is these two texts. */
const UUID_BYTES = 37;
const LABEL_BYTES = 64;

const types = perKernel<Map<string, Address>, Linux>(() => new Map());

/** struct device_type of disks, and that of partitions: its name is what uevents call DEVTYPE, its release ends them. */
export function deviceType(k: Linux, name: 'disk' | 'partition'): Address {
  const made = k.state(types).get(name);
  if (made !== undefined) return made;
  const type = k.heap.allocateZeroed(k.sizeof('device_type'));
  const text = k.heap.allocateZeroed(16);
  k.memory.write(text, new TextEncoder().encode(name));
  k.write('device_type.name', type, text);
  k.write('device_type.release', type, k.addressOf(name === 'disk' ? 'disk_release' : 'part_release'));
  k.write('device_type.uevent', type, k.addressOf(name === 'disk' ? 'block_uevent' : 'part_uevent'));
  k.state(types).set(name, type);
  return type;
}

/** add_partition: 0 or a negative errno. */
export function* addPartition(k: Linux, disk: Address, found: FoundPartition): Steps<number> {
  const device = allocateDevice(k, disk, k.read('gendisk.queue', disk), found.number);
  k.write('block_device.bd_start_sect', device, found.start);
  setCapacity(k, device, found.sectors);
  rememberNames(k, device, found);
  const minors = k.read('gendisk.minors', disk);
  const number =
    found.number < minors
      ? makeDevice(k.read('gendisk.major', disk), k.read('gendisk.first_minor', disk) + found.number)
      : makeDevice(BLOCK_EXT_MAJOR, takeExtended(k));
  const kdev = embedded(k, device);
  initialise(k, kdev);
  k.write('device.class', kdev, k.read('device.class', kdevOf(k, disk)));
  k.write('device.type', kdev, deviceType(k, 'partition'));
  k.write('device.parent', kdev, kdevOf(k, disk));
  k.write('device.devt', kdev, number);
  k.write('block_device.bd_dev', device, number);
  k.write('inode.i_rdev', inodeOfDevice(k, device), number);
  setName(
    k,
    kobjectOf(k, kdev),
    `${partitionPrefix(k.readString('gendisk.disk_name', disk))}${found.number}`,
  );
  hold(k, kobjectOf(k, kdevOf(k, disk)));
  const error = yield* addDevice(k, kdev);
  if (error !== 0) {
    yield* put(k, kobjectOf(k, kdev));
    return error;
  }
  k.write('block_device.bd_holder_dir', device, yield* createAndAdd(k, 'holders', kobjectOf(k, kdev)));
  addFiles(k, device);
  k.state(blockDevices).set(number, device);
  yield* enterInTable(k, disk, found.number, device);
  return 0;
}

function rememberNames(k: Linux, device: Address, { uuid, label }: FoundPartition): void {
  if (uuid === '' && label === '') return;
  const info = k.heap.allocateZeroed(UUID_BYTES + LABEL_BYTES);
  k.memory.write(info, new TextEncoder().encode(uuid.slice(0, UUID_BYTES - 1)));
  k.memory.write(info + UUID_BYTES, new TextEncoder().encode(label.slice(0, LABEL_BYTES - 1)));
  k.write('block_device.bd_meta_info', device, info);
}

/** gendisk.part_tbl, by the number of the partition; the disk itself is the first in it. */
function* enterInTable(k: Linux, disk: Address, number: number, device: Address): Steps<void> {
  const table = disk + k.offset('gendisk.part_tbl');
  if (device === 0) yield* k.call(k.addressOf('xa_erase'), table, number);
  else yield* k.call(k.addressOf('xa_store'), table, number, device, GFP_KERNEL);
}

const GFP_KERNEL = 0xcc0;

function addFiles(k: Linux, device: Address): void {
  const kobject = kobjectOf(k, embedded(k, device));
  const limitOf = (name: string) => limit(k, limitsOf(k, queueOf(k, device)), name);
  const files: Readonly<Record<string, () => string | number>> = {
    partition: () => partNumber(k, device),
    start: () => startOf(k, device),
    size: () => capacityOf(k, device),
    ro: () => Number(isReadOnly(k, device)),
    alignment_offset: () => limitOf('alignment_offset'),
    discard_alignment: () => limitOf('discard_alignment'),
    stat: () => statLine(k, device),
    inflight: () => inFlightLine(k, device),
  };
  for (const [name, value] of Object.entries(files))
    addOwnFile(k, kobject, name, 0o444, { show: (kernel, page) => showText(kernel, page, `${value()}\n`) });
  const tree = k.state(sysfs);
  const own = tree.directoryOf(kobject);
  addUnused(k, diskOf(k, device), own, ['trace']);
  if (own !== undefined) sysDirectory(k, 'dev/block').add(symlink(numbered(k, device), own.path));
}

function numbered(k: Linux, device: Address): string {
  const number = k.read('block_device.bd_dev', device);
  return `${majorOf(number)}:${minorOf(number)}`;
}

/** delete_partition. */
export function* removePartition(k: Linux, device: Address): Steps<void> {
  const number = k.read('block_device.bd_dev', device);
  yield* synchronise(k, device);
  invalidate(k, device, true);
  k.state(blockDevices).delete(number);
  yield* enterInTable(k, diskOf(k, device), partNumber(k, device), 0);
  sysDirectory(k, 'dev/block').remove(numbered(k, device));
  yield* put(k, k.read('block_device.bd_holder_dir', device));
  yield* deleteDevice(k, embedded(k, device));
  yield* put(k, kobjectOf(k, embedded(k, device)));
}

/** part_release: the last reference is gone. */
export function* releasePartition(k: Linux, kdev: Address): Steps<void> {
  const device = kdev - k.offset('block_device.bd_device');
  const disk = diskOf(k, device);
  const names = k.read('block_device.bd_meta_info', device);
  if (names !== 0) k.heap.free(names);
  giveBackExtended(k, k.read('block_device.bd_dev', device));
  freeDevice(k, device);
  yield* put(k, kobjectOf(k, kdevOf(k, disk)));
}

/** block_uevent and part_uevent: what disks and partitions tell besides their numbers and names. */
export function tellDisk(k: Linux, kdev: Address, environment: Address): number {
  const device = kdev - k.offset('block_device.bd_device');
  return addVariable(k, environment, `DISKSEQ=${k.read('gendisk.diskseq', diskOf(k, device))}`);
}

export function tellPartition(k: Linux, kdev: Address, environment: Address): number {
  const device = kdev - k.offset('block_device.bd_device');
  const error =
    tellDisk(k, kdev, environment) || addVariable(k, environment, `PARTN=${partNumber(k, device)}`);
  const names = k.read('block_device.bd_meta_info', device);
  const label = names === 0 ? '' : k.memory.cstring(names + UUID_BYTES, LABEL_BYTES);
  return error !== 0 || label === '' ? error : addVariable(k, environment, `PARTNAME=${label}`);
}
