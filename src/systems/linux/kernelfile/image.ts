import { Invalid } from '../../../bytes/errors.ts';
import { Btf } from '../../../ctypes/btf.ts';
import { TypeTable } from '../../../ctypes/table.ts';
import type { ElfSection } from '../../../formats/elf/headers.ts';
import { EM } from '../../../formats/elf/layout.ts';
import { type ElfFile, readElf } from '../../../formats/elf/read.ts';
import type { Machine } from '../../../formats/object.ts';
import { builtinParameter } from './builtin-parameter.ts';
import { embeddedConfig, parseConfig } from './config.ts';
import { dataModelOf } from './data-model.ts';
import type { ExportKind, ExportTable } from './exports.ts';
import type {
  KernelFile,
  KernelGap,
  KernelSection,
  NearestExport,
  PerCpuVariable,
  SectionRole,
} from './kernelfile.ts';
import { readExports } from './ksymtab.ts';
import { noTypes } from './no-types.ts';
import { type RuleEvidence, readRules, undecidedOf } from './rules.ts';

const MACHINES: readonly (readonly [number, Machine])[] = [
  [EM.X86_64, 'x86-64'],
  [EM[386], 'i386'],
  [EM.AARCH64, 'aarch64'],
  [EM.ARM, 'arm'],
  [EM.PPC, 'ppc'],
  [EM.PPC64, 'ppc64'],
  [EM.S390, 's390x'],
  [EM.RISCV, 'riscv'],
  [EM.LOONGARCH, 'loongarch'],
];

/** MIPS has one number for both widths. */
function machineOf({ header, bits }: ElfFile): Machine {
  if (header.machine === EM.MIPS) return bits === 64 ? 'mips64' : 'mips';
  return MACHINES.find(([number]) => number === header.machine)?.[1] ?? 'unknown';
}

const SHF_WRITE = 1;
const SHF_ALLOC = 2;
const SHF_EXECINSTR = 4;
const SHT_NOBITS = 8;
const PERCPU = '.data..percpu';

export interface ImageOptions {
  /** Text of the `config-RELEASE` file that lies beside the image. One inside the image wins. */
  readonly config?: string;
  /** Types of a kernel that was built without BTF, as `pahole --btf_encode_detached` writes them from its debug file. */
  readonly btf?: Uint8Array;
  /** What to call the source in messages. */
  readonly origin?: string;
}

/** Reads an unpacked kernel image (`vmlinux`, ELF). Throws the errors of bytes/errors.ts. */
export function readImage(bytes: Uint8Array, options: ImageOptions = {}): ImageKernel {
  return new ImageKernel(readElf(bytes), options);
}

/** A kernel that still has its whole image: types and bytes are read as they are asked for. */
export class ImageKernel implements KernelFile {
  readonly release: string;
  readonly vermagic: string;
  readonly banner: string;
  readonly machine: Machine;
  readonly bits: 32 | 64;
  readonly littleEndian: boolean;
  readonly exports: ExportTable;
  /** A version line that nobody recognises cannot be compared. */
  readonly gaps: ReadonlySet<KernelGap>;
  readonly sections: readonly KernelSection[];
  readonly config: ReadonlyMap<string, string> | undefined;
  readonly origin: string;
  readonly #elf: ElfFile;
  readonly #placed: readonly ElfSection[];
  readonly #detachedTypes: Uint8Array | undefined;
  readonly #texts: readonly SectionText[];
  #evidence: readonly RuleEvidence[] | undefined;
  #rules: ReadonlySet<string> | undefined;
  #types: TypeTable | undefined;
  #btf: Btf | undefined;
  #percpu: readonly PerCpuVariable[] | undefined;

