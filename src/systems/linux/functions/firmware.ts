/**
 * Firmware that a driver asks for (drivers/base/firmware_loader/): a file below the folders where the kernel looks, read
 * whole into memory of the kernel. Nothing is there unless somebody put it there.
 */
import { joinBytes } from '../../../bytes/join.ts';
import { perKernel } from '../../../kernel/kernel.ts';
import type { Steps } from '../../../kernel/steps.ts';
import type { Address } from '../../../memory/space.ts';
import { kobjectOf } from '../driver/names.ts';
import { Errno } from '../errno.ts';
import type { Linux } from '../linux.ts';
import { modulePut, tryModuleGet } from '../refcount.ts';
import { userSpace } from '../user.ts';
import { close, open } from '../vfs/calls.ts';
import { readFile } from '../vfs/file.ts';
import { kernelFunctions } from './define.ts';
import { writeText } from './format/printf.ts';
import { hold, put } from './kobject.ts';
import { devicePrefix } from './printk.ts';

/** Longer names are refused (PATH_MAX). */
const NAME_BYTES = 4096;
const PIECE_BYTES = 1 << 16;

/** Said once, after the first file that was not there. */
const HINT = 'firmware_class: See https://wiki.debian.org/Firmware for information about missing firmware';
const told = perKernel(() => ({ given: false }));

const folders = (k: Linux): string[] => {
  const { release } = k.file;
  return [`updates/${release}`, 'updates', release, ''].map((part) => `/lib/firmware/${part}`);
};

/** The bytes of a file of the base kernel's own tree, or a negative errno. */
function* readWhole(k: Linux, path: string): Steps<Uint8Array | number> {
  const opened = yield* open(k, path, 0, 0);
  if (typeof opened === 'number') return opened;
  const user = k.state(userSpace);
  const mark = user.mark();
  const buffer = user.allocate(PIECE_BYTES);
  const pieces: Uint8Array[] = [];
  let got = 0;
  do {
    got = yield* readFile(k, opened, buffer, PIECE_BYTES);
    if (got > 0) pieces.push(k.memory.bytes(buffer, got));
  } while (got > 0);
  user.release(mark);
  yield* close(k, opened);
  return got < 0 ? got : joinBytes(pieces);
}

function* findFile(k: Linux, name: string): Steps<Uint8Array | number> {
  for (const folder of folders(k)) {
    const found = yield* readWhole(k, `${folder}/${name}`.replaceAll('//', '/'));
    if (typeof found !== 'number' && found.length > 0) return found;
  }
  return -Errno.ENOENT;
}

/** _request_firmware: struct firmware at `to`, or NULL there and a negative errno. */
function* request(k: Linux, to: Address, nameAt: Address, device: Address, warn: boolean): Steps<number> {
  k.memory.setPtr(to, 0);
  const name = nameAt === 0 ? '' : k.memory.cstring(nameAt, NAME_BYTES);
  // A name must stay below the folders.
  if (name === '' || name.split('/').includes('..')) return -Errno.EINVAL;
  const found = yield* findFile(k, name);
  if (typeof found === 'number') {
    if (warn) tellAbsent(k, name, device, found);
    return found;
  }
  const firmware = k.heap.allocateZeroed(k.sizeof('firmware'));
  const data = k.heap.allocate(found.length);
  if (firmware === 0 || data === 0) {
    for (const at of [firmware, data]) k.heap.free(at);
    return -Errno.ENOMEM;
  }
  k.memory.write(data, found);
  k.write('firmware.size', firmware, found.length);
  k.write('firmware.data', firmware, data);
  k.memory.setPtr(to, firmware);
  return 0;
}

/** The last line is every kernel's; those before it are Debian's own, one for each form in which the file may be packed. */
function tellAbsent(k: Linux, name: string, device: Address, error: number): void {
  const prefix = device === 0 ? '' : devicePrefix(k, device);
  if (k.file.banner.includes('Debian')) {
    const quiet = quietRelease(k.file.release);
    for (let form = 0; form < forms(k); form++) {
      k.printk(quiet ? 6 : 3, `${prefix}firmware: failed to load ${name} (${error})`);
      const hints = k.state(told);
      if (!quiet && !hints.given) k.printk(3, HINT);
      hints.given = true;
    }
  }
  k.printk(4, `${prefix}Direct firmware load for ${name} failed with error ${error}`);
}

/** As it is, and with each compression that the kernel reads. */
const forms = (k: Linux): number =>
  1 + ['XZ', 'ZSTD'].filter((kind) => k.file.config?.get(`CONFIG_FW_LOADER_COMPRESS_${kind}`) === 'y').length;

/** Between 6.1 and 6.12 Debian made its lines informational and dropped the hint. */
function quietRelease(release: string): boolean {
  const [major, minor] = release.split('.').map(Number);
  return major > 6 || (major === 6 && minor >= 12);
}

function release(k: Linux, firmware: Address): void {
  if (firmware === 0) return;
  k.heap.free(k.read('firmware.data', firmware));
  k.heap.free(firmware);
}

/** request_firmware_nowait: looked for in a thread of the kernel's; the caller's function gets the file or NULL. */
function later(
  k: Linux,
  module: Address,
  nameAt: Address,
  device: Address,
  context: Address,
  callback: Address,
): number {
  if (nameAt === 0) return -Errno.EINVAL;
  if (module !== 0 && !tryModuleGet(k, module)) return -Errno.EFAULT;
  // kstrdup_const: the caller's string need not live on.
  const text = k.memory.cstring(nameAt, NAME_BYTES);
  const copy = k.heap.allocate(text.length + 1);
  writeText(k, copy, text);
  if (device !== 0) hold(k, kobjectOf(k, device));
  k.tasks.spawn('kworker/firmware', deliver(k, { module, copy, device, context, callback }));
  return 0;
}

interface Order {
  readonly module: Address;
  readonly copy: Address;
  readonly device: Address;
  readonly context: Address;
  readonly callback: Address;
}

function* deliver(k: Linux, { module, copy, device, context, callback }: Order): Steps<void> {
  const slot = k.heap.allocateZeroed(k.word);
  yield* request(k, slot, copy, device, true);
  const firmware = k.memory.ptr(slot);
  k.heap.free(slot);
  yield* k.call(callback, firmware, context);
  if (device !== 0) yield* put(k, kobjectOf(k, device));
  if (module !== 0) modulePut(k, module);
  k.heap.free(copy);
}

export const firmwareFunctions = kernelFunctions({
  'int request_firmware(const struct firmware **firmware_p, const char *name, struct device *device)': (
    k,
    to,
    name,
    device,
  ) => request(k, to, name, device, true),
  'int firmware_request_nowarn(const struct firmware **firmware, const char *name, struct device *device)': (
    k,
    to,
    name,
    device,
  ) => request(k, to, name, device, false),
  'int request_firmware_direct(const struct firmware **firmware_p, const char *name, struct device *device)':
    (k, to, name, device) => request(k, to, name, device, false),
  // There is no firmware of the platform's own to fall back to.
  'int firmware_request_platform(const struct firmware **firmware, const char *name, struct device *device)':
    (k, to, name, device) => request(k, to, name, device, true),
  'int request_firmware_nowait(struct module *module, bool uevent, const char *name, struct device *device, gfp_t gfp, void *context, void (*cont)(const struct firmware *fw, void *context))':
    (k, module, _uevent, name, device, _gfp, context, callback) =>
      later(k, module, name, device, context, callback),
  'void release_firmware(const struct firmware *fw)': release,
});
