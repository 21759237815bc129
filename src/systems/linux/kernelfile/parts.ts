/**
 * A kernel of which there is no image, put together of what a headers package, a distribution or a build leaves: symbol
 * lists, the configuration, the release. What is not among them is a gap, and a check says so where it would matter.
 */
import { Invalid } from '../../../bytes/errors.ts';
import { TypeTable } from '../../../ctypes/table.ts';
import type { Machine } from '../../../formats/object.ts';
import { parseConfig } from './config.ts';
import { ExportTable, type KernelExport } from './exports.ts';
import type { KernelGap, NearestExport } from './kernelfile.ts';
import { ModuleExports } from './modules.ts';
import { noTypes } from './no-types.ts';
import { rulesOfConfig, undecidedOf } from './rules.ts';
import type { Savable } from './saved.ts';
import { readStableList, readSymvers, readSystemMap, VMLINUX } from './symvers.ts';

/** Texts, each as it stands in its file. */
export interface KernelParts {
  readonly release?: string;
  /** `.config` or `config-RELEASE`. */
  readonly config?: string;
  /** Module.symvers */
  readonly symvers?: string;
  /** System.map */
  readonly systemMap?: string;
  /** A distribution's list of stable symbols. */
  readonly stableList?: string;
  /** UTS_VERSION of utsversion.h or compile.h: `#1 SMP PREEMPT_DYNAMIC Debian 6.1.192-2 (2026-01-01)`. */
  readonly version?: string;
  /** The vermagic of a module that belongs to the kernel, and the bytes of its struct module. */
  readonly own?: { readonly vermagic: string; readonly moduleBytes: number | undefined };
  readonly origin: string;
}

/** @throws Invalid */
export function kernelFromParts(parts: KernelParts): Savable {
  const config = parts.config === undefined ? undefined : parseConfig(parts.config);
  if (parts.config !== undefined && config?.size === 0)
    throw new Invalid(parts.origin, 'has no CONFIG_ option in it');
  const symbols = readSymbols(parts);
  const told = parts.release ?? parts.own?.vermagic.split(' ')[0];
  // The configuration names a version, not what uname says: enough to show, not to compare.
  const release = told ?? releaseIn(parts.config) ?? '';
  const vermagic = parts.own?.vermagic ?? composeVermagic(release, config);
  const known = new Map<string, readonly [boolean, string]>();
  if (symbols.versioned !== undefined)
    known.set('symbol-versions', [symbols.versioned, 'the symbol versions tell']);
  // The flags came with kernels after 6.12, where two tables told what they tell: nobody brings them to older ones.
  if (isUpTo(release, 6, 12)) known.set('export-flags', [false, `kernels of ${release} have two tables`]);
  const evidence = rulesOfConfig(config, known);
  const machine = machineOf(config);
  const gaps = new Set<KernelGap>(symbols.gaps);
  if (vermagic === undefined) gaps.add('vermagic');
  else if (told === undefined) gaps.add('release');
  if (machine === undefined) gaps.add('machine');
  const [name, bits, littleEndian] = machine ?? ['unknown', symbols.bits, true];
  return {
    release: release === '' ? 'unknown' : release,
    vermagic: vermagic ?? '',
    banner: `Linux version ${release} ${parts.version ?? ''}`.trim(),
    machine: name,
    bits,
    littleEndian,
    exports: symbols.table,
    modules: symbols.modules,
    evidence,
    rules: new Set(evidence.filter(({ present }) => present).map(({ rule }) => rule)),
    undecided: undecidedOf(evidence),
    gaps,
    types: new TypeTable(noTypes),
    btf: undefined,
    percpu: [],
    sections: [],
    config,
    moduleBytes: parts.own?.moduleBytes,
    origin: parts.origin,
    read: () => undefined,
    nearest: (): NearestExport | undefined => undefined,
  };
}

interface Symbols {
  readonly table: ExportTable;
  readonly modules: ModuleExports | undefined;
  readonly gaps: readonly KernelGap[];
  readonly versioned: boolean | undefined;
  readonly bits: 32 | 64;
}

/** Is a release such as `6.1.0-56-amd64` no later than this? False where it names no version. */
function isUpTo(release: string, major: number, minor: number): boolean {
  const [, first, second] = /^(\d+)\.(\d+)/.exec(release) ?? [];
  if (first === undefined) return false;
  return Number(first) < major || (Number(first) === major && Number(second) <= minor);
}

function readSymbols({ symvers, systemMap, stableList }: KernelParts): Symbols {
  if (symvers !== undefined) return fromSymvers(symvers);
  if (systemMap !== undefined) {
    const { exports, bits } = readSystemMap(systemMap);
    const versioned = exports.some(({ crc }) => crc !== undefined);
    const rows = exports.map(({ name, address, crc }) => row({ name, address, crc }));
    const gaps: KernelGap[] = versioned ? ['gpl', 'namespaces'] : ['versions', 'gpl', 'namespaces'];
    return { table: ExportTable.from(rows), modules: undefined, gaps, versioned: undefined, bits };
  }
  // A list may be an extract of Module.symvers (Module.kabi_ARCH): licences, namespaces and owners stand in it then.
  if (stableList !== undefined && isExtract(stableList))
    return { ...fromSymvers(stableList), gaps: ['exports'] };
  if (stableList !== undefined) {
    const listed = readStableList(stableList);
    if (listed.length === 0) throw new Invalid('stable list', 'names no symbol');
    const versioned = listed.some(({ crc }) => crc !== undefined);
    // The kernel has these, and others that nobody promises anything about.
    const gaps: KernelGap[] = ['exports', 'gpl', 'namespaces', ...(versioned ? [] : (['versions'] as const))];
    return {
      table: ExportTable.from(listed.map(row)),
      modules: undefined,
      gaps,
      versioned: undefined,
      bits: 64,
    };
  }
  const gaps: KernelGap[] = ['exports', 'versions', 'gpl', 'namespaces'];
  return { table: ExportTable.from([]), modules: undefined, gaps, versioned: undefined, bits: 64 };
}