  constructor(elf: ElfFile, options: ImageOptions) {
    this.#elf = elf;
    this.#detachedTypes = options.btf;
    this.#placed = elf.sections.filter((s) => (s.flags & SHF_ALLOC) !== 0 && s.size > 0);
    this.origin = options.origin ?? '';
    this.machine = machineOf(elf);
    this.bits = elf.bits;
    this.littleEndian = elf.littleEndian;
    this.sections = this.#placed.map(describeSection);
    const texts = this.#readTexts();
    this.banner = findBanner(texts);
    this.release = this.banner.split(' ')[2]!;
    this.vermagic = findVermagic(texts, this.release);
    this.gaps = new Set<KernelGap>(this.vermagic === '' ? ['vermagic'] : []);
    this.config = this.#config(options.config);
    this.exports = readExports(elf, (address) => this.#kindOf(address));
    this.#texts = texts;
  }

  get evidence(): readonly RuleEvidence[] {
    return (this.#evidence ??= readRules({
      contains: (text) => this.#texts.some(({ text: there }) => there.includes(text)),
      hasFunction: (name) => this.btf?.find('function', name) !== undefined,
      banner: this.banner,
      vermagic: this.vermagic,
      config: this.config,
      enforces: this.#enforces(),
    }));
  }

  #enforces(): boolean | undefined {
    const value = builtinParameter(this, 'module.sig_enforce');
    return value === undefined ? undefined : value !== 0;
  }

  get rules(): ReadonlySet<string> {
    return (this.#rules ??= new Set(this.evidence.filter((e) => e.present).map((e) => e.rule)));
  }

  get undecided(): ReadonlySet<string> {
    return undecidedOf(this.evidence);
  }

  get types(): TypeTable {
    return (this.#types ??= new TypeTable(this.btf ?? noTypes));
  }

  /** The image's BTF, opened at first use; undefined when the kernel was built without. */
  get btf(): Btf | undefined {
    const section = this.#elf.section('.BTF');
    const bytes = section === undefined ? this.#detachedTypes : this.#elf.data(section);
    if (bytes === undefined) return undefined;
    return (this.#btf ??= new Btf(bytes, { model: dataModelOf(this) }));
  }

  get percpu(): readonly PerCpuVariable[] {
    return (this.#percpu ??= (this.btf?.variables(PERCPU) ?? []).map(({ name, offset, size }) => ({
      name,
      offset,
      size,
    })));
  }

  get moduleBytes(): number | undefined {
    return this.types.type('struct module') === undefined ? undefined : this.types.sizeof('struct module');
  }

  read(address: number, length: number): Uint8Array | undefined {
    const section = this.#placed.find((s) => address >= s.address && address + length <= s.address + s.size);
    if (section === undefined) return undefined;
    if (section.type === SHT_NOBITS) return new Uint8Array(length);
    const from = address - section.address;
    return this.#elf.data(section).subarray(from, from + length);
  }

  nearest(address: number): NearestExport | undefined {
    return nearestExport(this.exports, address);
  }

  #kindOf(address: number): ExportKind {
    const section = this.#placed.find((s) => address >= s.address && address < s.address + s.size);
    if (section === undefined) return 'absolute';
    if (section.name === PERCPU) return 'percpu';
    return isCode(section) ? 'function' : 'data';
  }

  /** Everything that can hold strings, as text whose character indices are byte indices. */
  #readTexts(): SectionText[] {
    const decoder = new TextDecoder('latin1');
    const holds = (s: ElfSection) => s.type !== SHT_NOBITS && /^\.(rodata|init\.data|data)$/.test(s.name);
    return this.#placed.filter(holds).map((s) => {
      const bytes = this.#elf.data(s);
      return { bytes, text: decoder.decode(bytes) };
    });
  }

  #config(beside: string | undefined): ReadonlyMap<string, string> | undefined {
    for (const section of this.#placed) {
      if (section.name !== '.rodata') continue;
      const bytes = this.#elf.data(section);
      // The marks are compared as bytes: their gzip header has characters outside ASCII.
      const found = embeddedConfig(bytes);
      if (found !== undefined) return found;
    }
    return beside === undefined ? undefined : parseConfig(beside);
  }
}

/** Newer images mark `.data` executable: something small in it is. */
const isCode = ({ flags, name }: ElfSection): boolean =>
  (flags & SHF_EXECINSTR) !== 0 && !/^\.(ro)?data/.test(name);

export interface SectionText {
  readonly bytes: Uint8Array;
  readonly text: string;
}

/** Shared by every kernel file: the export at or below an address, with the distance to the next. */
export function nearestExport(exports: ExportTable, address: number): NearestExport | undefined {
  const found = exports.nearest(address);
  if (found === undefined) return undefined;
  const next = exports.next(found.address) ?? found.address;
  return { name: found.name, address: found.address, size: next - found.address, module: undefined };
}

export function findBanner(texts: readonly SectionText[]): string {
  // Two are in the image: the format `Linux version %s ...#` for /proc, and the whole line, which has the build number.
  let best = '';
  for (const { text } of texts) {
    for (const match of text.matchAll(/Linux version (\d[^\0\n]{0,500})/g)) {
      if (match[0].length > best.length) best = match[0];
    }
  }
  if (best === '') throw new Invalid('kernel image', 'has no "Linux version" string: not a Linux kernel');
  return best;
}

/** What may follow the release in a vermagic: include/linux/vermagic.h and every asm/vermagic.h. */
const VERMAGIC_WORD =
  /^(SMP|preempt|preempt_rt|mod_unload|modversions|RANDSTRUCT_\w+|aarch64|ARMv\d\w*|p2v8|thumb2|riscv|mprofile-kernel|relocatable|gcc-\S+|[\w.-]*686|K\d|MIPS\S*|\d{2}BIT|CPU_\S+)$/;

export function findVermagic(texts: readonly SectionText[], release: string): string {
  for (const { text } of texts) {
    for (let at = text.indexOf(`${release} `); at >= 0; at = text.indexOf(`${release} `, at + 1)) {
      if (at > 0 && text[at - 1] !== '\0') continue;
      const magic = text.slice(at, text.indexOf('\0', at));
      const words = magic.slice(release.length).trim().split(' ');
      if (magic.length < 256 && words.every((word) => word === '' || VERMAGIC_WORD.test(word))) return magic;
    }
  }
  return '';
}

function describeSection(section: ElfSection): KernelSection {
  return {
    name: section.name,
    base: section.address,
    size: section.size,
    writable: (section.flags & SHF_WRITE) !== 0,
    executable: (section.flags & SHF_EXECINSTR) !== 0,
    zeroFill: section.type === SHT_NOBITS,
    role: roleOf(section),
  };
}

/** By name, since flags mislead: an x86 image marks `.rodata` writable (it is until the kernel protects it). */
function roleOf({ name, flags }: ElfSection): SectionRole {
  if (name === PERCPU) return 'percpu';
  if (name === '.text') return 'text';
  if (name === '.bss' || name === '.brk') return 'bss';
  if (/^\.(init|exit|alt|para|retpoline|return|smp_locks|apic|x86_cpu|data_nosave|iommu)/.test(name))
    return 'init';
  if (
    name === '.rodata' ||
    /^(__k(sym|crc)tab|__param|__modver|__ex_table|\.BTF|\.notes|\.pci_fixup|\.orc_(header|unwind)|__init_rodata)/.test(
      name,
    )
  ) {
    return 'rodata';
  }
  if (/^(\.data|__bug_table|\.vvar|\.orc_lookup)/.test(name)) return 'data';
  return (flags & SHF_EXECINSTR) !== 0 ? 'text' : 'other';
}
