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

/** The parts of what date(1) shows, at a virtual time in ns since boot. */
export function dateAt(time: number): {
  weekday: string;
  month: string;
  day: string;
  clock: string;
  year: string;
} {
  const date = new Date((BOOT_SECONDS + Math.floor(time / 1e9)) * 1000);
  const [weekday, day, month, year, clock] = date.toUTCString().replace(',', '').split(' ');
  return { weekday, month, day: String(Number(day)).padStart(2), clock, year };
}
