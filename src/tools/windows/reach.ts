/** What a request reached of the machine: physical memory, ports, model-specific registers, other processes. */
import type { KernelCall } from '../../kernel/watch.ts';
import type { Windows } from '../../systems/windows/windows.ts';

/** Functions that reach out of the driver's own memory, by what they reach. */
const GROUPS: readonly (readonly [group: string, names: RegExp])[] = [
  [
    'physical memory',
    /^(MmMapIoSpace(Ex)?|MmCopyMemory|MmGetPhysicalAddress|MmGetVirtualForPhysical|MmGetPhysicalMemoryRanges\w*|MmAllocateContiguous\w+|MmAllocatePagesForMdl\w*|MmMapLockedPages\w*|ZwMapViewOfSection)$/,
  ],
  ['ports', /^((READ|WRITE)_PORT_|(Scsi|Stor|Video)Port(Read|Write)Port)\w+$/],
  ['bus configuration', /^(Hal|ScsiPort|StorPort)(Get|Set)BusData\w*$/],
  [
    'processes',
    /^(ZwOpenProcess|ZwTerminateProcess|ZwOpenThread|PsLookup(Process|Thread)ByProcessId|PsLookupThreadByThreadId|PsGetProcess(Peb|Wow64Process|SectionBaseAddress)|KeStackAttachProcess|KeAttachProcess|MmCopyVirtualMemory|Zw(Allocate|Free|Protect|Query|Read|Write)VirtualMemory|PsSuspendProcess|PsResumeProcess|ZwDuplicateObject)$/,
  ],
];
const MAX_SHOWN = 8;

/** Runs an action and tells what it reached. @returns its value, and a line in our words; undefined: nothing */
export function reaching<T>(k: Windows, action: () => T): { readonly value: T; readonly reached?: string } {
  const found = new Map<string, Map<string, number>>();
  const note = (group: string, what: string): void => {
    const names = found.get(group) ?? new Map<string, number>();
    found.set(group, names.set(what, (names.get(what) ?? 0) + 1));
  };
  const before = k.watcher;
  k.watcher = {
    called: (thread, call: KernelCall) => {
      before?.called(thread, call);
      const group = GROUPS.find(([, names]) => names.test(call.name))?.[0];
      if (group !== undefined) note(group, call.name);
    },
    returned: (thread, name, value) => before?.returned(thread, name, value),
    entered: (thread, address, args) => before?.entered(thread, address, args),
    left: (thread, address, result) => before?.left(thread, address, result),
  };
  k.hardware = note;
  try {
    const value = action();
    const groups = [...found].map(([group, names]) => `${group} (${shown(names)})`);
    return groups.length === 0 ? { value } : { value, reached: `reached: ${groups.join(', ')}` };
  } finally {
    k.watcher = before;
    k.hardware = undefined;
  }
}

function shown(names: ReadonlyMap<string, number>): string {
  const list = [...names].slice(0, MAX_SHOWN).map(([name, n]) => (n === 1 ? name : `${name} ${n} times`));
  return names.size > MAX_SHOWN ? `${list.join(', ')} and ${names.size - MAX_SHOWN} more` : list.join(', ');
}
