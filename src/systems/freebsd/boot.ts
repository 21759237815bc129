/** Boots a FreeBSD base kernel: the kernel itself, its linker, and which interfaces it has built in. */
import type { Engine } from '../../cpu/engines.ts';
import type { MissingPolicy } from '../../kernel/missing.ts';
import { freebsdData } from './data.ts';
import type { Bits } from './declarations.ts';
import { FreeBsd } from './freebsd.ts';
import { linkerHolder } from './kernel-linker.ts';
import type { BuiltIn } from './kld.ts';
import { Linker } from './linker.ts';
import { freebsdFunctions } from './registry.ts';
import { type FileSource, ModuleSearch } from './search.ts';
import { majorOf } from './version.ts';

export interface BootOptions {
  /** `__FreeBSD_version` */
  readonly version: number;
  readonly bits?: Bits;
  readonly files: FileSource;
  /** kern.module_path */
  readonly modulePath?: string;
  readonly seed?: number;
  /** What executes machine code. */
  readonly engine?: Engine;
  readonly ramMiB?: number;
  readonly missing?: MissingPolicy;
  /** Loader tunables (kernel environment). */
  readonly environment?: ReadonlyMap<string, string>;
  /** `minimal`: nothing but what is written here; `generic` (the default): see GENERIC. */
  readonly config?: 'generic' | 'minimal';
  /** What the kernel's own file declares (KernelFile.interfaces): then these count, and no `config`. */
  readonly interfaces?: readonly BuiltIn[];
}

/** What the base kernel always offers beside `kernel`: parts that it has functions for. */
const BUILT_IN: readonly BuiltIn[] = [{ name: 'firmware', version: 1 }];

/**
 * Interfaces that GENERIC kernels of releases 8 to 15 declare. The base kernel has them when a module depends on one and
 * no file in the module path brings it; a file of that name is loaded instead, where a real GENERIC would refuse it as
 * there already.
 */
const GENERIC: ReadonlyMap<string, number> = new Map(
  (
    'acpi acpi_pci agp ahc ahc_pci ahd ata atapci cam cardbus cd9660 crypto cryptodev cryptosoft dcons_crom ether exca ' +
    'fbd firewire geom_raid io isa krpc mem mii_bitbang miibus midi mmc msdosfs nfs nfscommon nfslock null ' +
    'pccard pci ppbus procfs pseudofs random rc4 sdhci splash sysvmsg sysvsem sysvshm ucom uether ufs uhid uhub ' +
    'ukbd umass ums usb usb_quirk virtio virtio_pci vmbus wlan wlan_amrr wlan_ccmp wlan_sta wlan_tkip wlan_wep x86bios zlib ' +
    'iflib lagg nvme uart usb_linux netmap ipsec_support random_harvestq random_device'
  )
    .split(' ')
    .map((name) => [name, 1] as const),
);
const OTHER_VERSIONS: readonly (readonly [string, number])[] = [
  ['sound', 5],
  ['netgraph', 12],
  ['if_vlan', 3],
  ['g_part', 0],
];

/** MAC_VERSION of sys/security/mac/mac_policy.h. */
const macSupport = (version: number): readonly [string, number] => [
  'kernel_mac_support',
  majorOf(version) < 14 ? 4 : 5,
];

/** What a kernel of this version is taken to have built in where its own file is not at hand. */
export function genericInterfaces(
  version: number,
  config: BootOptions['config'] = 'generic',
): ReadonlyMap<string, number> {
  if (config === 'minimal') return new Map();
  return new Map([...GENERIC, ...OTHER_VERSIONS, macSupport(version)]);
}

export interface Booted {
  readonly k: FreeBsd;
  readonly linker: Linker;
}

export function bootFreeBsd(options: BootOptions): Booted {
  const { version, files, modulePath, config, interfaces, ...rest } = options;
  const k = new FreeBsd({ version, functions: freebsdFunctions, data: freebsdData, ...rest });
  const search = new ModuleSearch(files, modulePath);
  const generic = interfaces === undefined ? genericInterfaces(version, config) : new Map<string, number>();
  const linker = new Linker(k, search, interfaces ?? BUILT_IN, generic);
  k.state(linkerHolder).linker = linker;
  return { k, linker };
}
