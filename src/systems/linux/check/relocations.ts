/** The relocation rules on a copy of the module's sections, at addresses such as a kernel would give them. */
import { roundUp } from '../../../bytes/align.ts';
import { relocationMachine } from '../../../link/machines.ts';
import { applyRelocations, relocationTarget } from '../../../link/relocate.ts';
import type { KernelFile } from '../kernelfile/kernelfile.ts';
import type { ModuleFile } from '../module-file.ts';
import type { Judge } from '../rules/judge.ts';
import { checkLivePatches } from '../rules/livepatch.ts';
import { checkRelocationTypes, copyAddress, relocationPolicy, TYPES_ONLY } from '../rules/relocation.ts';
import type { Subject } from './subject.ts';

/** MODULES_VADDR of x86-64, and a place in the vmalloc area of i386. Random offsets change nothing about what fits. */
const MODULE_AREA = { 64: -0x40000000, 32: 0xf8800000 } as const;
/** Machines whose rules are written (rules/relocation.ts). */
const X86: ReadonlySet<string> = new Set(['x86-64', 'i386']);

/** Per-CPU variables of modules lie behind the kernel's own, whose section begins at 0 (x86-64 up to 6.14) or in the image. */
const PER_CPU = 0x30000;
const perCpuBase = ({ sections }: KernelFile): number =>
  PER_CPU + (sections.find(({ role }) => role === 'percpu')?.base ?? 0);

/** More than any module has; sections of a made-up size are not laid out. */
const MAX_BYTES = 512 << 20;

/** `values`: addresses of imported symbols, by name; missing ones count as a place in the kernel's text. */
export function checkRelocations(
  judge: Judge,
  subject: Subject,
  file: ModuleFile,
  values: (name: string) => number | undefined,
): void {
  judge.enter('relocation');
  checkLivePatches(judge, file);
  const { kernel } = judge;
  const machine = relocationMachine(file.object.machine);
  const perCpu = perCpuBase(kernel);
  const key = `${kernel.machine}${kernel.bits}${perCpu}`;
  if (
    TYPES_ONLY.has(kernel.machine) &&
    file.object.machine === kernel.machine &&
    !subject.relocated.has(key)
  ) {
    checkRelocationTypes(judge, file);
    subject.relocated.add(key);
    return;
  }
  if (!X86.has(kernel.machine) || machine?.machine !== kernel.machine || subject.relocated.has(key)) return;
  const policy = relocationPolicy(judge, file);
  const addresses = place(file, kernel);
  const symbols = symbolValues(file, addresses, perCpu, values);
  for (const [index, address] of addresses) {
    const relocations = file.object.relocations(index);
    if (relocations.length === 0) continue;
    const section = file.object.sections[index];
    const bytes = new Uint8Array(section.size);
    bytes.set(section.data.subarray(0, section.size));
    applyRelocations(
      machine,
      relocationTarget(bytes, address, kernel.littleEndian),
      relocations,
      symbols,
      policy,
    );
  }
  subject.relocated.add(key);
}

/** Addresses of the sections that are loaded, one behind the other. */
function place(file: ModuleFile, kernel: KernelFile): Map<number, number> {
  const left = new Set([
    file.perCpu?.index,
    file.section('__versions')?.index,
    file.section('.modinfo')?.index,
  ]);
  const addresses = new Map<number, number>();
  let at: number = MODULE_AREA[kernel.bits];
  const end = at + MAX_BYTES;
  for (const { index, allocated, alignment, size } of file.object.sections) {
    if (!allocated || left.has(index)) continue;
    at = roundUp(at, Math.max(1, alignment));
    if (!(at + size <= end)) break;
    addresses.set(index, at);
    at += size;
  }
  return addresses;
}

function symbolValues(
  file: ModuleFile,
  addresses: ReadonlyMap<number, number>,
  perCpu: number,
  values: (name: string) => number | undefined,
): Float64Array {
  const { symbols } = file.object;
  const out = new Float64Array(symbols.length);
  for (const { index, place: where, section, value, name } of symbols) {
    if (section === file.perCpu?.index && where === 'section') out[index] = perCpu + value;
    else if (where === 'section') out[index] = (addresses.get(section) ?? copyAddress(file, section)) + value;
    else if (where === 'undefined' && index !== 0) out[index] = values(name) ?? 0;
    else out[index] = value;
  }
  return out;
}
