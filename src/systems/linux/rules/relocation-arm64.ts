/** What apply_relocate_add of arm64 checks (arch/arm64/kernel/module.c), and the sections that its modules must bring. */
import type { ObjectRelocation } from '../../../formats/object.ts';
import { Errno } from '../errno.ts';
import type { ModuleFile } from '../module-file.ts';
import type { Judge } from './judge.ts';

/** How a value is looked at before it is stored: reloc_data, reloc_insn_movw, reloc_insn_imm. */
interface Form {
  /** Less the place itself (P), or less the page of it. */
  readonly from?: 'place' | 'page';
  readonly fits?: (value: number) => boolean;
}

const between = (low: number, high: number) => (value: number) => value >= low && value <= high;
const signed = (bits: number) => between(-(2 ** (bits - 1)), 2 ** (bits - 1) - 1);
/** Sixteen bits from `lowest` on, as MOVZ has them; where the sign may be taken, MOVN. */
const half =
  (lowest: number, inverted = false) =>
  (value: number) => {
    const part = Math.floor(value / 2 ** lowest);
    return between(0, 0xffff)(part < 0 && inverted ? -part - 1 : part);
  };
/** So many bits of an instruction, which count in units of `unit` bytes. */
const immediate =
  (bits: number, unit = 1) =>
  (value: number) =>
    signed(bits)(Math.floor(value / unit));

const ANY: Form = {};
const PAGE = 4096;

/** By their numbers in the ABI. Branches that do not reach far enough are led through a table of the module's. */
const FORMS: ReadonlyMap<number, Form> = new Map<number, Form>([
  ...numbers(0, 256, 257, 260, 282, 283).map((type) => [type, ANY] as const),
  [258, { fits: between(0, 2 ** 32 - 1) }],
  [259, { fits: between(0, 0xffff) }],
  [261, { from: 'place', fits: signed(32) }],
  [262, { from: 'place', fits: signed(16) }],
  [263, { fits: half(0) }],
  [264, ANY],
  [265, { fits: half(16) }],
  [266, ANY],
  [267, { fits: half(32) }],
  [268, ANY],
  [269, ANY],
  [270, { fits: half(0, true) }],
  [271, { fits: half(16, true) }],
  [272, { fits: half(32, true) }],
  [273, { from: 'place', fits: immediate(19, 4) }],
  [274, { from: 'place', fits: signed(21) }],
  [275, { from: 'page', fits: immediate(21, PAGE) }],
  ...numbers(276, 277, 278, 284, 285, 286, 299).map((type) => [type, ANY] as const),
  [279, { from: 'place', fits: immediate(14, 4) }],
  [280, { from: 'place', fits: immediate(19, 4) }],
  [287, { from: 'place', fits: half(0, true) }],
  [288, ANY],
  [289, { from: 'place', fits: half(16, true) }],
  [290, ANY],
  [291, { from: 'place', fits: half(32, true) }],
  [292, ANY],
  [293, ANY],
]);

function numbers(...list: number[]): number[] {
  return list;
}

const HINT = "Build the module with the kernel's own flags (kbuild does); if it was, the file is damaged.";

/** `values` by symbol; `base` is where the section lies. */
export function checkArm64Relocations(
  judge: Judge,
  file: ModuleFile,
  base: number,
  relocations: readonly ObjectRelocation[],
  values: Float64Array,
): void {
  for (const { section, offset, type, symbol, addend = 0 } of relocations) {
    const where = `${file.object.sections[section]?.name ?? section}+0x${offset.toString(16)}`;
    const form = FORMS.get(type);
    if (form === undefined) {
      const message = `module ${file.name}: unsupported RELA relocation: ${type}`;
      const why = `The relocation at ${where} is of type ${type}, which this kernel does not know.`;
      judge.reject('relocation', Errno.ENOEXEC, message, why, HINT);
    }
    const value = (values[symbol] ?? 0) + addend;
    if (form.fits === undefined || form.fits(distance(form, value, base + offset))) continue;
    const hex = BigInt.asUintN(64, BigInt(value)).toString(16);
    const message = `module ${file.name}: overflow in relocation type ${type} val ${hex}`;
    const why = `The relocation at ${where} gives a value that does not fit into its place (type ${type}).`;
    judge.reject('relocation', Errno.ENOEXEC, message, why, HINT);
  }
}

function distance({ from }: Form, value: number, place: number): number {
  if (from === undefined) return value;
  if (from === 'place') return value - place;
  return Math.floor(value / PAGE) * PAGE - Math.floor(place / PAGE) * PAGE;
}

/** Where branches that go too far are led through. The linker script of modules makes them, empty (module_frob_arch_sections). */
const BRANCH_TABLES = ['.plt', '.init.plt'];
const BRANCHING: ReadonlySet<string> = new Set(['arm', 'aarch64']);
const TRACER_TABLE = '.text.ftrace_trampoline';
const hasSection = ({ elf }: ModuleFile, name: string) =>
  elf.sections.some((one, index) => index > 0 && one.name === name);

/** Arm and arm64. */
export function checkBranchTables(judge: Judge, file: ModuleFile): void {
  judge.enter('branch-tables');
  if (!BRANCHING.has(file.object.machine) || !judge.has('branch-tables')) return;
  if (BRANCH_TABLES.every((name) => hasSection(file, name))) return;
  const message = `${file.name}: module PLT section(s) missing`;
  const why = `The sections ${BRANCH_TABLES.join(' and ')}, which every module of this machine has, are not there.`;
  judge.reject('branch-tables', Errno.ENOEXEC, message, why, 'Link the module with kbuild, which adds them.');
}

/** module_init_ftrace_plt, which says nothing. */
export function checkTracerTable(judge: Judge, file: ModuleFile): void {
  judge.enter('tracer-table');
  if (file.object.machine !== 'aarch64' || !judge.has('tracer-table') || hasSection(file, TRACER_TABLE))
    return;
  const why = `The section ${TRACER_TABLE}, which every module of this machine has, is not there.`;
  judge.refuse('tracer-table', Errno.ENOEXEC, why, 'Link the module with kbuild, which adds it.');
}
