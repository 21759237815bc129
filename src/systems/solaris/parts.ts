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
  /** What drivers call of it is here: a file of the module that lies beside a driver is not needed. */
  readonly whole: boolean;
}

/**
 * Functions by module, as the published modules export them (illumos): mostly those of one prefix. Some prefixes are of
 * two modules, which are named together then.
 */
const FAMILIES: Readonly<Record<string, RegExp>> = {
  'misc/gld': /^gld_/,
  'misc/mac': /^mac(type)?_/,
  'misc/usba': /^(usb|usba|hubd)_/,
  'misc/net80211': /^ieee80211_/,
  'mac/mac_wifi': /^wifi_/,
  'mac/mac_ipv4': /^mac_ipv4_/,
  'misc/scsi': /^(scsi|smp)_|^sense_keys$/,
  'misc/sata': /^sata_/,
  // csx_ functions are the kernel's own: drivers call them without naming misc/cs.
  'misc/cs': /^cs_/,
  'misc/pcmcia': /^pcmcia_/,
  'misc/cardbus': /^cardbus_/,
  'misc/busra': /^(ndi_ra|pcmcia_(alloc|free)|pci_resource)_/,
  'misc/mii': /^mii_/,
  'misc/cmlb': /^cmlb_/,
  'misc/dadk': /^dadk_/,
  'misc/gda': /^gda_/,
  'misc/strategy': /^(dsngl|dmult|duplx|adapt|qfifo|qsort|qmerge|qtag)_/,
  'misc/hidparser': /^hidparser_/,
  'misc/kbtrans': /^kbtrans_/,
  'misc/ibtl': /^(ib[ct]|ibtl)_/,
  'misc/ibcm': /^ibt_/,
  'misc/ibdm': /^ibdm_/,
  'misc/ibmf': /^ibmf_/,
  'misc/fctl': /^(fc|fctl)_|^pwwn_table/,
  'misc/idm': /^idm_/,
  'misc/virtio': /^virtio_/,
  'misc/kcf': /^(crypto|random|kcf)_/,
  'misc/sha1': /^SHA1/,
  'misc/sha2': /^SHA2|^SHA(256|384|512)/,
  'misc/md5': /^MD5/,
  'misc/bignum': /^big_|^bignum2bytestring$|^bytestring2bignum$/,
  'misc/ac97': /^ac97_/,
  'misc/hook': /^hook_/,
  'misc/neti': /^net_/,
  'misc/dls': /^dls_/,
  'misc/softmac': /^softmac_/,
  'misc/s1394': /^[ht]1394_/,
  'misc/sbp2': /^sbp2_/,
  'misc/hpcsvc': /^hpc_/,
  'misc/pcihp': /^pcihp_/,
  'misc/agpmaster': /^agpmaster_/,
  'misc/gfx_private': /^gfxp_/,
  'misc/acpica': /^(Acpi|acpica)/,
  'misc/drm': /^drm_/,
  'misc/ksocket': /^ksocket_/,
  'misc/ipc': /^ipc/,
  'drv/dld': /^dld_/,
  'drv/audio': /^audio_/,
  'drv/blkdev': /^bd_/,
  'drv/stmf': /^stmf_/,
  'drv/fct': /^fct_/,
  'drv/fcoe': /^fcoe_/,
  'drv/aoe': /^aoe_/,
  'drv/ipsecah': /^sadbp?_/,
  'drv/kssl': /^kssl_/,
  'drv/rds': /^rds_/,
  'drv/ip': /^(ip|ill|ipif|ire|ipsec|conn|mi|nd)_|^inet_/,
};

/**
 * Functions of such modules that the kernel has a stub for: they are called without naming the module, which the stub
 * loads (modstubs.s).
 */
const STUBBED =
  /^(ksocket|crypto|random|conn_get|ipsec_construct|mi_(copy|mpprintf|strtol)|nd)_?|^(ip|ill|ipif|ire|ipsec|conn|mi|inet)_|^dld_(ioc|devt|init_ops|fini_ops|autopush)|^dls_(devnet_(hold|rele|mac|prop)|mgmt_get_link)|^softmac_(hold|recreate|rele)|^(SHA1|MD5)|^Acpi|^acpica_/;

const WHOLE = new Set(['misc/gld', 'misc/mac']);

/** Modules of the system that others name, whose functions have no names of their own kind. */
const OTHERS = [
  ...['devfs', 'fifofs', 'nfs', 'procfs', 'sockfs', 'specfs', 'ufs', 'zfs'].map((name) => `fs/${name}`),
  ...[
    'acpidev',
    'consconfig',
    'dcopy',
    'ghd',
    'ibdma',
    'idmap',
    'iommulib',
    'kgssapi',
    'klmmod',
    'klmops',
    'nfssrv',
  ],
  ...[
    'pci_autoconfig',
    'pcicfg',
    'pcie',
    'rpcsec',
    'rpcsec_gss',
    'rsmops',
    'sda',
    'skein',
    'edonr',
    'sol_ofs',
  ],
  ...['strplumb', 'tem', 'tlimod', 'usbser'],
  ...[
    'aggr',
    'conskbd',
    'dtrace',
    'hubd',
    'ib',
    'ip6',
    'options',
    'random',
    'sad',
    'scsi_vhci',
    'sctp',
    'softmac',
  ].map((name) => `drv/${name}`),
  ...['tcp', 'udp', 'usb_ac', 'vnic'].map((name) => `drv/${name}`),
  ...['strmod/rpcmod', 'sys/doorfs', 'sys/c2audit', 'crypto/md5', 'crypto/swrand', 'dacf/consconfig_dacf'],
].map((name) => (name.includes('/') ? name : `misc/${name}`));

const NOTHING = /(?!)/;

export const PARTS: readonly Part[] = [
  ...Object.entries(FAMILIES),
  ...OTHERS.map((name): [string, RegExp] => [name, NOTHING]),
].map(([name, owns]) => ({
  name,
  owns,
  whole: WHOLE.has(name),
  text: PART_TEXTS[name] ?? moduleName(name),
}));

/** The part that a symbol belongs to. */
export const partOwning = (symbol: string): Part | undefined =>
  STUBBED.test(symbol) ? undefined : PARTS.find(({ owns }) => owns.test(symbol));

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
