/** The relocation rules on a copy of the module's sections, at addresses such as a kernel would give them. */
import { roundUp } from '../../../bytes/align.ts';
import type { Machine, ObjectRelocation } from '../../../formats/object.ts';
import { relocationMachine } from '../../../link/machines.ts';
import { applyRelocations, relocationTarget } from '../../../link/relocate.ts';
import type { KernelFile } from '../kernelfile/kernelfile.ts';
import type { ModuleFile } from '../module-file.ts';
import { hasOtherRelocations } from '../rules/as-read.ts';
import type { Judge } from '../rules/judge.ts';
import { checkLivePatches } from '../rules/livepatch.ts';
import { copyAddress, refuseOther, relocationPolicy } from '../rules/relocation.ts';
import { checkArm64Relocations } from '../rules/relocation-arm64.ts';
import type { Subject } from './subject.ts';

/**
 * MODULES_VADDR of x86-64, a place in the vmalloc area of i386, and one that is as near to the kernel as arm64 has them.
 * Random offsets change nothing about what fits. Other machines have rules that are not written.
 */
const MODULE_AREA: Readonly<Partial<Record<Machine, number>>> = {
  'x86-64': -0x40000000,
  i386: 0xf8800000,
  aarch64: -0x7ffffc000000,
};
/** Are the rules of the machine's relocations written? */
export const canRelocate = (machine: Machine): boolean => machine in MODULE_AREA;
const areaOf = (machine: Machine): number => MODULE_AREA[machine] ?? 0;

/** Per-CPU variables of modules lie behind the kernel's own, whose section begins at 0 (x86-64 up to 6.14) or in the image. */
const PER_CPU = 0x30000;
const perCpuBase = ({ sections, machine }: KernelFile): number =>
  PER_CPU +
  (machine === 'aarch64' ? areaOf(machine) : (sections.find(({ role }) => role === 'percpu')?.base ?? 0));

/** More than any module has; sections of a made-up size are not laid out. */
const MAX_BYTES = 512 << 20;

/** `values`: addresses of the kernel's exports, by name. */
export function checkRelocations(
  judge: Judge,
  subject: Subject,
  file: ModuleFile,
  values: (name: string) => number | undefined,
): void {
  judge.enter('relocation');
  checkLivePatches(judge, file);
  const { kernel } = judge;
  const perCpu = perCpuBase(kernel);
  const key = `${kernel.machine}${kernel.bits}${perCpu}`;
  const { machine } = kernel;
  if (!canRelocate(machine) || file.object.machine !== machine || subject.relocated.has(key)) return;
  const addresses = place(file, areaOf(machine));
  // Other modules lie near; kernels of x86 reach all of their area from address 0, too.
  const near = machine === 'aarch64' ? areaOf(machine) : 0;
  const symbols = symbolValues(file, addresses, perCpu, values, near);
  const check = machine === 'aarch64' ? inPlace(judge, file, symbols) : onCopy(judge, file, symbols);
  for (const [index, address] of addresses) {
    const relocations = file.object.relocations(index);
    if (relocations.length > 0) check(index, address, relocations);
  }
  subject.relocated.add(key);
}

type SectionCheck = (index: number, address: number, relocations: readonly ObjectRelocation[]) => void;

function inPlace(judge: Judge, file: ModuleFile, symbols: Float64Array): SectionCheck {
  if (hasOtherRelocations(file)) refuseOther(judge, file);
  return (_index, address, relocations) => checkArm64Relocations(judge, file, address, relocations, symbols);
}

/** x86 looks at what the places hold, which earlier relocations may have changed. */
function onCopy(judge: Judge, file: ModuleFile, symbols: Float64Array): SectionCheck {
  const policy = relocationPolicy(judge, file);
  const machine = relocationMachine(file.object.machine);
  return (index, address, relocations) => {
    if (machine === undefined) return;
    const { size, data } = file.object.sections[index];
    const bytes = new Uint8Array(size);
    bytes.set(data.subarray(0, size));
    const target = relocationTarget(bytes, address, judge.kernel.littleEndian);
    applyRelocations(machine, target, relocations, symbols, policy);
  };
}

/** Addresses of the sections that are loaded, one behind the other. */
function place(file: ModuleFile, area: number): Map<number, number> {
  const left = new Set([
    file.perCpu?.index,
    file.section('__versions')?.index,
    file.section('.modinfo')?.index,
  ]);
  const addresses = new Map<number, number>();
  let at = area;
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
  near: number,
): Float64Array {
  const { symbols } = file.object;
  const out = new Float64Array(symbols.length);
  for (const { index, place: where, section, value, name } of symbols) {
    if (section === file.perCpu?.index && where === 'section') out[index] = perCpu + value;
    else if (where === 'section')
      out[index] = (addresses.get(section) ?? copyAddress(file, section, near)) + value;
    else if (where === 'undefined' && index !== 0) out[index] = values(name) ?? near;
    else out[index] = value;
  }
  return out;
}
