/**
 * Backing devices that a module makes itself (mm/backing-dev.c), such as that of flash memory. Their devices are in
 * the class `bdi`; a disk has a folder of its own there (block/disk-files.ts).
 */
import { perKernel } from '../../../kernel/kernel.ts';
import type { Steps } from '../../../kernel/steps.ts';
import { bytesOf } from '../../../kernel/text/sink.ts';
import type { Address } from '../../../memory/space.ts';
import { accept, addOwnFile, showText, written } from '../driver/bus.ts';
import { kobjectOf } from '../driver/names.ts';
import { Errno } from '../errno.ts';
import type { Linux } from '../linux.ts';
import { initList } from '../lists.ts';
import { kernelFunctions } from './define.ts';
import { adoptClass, createDevice, deleteDevice } from './device.ts';
import { format } from './format/printf.ts';
import { put } from './kobject.ts';

/** VM_READAHEAD_PAGES: 128 kB. */
const READ_AHEAD_PAGES = 32;
/** BDI_CAP_WRITEBACK and BDI_CAP_WRITEBACK_ACCT (include/linux/backing-dev.h). */
const CAPABILITIES = 3;
/** Per cent of the memory to be written that one device may hold. */
const WHOLE = 100;
/** Room of backing_dev_info.dev_name, its end included. */
const NAME_BYTES = 64;
const PAGE_KB = 4;

const bdiClass = perKernel<Address, Linux>((k) => {
  const at = k.heap.allocateZeroed(k.sizeof('class'));
  adoptClass(k, at, 'bdi');
  return at;
});

const COUNT = 'backing_dev_info.refcnt.refcount.refs.counter';

function allocate(k: Linux): Address {
  const bdi = k.heap.allocateZeroed(k.sizeof('backing_dev_info'));
  if (bdi === 0) return 0;
  k.write(COUNT, bdi, 1);
  k.write('backing_dev_info.capabilities', bdi, CAPABILITIES);
  k.write('backing_dev_info.ra_pages', bdi, READ_AHEAD_PAGES);
  k.write('backing_dev_info.io_pages', bdi, READ_AHEAD_PAGES);
  k.write('backing_dev_info.max_ratio', bdi, WHOLE);
  initList(k, bdi + k.offset('backing_dev_info.bdi_list'));
  initList(k, bdi + k.offset('backing_dev_info.wb_list'));
  return bdi;
}

function* register(k: Linux, bdi: Address, name: string): Steps<number> {
  if (k.read('backing_dev_info.dev', bdi) !== 0) return 0;
  k.memory.write(bdi + k.offset('backing_dev_info.dev_name'), bytesOf(`${name}\0`));
  const device = yield* createDevice(k, k.state(bdiClass), 0, 0, bdi, 0, name);
  if (device < 0 && device >= -4095) return device;
  k.write('backing_dev_info.dev', bdi, device);
  const kobject = kobjectOf(k, device);
  addOwnFile(k, kobject, 'read_ahead_kb', 0o644, {
    show: (kernel, page) =>
      showText(kernel, page, `${kernel.read('backing_dev_info.ra_pages', bdi) * PAGE_KB}\n`),
    store: (kernel, page, count) => storeReadAhead(kernel, bdi, written(kernel, page, count), count),
  });
  for (const ratio of ['min_ratio', 'max_ratio'])
    addOwnFile(k, kobject, ratio, 0o444, {
      show: (kernel, page) => showText(kernel, page, `${kernel.read(`backing_dev_info.${ratio}`, bdi)}\n`),
    });
  return 0;
}

function storeReadAhead(k: Linux, bdi: Address, text: string, count: number): Steps<number> {
  if (!/^\d+$/.test(text)) return accept(-Errno.EINVAL);
  k.write('backing_dev_info.ra_pages', bdi, Math.floor(Number(text) / PAGE_KB));
  return accept(count);
}

export const bdiFunctions = kernelFunctions({
  'struct backing_dev_info *bdi_alloc(int node_id)': allocate,
  'int bdi_register(struct backing_dev_info *bdi, const char *fmt, ...)': (k, bdi, text, args) =>
    register(k, bdi, format(k, text, args, NAME_BYTES).text.slice(0, NAME_BYTES - 1)),
  'void bdi_unregister(struct backing_dev_info *bdi)': function* (k, bdi) {
    const device = k.read('backing_dev_info.dev', bdi);
    if (device === 0) return;
    k.write('backing_dev_info.dev', bdi, 0);
    yield* deleteDevice(k, device);
    yield* put(k, kobjectOf(k, device));
  },
  'void bdi_put(struct backing_dev_info *bdi)': (k, bdi) => {
    const count = k.read(COUNT, bdi) - 1;
    k.write(COUNT, bdi, count);
    if (count === 0) k.heap.free(bdi);
  },
});
