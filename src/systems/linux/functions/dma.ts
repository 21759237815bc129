/** What a driver says of the addresses its device can reach (kernel/dma/mapping.c, direct.c): all memory is below 4 GiB. */
import type { Address } from '../../../memory/space.ts';
import { Errno } from '../errno.ts';
import type { Linux } from '../linux.ts';
import { kernelFunctions } from './define.ts';

/** DMA_BIT_MASK(24): the zone that every device with 24 address lines reaches. */
const ZONE_DMA = 0xff_ffffn;

/** dma_direct_supported: there is memory that such a device can reach. */
function supported(k: Linux, mask: bigint): boolean {
  const last = BigInt(k.memory.frames.total - 1) * 4096n;
  return mask >= (last < ZONE_DMA ? last : ZONE_DMA);
}

/** Pages that the watermarks of the one zone leave (mm/page_alloc.c, __setup_per_zone_wmarks). */
function freeBufferPages(k: Linux): number {
  const managed = k.memory.frames.total;
  const minimum = Math.floor(Math.min(Math.max(Math.sqrt(managed * 4 * 16), 128), 262144) / 4);
  const step = Math.max(Math.floor(minimum / 4), Math.floor((managed * 10) / 10000));
  return managed - (minimum + 2 * step);
}

const maskOf = (k: Linux, device: Address): Address => k.read('device.dma_mask', device);

/** How x86 encodes each page_cache_mode in a page table entry once the PAT is set up (arch/x86/mm/pat/memtype.c). */
const PROTECTION = [0, 0x08, 0x10, 0x18, 0x98, 0x88];

export const dmaFunctions = kernelFunctions({
  'int dma_set_mask(struct device *dev, u64 mask)': (k, device, mask) => {
    const at = maskOf(k, device);
    if (at === 0 || !supported(k, mask)) return -Errno.EIO;
    k.memory.setU64(at, mask);
    return 0;
  },
  'int dma_set_coherent_mask(struct device *dev, u64 mask)': (k, device, mask) => {
    if (!supported(k, mask)) return -Errno.EIO;
    k.memory.setU64(device + k.offset('device.coherent_dma_mask'), mask);
    return 0;
  },
  'unsigned long nr_free_buffer_pages(void)': freeBufferPages,
  'unsigned long cachemode2protval(enum page_cache_mode pcm)': (_k, mode) => PROTECTION[mode] ?? 0,
  // No notifier of address spaces can be registered, so none is on its way out.
  'void mmu_notifier_synchronize(void)': () => undefined,
});