const isExtract = (list: string): boolean => /^0x[0-9a-f]{8,16}\t[^\n]*\tEXPORT_\w*SYMBOL/i.test(list);

function fromSymvers(text: string): Symbols {
  const all = readSymvers(text);
  if (all.length === 0) throw new Invalid('Module.symvers', 'is empty');
  // A kernel without versions has zeros in their place.
  const versioned = all.some(({ crc }) => crc !== 0);
  const rows = versioned ? all : all.map((one) => ({ ...one, crc: undefined }));
  const own = rows.filter(({ owner }) => owner === VMLINUX);
  const others = rows.filter(({ owner }) => owner !== VMLINUX);
  const modules = [...new Set(others.map(({ owner }) => owner))].map((name) => ({
    name,
    proprietary: false,
    depends: [],
  }));
  return {
    table: ExportTable.from(own.map(row)),
    modules: new ModuleExports(modules, others),
    gaps: [],
    versioned,
    bits: 64,
  };
}

function row(symbol: {
  readonly name: string;
  readonly crc: number | undefined;
  readonly address?: number;
  readonly gplOnly?: boolean;
  readonly namespace?: string;
}): Omit<KernelExport, 'isFunction'> {
  const { name, crc, address = 0, gplOnly = false, namespace = '' } = symbol;
  return { name, crc, address, gplOnly, namespace, kind: 'absolute' };
}

const releaseIn = (config: string | undefined): string | undefined =>
  /^# Linux\/\S+ (\d+\.\d+\S*) Kernel Configuration$/m.exec(config ?? '')?.[1];

/** Machines by the option that chooses them, with width and byte order. */
const MACHINES: readonly (readonly [option: string, Machine, 32 | 64, boolean])[] = [
  ['CONFIG_X86_64', 'x86-64', 64, true],
  ['CONFIG_X86_32', 'i386', 32, true],
  ['CONFIG_ARM64', 'aarch64', 64, true],
  ['CONFIG_ARM', 'arm', 32, true],
  ['CONFIG_PPC64', 'ppc64', 64, true],
  ['CONFIG_S390', 's390x', 64, false],
  ['CONFIG_RISCV', 'riscv', 64, true],
  ['CONFIG_LOONGARCH', 'loongarch', 64, true],
  ['CONFIG_MIPS', 'mips', 32, true],
];

function machineOf(
  config: ReadonlyMap<string, string> | undefined,
): readonly [Machine, 32 | 64, boolean] | undefined {
  const found = MACHINES.find(([option]) => config?.get(option) === 'y');
  if (config === undefined || found === undefined) return undefined;
  const [, machine, usual, little] = found;
  const wide = config.get('CONFIG_64BIT') === 'y';
  const bigEndian = config.get('CONFIG_CPU_BIG_ENDIAN') === 'y';
  if (machine === 'mips' && wide) return ['mips64', 64, !bigEndian];
  if (machine === 'riscv') return [machine, wide ? 64 : 32, true];
  return [machine, usual, little && !bigEndian];
}

/** What asm/vermagic.h adds; machines whose words depend on more than a few options are left open. */
const OWN_WORDS: ReadonlyMap<string, string> = new Map([
  ['CONFIG_X86_64', ''],
  ['CONFIG_ARM64', 'aarch64'],
  ['CONFIG_S390', ''],
  ['CONFIG_RISCV', 'riscv'],
]);

/** VERMAGIC_STRING (include/linux/vermagic.h); undefined where something of it is not known. */
function composeVermagic(
  release: string,
  config: ReadonlyMap<string, string> | undefined,
): string | undefined {
  if (release === '' || config === undefined) return undefined;
  const is = (option: string) => config.get(option) === 'y';
  const machine = [...OWN_WORDS].find(([option]) => is(option));
  if (machine === undefined || is('CONFIG_RANDSTRUCT') || is('CONFIG_GCC_PLUGIN_RANDSTRUCT'))
    return undefined;
  const realtime = is('CONFIG_PREEMPT_RT');
  const preempt = is('CONFIG_PREEMPT_BUILD') || is('CONFIG_PREEMPT');
  const words = [
    release,
    is('CONFIG_SMP') ? 'SMP' : '',
    realtime && !is('CONFIG_PREEMPT_BUILD') ? 'preempt_rt' : preempt ? 'preempt' : '',
    is('CONFIG_MODULE_UNLOAD') ? 'mod_unload' : '',
    is('CONFIG_MODVERSIONS') ? 'modversions' : '',
  ];
  // Every word brings its own blank; what the machine adds has none.
  const common = words.filter((word) => word !== '').map((word) => `${word} `);
  return common.join('') + machine[1];
}
