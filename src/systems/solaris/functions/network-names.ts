/** Byte order and addresses of networks, and the list of installed memory. */
import { perKernel } from '../../../kernel/kernel.ts';
import type { Address } from '../../../memory/space.ts';
import type { Solaris } from '../solaris.ts';
import { kernelFunctions } from './define.ts';

const swap16 = (_k: Solaris, value: number): number => ((value & 0xff) << 8) | ((value >>> 8) & 0xff);
const swap32 = (_k: Solaris, value: number): number =>
  (((value & 0xff) << 24) | ((value & 0xff00) << 8) | ((value >>> 8) & 0xff00) | (value >>> 24)) >>> 0;

/** ether_sprintf has one buffer for everybody. */
const etherText = perKernel<Address, Solaris>((k) => k.data.take(24));

export const networkNames = kernelFunctions({
  'uint16_t htons(uint16_t value)': swap16,
  'uint16_t ntohs(uint16_t value)': swap16,
  'uint32_t htonl(uint32_t value)': swap32,
  'uint32_t ntohl(uint32_t value)': swap32,
  'char *ether_sprintf(void *address)': (k, address) => {
    const text = [...k.memory.bytes(address, 6)].map((byte) => byte.toString(16)).join(':');
    k.memory.write(k.state(etherText), new TextEncoder().encode(`${text}\0`));
    return k.state(etherText);
  },
  // Installed memory does not change.
  'void memlist_read_lock(void)': () => undefined,
  'void memlist_read_unlock(void)': () => undefined,
});
