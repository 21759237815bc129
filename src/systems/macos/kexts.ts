/**
 * The kernel's list of loaded kexts. Each has its kmod_info in guest memory: tag, reference count and the list of what it
 * was linked against are read there.
 */

import type { Address } from '../../memory/space.ts';
import type { KextInfo } from './info.ts';
import { KPI_KEXTS, OLD_KEXTS, type PseudoKext } from './kpi.ts';
import type { LinkImage } from './kxld/image.ts';
import type { Vtable } from './kxld/vtables.ts';
import type { Macos } from './macos.ts';
import { BOUND, readText, writeText } from './text.ts';
import { parseVersion } from './version.ts';

export interface LoadedKext {
  readonly identifier: string;
  readonly versionText: string;
  readonly version: bigint;
  readonly compatible: bigint;
  readonly uuid: string | undefined;
  /** Where its bundle is; empty for the kernel's own. */
  readonly path: string;
  readonly info: KextInfo | undefined;
  /** `struct kmod_info`. A kext without an executable has one as well, for its name. */
  readonly control: Address;
  readonly base: Address;
  readonly bytes: number;
  /** The KPIs of the kernel. */
  readonly isKernelComponent: boolean;
  /** Of those: under which name the lists of exports have its symbols. */
  readonly symbolOwner?: string;
  /** Takes the place of one of Apple's families that is not installed: what is called of it is missing, by name. */
  readonly isStandIn?: boolean;
  readonly image: LinkImage | undefined;
  /** Direct dependencies, in the order of OSBundleLibraries. */
  readonly dependencies: readonly LoadedKext[];
  /** What it exports: name to address. Of a KPI: undefined, the lists of the release say. */
  readonly exports: ReadonlyMap<string, Address> | undefined;
  /** Vtables of its C++ classes, which kexts that are linked against it may inherit from. */
  readonly vtables?: ReadonlyMap<string, Vtable>;
  started: boolean;
  /** Have its C++ objects been made? */
  cppReady: boolean;
}

export class KextList {
  private readonly list: LoadedKext[] = [];
  private readonly k: Macos;
  private tags = 0;

  constructor(k: Macos) {
    this.k = k;
    for (const one of k.word === 4 ? [...KPI_KEXTS, ...OLD_KEXTS] : KPI_KEXTS)
      this.list.push(this.kernelComponent(one));
  }

  get all(): readonly LoadedKext[] {
    return this.list;
  }

  find(identifier: string): LoadedKext | undefined {
    return this.list.find((kext) => kext.identifier === identifier);
  }

  /** The kext whose image holds an address. */
  at(address: Address): LoadedKext | undefined {
    return this.list.find(({ base, bytes }) => bytes > 0 && address >= base && address < base + bytes);
  }

  tag(kext: LoadedKext): number {
    return this.k.read('kmod_info.id', kext.control);
  }

  references(kext: LoadedKext): number {
    return this.k.read('kmod_info.reference_count', kext.control);
  }

  /** Tags of the kexts that it was linked against: its reference list, as the module itself could read it. */
  linkedAgainst(kext: LoadedKext): number[] {
    const tags: number[] = [];
    let at = this.k.read('kmod_info.reference_list', kext.control);
    for (let left = BOUND; at !== 0 && left > 0; left--) {
      tags.push(this.k.read('kmod_info.id', this.k.read('kmod_reference.info', at)));
      at = this.k.read('kmod_reference.next', at);
    }
    return tags;
  }

  /** Those that were linked against it. */
  dependents(kext: LoadedKext): LoadedKext[] {
    return this.list.filter((other) => other.dependencies.includes(kext));
  }

  nextTag(): number {
    return ++this.tags;
  }

  add(kext: LoadedKext): void {
    this.list.push(kext);
  }

  remove(kext: LoadedKext): void {
    const index = this.list.indexOf(kext);
    if (index >= 0) this.list.splice(index, 1);
  }

  /** Fills a kmod_info as the kernel does at the end of a link. */
  describe(
    control: Address,
    fields: { name: string; version: string; address: Address; size: number },
  ): void {
    const { k } = this;
    k.poke('kmod_info.next', control, 0);
    k.poke('kmod_info.info_version', control, 1);
    k.poke('kmod_info.reference_count', control, 0);
    writeText(k, control + k.offset('kmod_info.name'), fields.name);
    writeText(k, control + k.offset('kmod_info.version'), fields.version);
    k.poke('kmod_info.address', control, fields.address);
    k.poke('kmod_info.size', control, fields.size);
    k.poke('kmod_info.hdr_size', control, 0);
  }

  /** Puts a stand-in for a library of Apple's into the list, of whatever version is asked for. */
  addStandIn(identifier: string, versionText: string): LoadedKext {
    const { k } = this;
    const control = k.takeData(k.sizeof('struct kmod_info'));
    this.describe(control, { name: identifier, version: versionText, address: 0, size: 0 });
    k.poke('kmod_info.id', control, this.nextTag());
    const version = parseVersion('9999.9.9');
    const kext: LoadedKext = {
      identifier,
      versionText,
      version,
      compatible: 1n,
      uuid: undefined,
      path: '',
      info: undefined,
      control,
      base: 0,
      bytes: 0,
      isKernelComponent: false,
      isStandIn: true,
      image: undefined,
      dependencies: [],
      exports: undefined,
      started: true,
      cppReady: false,
    };
    this.list.push(kext);
    return kext;
  }

  name(kext: LoadedKext): string {
    return readText(this.k, kext.control + this.k.offset('kmod_info.name'));
  }

  private kernelComponent({ identifier, compatible, version: own, owner }: PseudoKext): LoadedKext {
    const { k } = this;
    const version = own ?? k.release.darwin;
    const control = k.takeData(k.sizeof('struct kmod_info'));
    this.describe(control, { name: identifier, version, address: 0, size: 0 });
    k.poke('kmod_info.id', control, this.nextTag());
    return {
      identifier,
      versionText: version,
      version: parseVersion(version),
      compatible: parseVersion(compatible),
      uuid: undefined,
      path: '',
      info: undefined,
      control,
      base: 0,
      bytes: 0,
      isKernelComponent: true,
      symbolOwner: owner ?? identifier,
      image: undefined,
      dependencies: [],
      exports: undefined,
      started: true,
      cppReady: false,
    };
  }
}
