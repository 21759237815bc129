/**
 * Which pseudo-kext of System.kext owns a kernel symbol, by release and architecture: the export lists that Apple
 * publishes with each kernel, as scripts/make-kpi-macos.mjs packed them.
 *
 * The packed text: a line of column names (`x86_64 10.6`), then lines of a KPI, a mask of columns in base 36, and names.
 * A name may be `_alias:_target` (the name exported for another symbol) or `_prefix*`.
 */
import { inflateSync } from 'fflate';
import type { Architecture } from './info.ts';
import { KPI_SYMBOLS } from './kpi.gen.ts';
import type { Release } from './release.ts';

export const KPI_PREFIX = 'com.apple.kpi.';
/** What 10.3 exported (System6.0.exports): 32-bit kernels up to 10.7 still offer it, under five names. */
export const OLD_KERNEL = 'com.apple.kernel.6.0';
const OLD_SET = 'kernel';
const OLD_VERSION = '7.9.9';

export interface KpiSymbol {
  /** `com.apple.kpi.libkern` */
  readonly owner: string;
  /** The kernel's own name for it when the export is an alias. */
  readonly target: string | undefined;
}

interface Packed {
  readonly columns: readonly string[];
  readonly groups: readonly { readonly kpi: string; readonly mask: number; readonly names: string }[];
}

function unpack(): Packed {
  const bytes = Uint8Array.from(atob(KPI_SYMBOLS), (character) => character.charCodeAt(0));
  const [head, ...lines] = new TextDecoder().decode(inflateSync(bytes)).split('\n');
  const groups = lines.map((line) => {
    const first = line.indexOf(' ');
    const second = line.indexOf(' ', first + 1);
    return {
      kpi: line.slice(0, first),
      mask: Number.parseInt(line.slice(first + 1, second), 36),
      names: line.slice(second + 1),
    };
  });
  return { columns: head.split(','), groups };
}

/** The kernel exports of one release on one architecture. */
export class KpiSymbols {
  /** Were the lists of this release and architecture published? Without them nothing can be said of owners. */
  readonly known: boolean;
  private readonly names = new Map<string, KpiSymbol[]>();
  private readonly prefixes: { readonly prefix: string; readonly owner: string }[] = [];

  constructor(release: Pick<Release, 'name'>, architecture: Architecture) {
    const { columns, groups } = unpack();
    const family = architecture === 'arm64e' ? 'arm64' : architecture;
    const column = columns.indexOf(`${family} ${release.name}`);
    this.known = column >= 0;
    if (column < 0) return;
    for (const { kpi, mask, names } of groups) {
      if (((mask >>> column) & 1) === 0) continue;
      const owner = kpi === OLD_SET ? OLD_KERNEL : `${KPI_PREFIX}${kpi}`;
      for (const name of names.split(' ')) this.add(owner, name);
    }
  }

  private add(owner: string, text: string): void {
    if (text.endsWith('*')) {
      this.prefixes.push({ prefix: text.slice(0, -1), owner });
      return;
    }
    const [name, target] = text.split(':');
    const known = this.names.get(name);
    if (known === undefined) this.names.set(name, [{ owner, target }]);
    else known.push({ owner, target });
  }

  /** Every KPI that exports a symbol (with its leading underscore); those that a third party may name come first. */
  owners(symbol: string): readonly KpiSymbol[] {
    const found = this.names.get(symbol);
    if (found !== undefined) return [...found].sort((a, b) => rank(a.owner) - rank(b.owner));
    const prefix = this.prefixes.find((one) => symbol.startsWith(one.prefix));
    return prefix === undefined ? [] : [{ owner: prefix.owner, target: undefined }];
  }

  /** Every name that is exported, those that stand for many by a prefix left out. */
  all(): readonly string[] {
    return [...this.names.keys()];
  }

  /** The owner to name in OSBundleLibraries; undefined when no KPI of this release exports the symbol. */
  owner(symbol: string): KpiSymbol | undefined {
    return this.owners(symbol)[0];
  }
}

/** Further identifiers under which System.kext has plug-ins without symbols: parts of the kernel like the KPIs. */
export const KERNEL_RESOURCES: readonly string[] = [
  'com.apple.iokit.IONVRAMFamily',
  'com.apple.iokit.IOSystemManagementFamily',
  'com.apple.iokit.ApplePlatformFamily',
  'com.apple.driver.AppleNMI',
];

/** com.apple.kpi.private and .unsupported come last, behind them what is there for old kexts alone. */
function rank(owner: string): number {
  if (owner === OLD_KERNEL) return 3;
  if (owner.endsWith('.private')) return 2;
  return owner.endsWith('.unsupported') ? 1 : 0;
}

export interface PseudoKext {
  readonly identifier: string;
  readonly compatible: string;
  /** Undefined where it is that of the kernel. */
  readonly version?: string;
  /** The owner of its symbols in the lists, when that is another name. */
  readonly owner?: string;
}

const old = (name: string, compatible: string): PseudoKext => ({
  identifier: `com.apple.kernel.${name}`,
  compatible,
  version: OLD_VERSION,
  owner: OLD_KERNEL,
});

/** Those of 32-bit kernels beside the KPIs. */
export const OLD_KEXTS: readonly PseudoKext[] = [
  old('6.0', OLD_VERSION),
  old('bsd', '1.1'),
  old('iokit', '1.0.0b1'),
  old('libkern', '1.0.0b1'),
  old('mach', '1.0.0b1'),
];

/** The KPI pseudo-kexts with the compatible versions that their property lists declare. */
export const KPI_KEXTS: readonly PseudoKext[] = [
  { identifier: 'com.apple.kpi.bsd', compatible: '8.0.0b1' },
  { identifier: 'com.apple.kpi.dsep', compatible: '8.0.0b1' },
  { identifier: 'com.apple.kpi.iokit', compatible: '7.0' },
  { identifier: 'com.apple.kpi.libkern', compatible: '8.0.0d0' },
  { identifier: 'com.apple.kpi.mach', compatible: '8.0.0d0' },
  { identifier: 'com.apple.kpi.private', compatible: '8.0.0b1' },
  { identifier: 'com.apple.kpi.unsupported', compatible: '8.0.0b1' },
];
