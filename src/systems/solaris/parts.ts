/**
 * Modules of the system itself that drivers name as dependencies (misc/gld, misc/mac, misc/usba ...). The base kernel
 * has no files of them: where the module path has none either, it stands for them itself. Their functions are seen by
 * those alone that name the module, as krtld's rule has it.
 */
import { perKernel } from '../../kernel/kernel.ts';
import type { Address } from '../../memory/space.ts';
import { moduleName } from './modctl.ts';
import type { Solaris } from './solaris.ts';
import { PART_TEXTS } from './wording.ts';

export interface Part {
  /** As dependencies name it: `misc/gld`. */
  readonly name: string;
  /** Its linkage, as modinfo(1M) shows it. */
  readonly text: string;
  /** Names of its functions. */
  readonly owns: RegExp;
}

/** Prefixes of the functions by module: those of manual section 9F, and of the public headers below sys/. */
const FAMILIES: Readonly<Record<string, RegExp>> = {
  'misc/gld': /^gld_/,
  'misc/mac': /^mac_/,
  'misc/usba': /^(usb|usba|hubd)_/,
  'misc/net80211': /^ieee80211_/,
  'misc/scsi': /^scsi_/,
  'misc/sata': /^sata_/,
  // csx_ functions are the kernel's own: drivers call them without naming misc/cs.
  'misc/cs': /^cs_/,
  'misc/mii': /^mii_/,
  'misc/cmlb': /^cmlb_/,
  'misc/hidparser': /^hidparser_/,
  'misc/ibtl': /^ib[ct]_/,
  'drv/audio': /^audio_/,
  'misc/drm': /^drm_/,
  'drv/stmf': /^stmf_/,
  'misc/ksocket': /^ksocket_/,
};

export const PARTS: readonly Part[] = Object.entries(FAMILIES).map(([name, owns]) => ({
  name,
  owns,
  text: PART_TEXTS[name] ?? moduleName(name),
}));

/** The part that a symbol belongs to. */
export const partOwning = (symbol: string): Part | undefined => PARTS.find(({ owns }) => owns.test(symbol));

/** The part of that name, or at the path where the system has it: `/kernel/misc/amd64/gld`. */
export function findPart(name: string): Part | undefined {
  const plain = name.replace(/^\/(usr\/)?kernel\//, '').replace(/\/(amd64|sparcv9)\//, '/');
  return PARTS.find((part) => part.name === plain);
}

/** Parts that are in memory, by the address of their modctl. */
const loaded = perKernel(() => new Map<Address, Part>());

export const partOf = (k: Solaris, modctl: Address): Part | undefined => k.state(loaded).get(modctl);

export function holdPart(k: Solaris, modctl: Address, part: Part): void {
  k.state(loaded).set(modctl, part);
}

export function dropPart(k: Solaris, modctl: Address): void {
  k.state(loaded).delete(modctl);
}
