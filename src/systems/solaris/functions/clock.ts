/** The clock: 100 ticks a second (hz), counted from the virtual time of the machine. */
import type { Solaris } from '../solaris.ts';

export const HZ = 100;
export const NS_PER_TICK = 1e9 / HZ;
/** What gethrestime says at boot: 1 January 2015, 0:00 UTC. The machine has no clock of its own. */
export const BOOT_SECONDS = 1_420_070_400;

/** Clock ticks since boot (ddi_get_lbolt). */
export const ticks = (k: Solaris): number => Math.floor(k.time.now() / NS_PER_TICK);

/** Seconds since 1970. */
export const seconds = (k: Solaris): number => BOOT_SECONDS + Math.floor(k.time.now() / 1e9);
