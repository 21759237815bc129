/** module_enforce_rwx_sections (kernel/module/strict_rwx.c). */
import { SHF } from '../../../formats/elf/layout.ts';
import { Errno } from '../errno.ts';
import { EXTENDED, type ModuleFile } from '../module-file.ts';
import { type Judge, Level } from './judge.ts';
import type { LoadFlags } from './modinfo.ts';

export function checkWriteExecute(judge: Judge, file: ModuleFile): void {
  judge.enter('write-execute');
  if (!judge.has('write-xor-execute')) return;
  for (const { index, name, flags } of file.elf.sections) {
    if ((flags & SHF.WRITE) === 0 || (flags & SHF.EXECINSTR) === 0) continue;
    const message = `${file.name}: section ${name} (index ${index}) has invalid WRITE|EXEC flags`;
    const why = `Section ${name} is both writable and executable; this kernel keeps code and data apart.`;
    judge.reject(
      'write-execute',
      Errno.ENOEXEC,
      message,
      why,
      'Put the code and the data into sections of their own.',
    );
  }
}

/** Bytes of an entry of .orc_unwind_ip and of .orc_unwind (struct orc_entry, arch/x86/include/asm/orc_types.h). */
const ORC_IP = 4;
const ORC = 6;

/**
 * The tables of the stack unwinder must have equally many entries (unwind_module_init, arch/x86/kernel/unwind_orc.c): the
 * last section of each name counts, loaded or not. The kernel warns once in its life, which taints it (`warned`), and goes on.
 */
export function checkUnwindTables(judge: Judge, file: ModuleFile, warned: () => void): void {
  judge.enter('unwind-tables');
  if (!judge.has('unwind-tables')) return;
  const size = (name: string) => file.elf.sections.findLast((one) => one.name === name)?.size;
  const [places, entries] = [size('.orc_unwind_ip'), size('.orc_unwind')];
  if (places === undefined || entries === undefined) return;
  if (places % ORC_IP === 0 && entries % ORC === 0 && places / ORC_IP === entries / ORC) return;
  if (!judge.firstTime('unwind-tables')) return;
  judge.say(Level.WARNING, '------------[ cut here ]------------');
  warned();
}

/** No memory for the sections; the allocator of later kernels complains of it (execmem_vmalloc, mm/execmem.c). */
export function refuseTooLarge(judge: Judge, why: string): never {
  if (judge.has('execmem-words')) judge.say(Level.WARNING, 'execmem: unable to allocate memory');
  return judge.refuse('too-large', Errno.ENOMEM, why, 'The section sizes in the file cannot be right.');
}

/**
 * Names of the sections that have a file in /sys/module/NAME/sections: what is loaded and not empty, and the symbol table
 * with its strings, which the kernel keeps for itself (add_sect_attrs, kernel/module/sysfs.c).
 */
export function listedSections(judge: Judge, file: ModuleFile, flags: LoadFlags): string[] {
  const { elf, symbolTable } = file;
  const left = new Set(notLoaded(file, flags, judge.has('extended-versions')));
  const kept = new Set([symbolTable.index, symbolTable.link]);
  return elf.sections
    .filter(({ index, size, flags: has }) => {
      if (index === 0 || size === 0) return false;
      return kept.has(index) || ((has & SHF.ALLOC) !== 0 && !left.has(index));
    })
    .map(({ name }) => name);
}

/** Sections that are read and not kept: .modinfo, the versions unless they are ignored, and per-CPU variables. */
export function notLoaded(file: ModuleFile, flags: LoadFlags = {}, extended = false): number[] {
  const names = ['__versions', ...(extended ? [EXTENDED.crcs, EXTENDED.names] : [])];
  const found = ['.modinfo', ...(flags.ignoreModversions ? [] : names)].map((name) => file.section(name));
  return [file.perCpu, ...found].flatMap((section) => (section === undefined ? [] : [section.index]));
}

/** PERCPU_MODULE_RESERVE (include/linux/percpu.h): what all modules share on x86-64; elsewhere they take from all there is. */
const PERCPU_RESERVE = 8 << 10;
/** PCPU_MIN_UNIT_SIZE: no single piece may be larger. */
const PERCPU_UNIT = 32 << 10;
const PAGE = 4096;

/** What percpu_modalloc meets. */
export interface PerCpuRoom {
  /** Bytes that loaded modules have. */
  readonly used: number;
  /** A warning was printed (WARN). */
  warned(): void;
  /** Who runs is printed behind a message (dump_stack). */
  trace(): void;
}

/** In a kernel that has just started. */
export const EMPTY_ROOM: PerCpuRoom = { used: 0, warned: () => {}, trace: () => {} };

/** percpu_modalloc (kernel/module/main.c) and what pcpu_alloc says. */
export function checkPerCpu(judge: Judge, file: ModuleFile, room: PerCpuRoom): void {
  judge.enter('per-cpu');
  const section = file.perCpu;
  if (section === undefined || section.size === 0) return;
  const { size, alignment } = section;
  const align = Math.min(Math.max(alignment, 1), PAGE);
  if (alignment > align) judge.say(Level.WARNING, `${file.name}: per-cpu alignment ${alignment} > ${align}`);
  const reserve = judge.kernel.machine === 'x86-64' ? PERCPU_RESERVE : PERCPU_UNIT;
  if (size <= PERCPU_UNIT && size <= reserve - room.used) return;
  if (size > PERCPU_UNIT) {
    judge.say(Level.WARNING, '------------[ cut here ]------------');
    judge.say(Level.WARNING, `illegal size (${size}) or align (${align}) for percpu allocation`);
    room.warned();
  } else {
    const what = `size=${size} align=${align} atomic=0, alloc from reserved chunk failed`;
    judge.say(Level.WARNING, `percpu: allocation failed, ${what}`);
    room.trace();
  }
  judge.say(Level.WARNING, `${file.name}: Could not allocate ${size} bytes percpu data`);
  const others = room.used > 0 ? `, and loaded modules have ${room.used} of them` : '';
  const why = `Its per-CPU variables need ${size} bytes; all modules together have ${reserve}${others}.`;
  judge.refuse(
    'per-cpu',
    Errno.ENOMEM,
    why,
    'Allocate large per-CPU memory when the module runs (alloc_percpu).',
  );
}
