/**
 * In which order drivers start: by Start, then by the place of their Group in ServiceGroupOrder\List, then by the place of
 * their Tag in GroupOrderList\GROUP; without a tag behind those with one, without a group behind all groups.
 */
import type { Registry, RegistryKey } from './registry.ts';
import { upcase } from './strings.ts';

export const Start = { BOOT: 0, SYSTEM: 1, AUTO: 2, DEMAND: 3, DISABLED: 4 } as const;
/** Kernel drivers, file systems, adapters and recognizers; programs have other types. */
const DRIVER_TYPES = new Set([1, 2, 4, 8]);

/** Tags of a group in their order: a count, then that many numbers. */
function tagsOf(registry: Registry, group: string): number[] {
  const data = registry.control.child('GroupOrderList')?.value(group)?.data ?? new Uint8Array(0);
  const view = new DataView(data.buffer, data.byteOffset, data.length);
  const count = data.length < 4 ? 0 : Math.min(view.getUint32(0, true), (data.length >> 2) - 1);
  return Array.from({ length: count }, (_, i) => view.getUint32(4 + i * 4, true));
}

export interface Place {
  readonly key: RegistryKey;
  /** Of the group in the list; past its end without one. */
  readonly group: number;
  readonly tag: number;
}

const BEHIND = Number.MAX_SAFE_INTEGER;

/** The drivers of one Start value in the order in which they are started. */
export function startOrder(registry: Registry, start: number): Place[] {
  const groups = registry.control.child('ServiceGroupOrder')?.multi('List').map(upcase) ?? [];
  const tags = new Map<string, number[]>();
  return [...registry.services.keys.values()]
    .filter((key) => key.dword('Start') === start && DRIVER_TYPES.has(key.dword('Type') ?? 0))
    .map((key): Place => {
      const name = key.text('Group');
      const group = name === undefined ? -1 : groups.indexOf(upcase(name));
      const tag = key.dword('Tag');
      if (name === undefined || tag === undefined)
        return { key, group: group < 0 ? BEHIND : group, tag: BEHIND };
      const list = tags.get(name) ?? tagsOf(registry, name);
      tags.set(name, list);
      const at = list.indexOf(tag);
      return { key, group: group < 0 ? BEHIND : group, tag: at < 0 ? BEHIND - 1 : at };
    })
    .sort((a, b) => a.group - b.group || a.tag - b.tag || (upcase(a.key.name) < upcase(b.key.name) ? -1 : 1));
}

/** May it start in safe mode? By its own name, its file's or its group's below SafeBoot\Minimal or SafeBoot\Network. */
export function inSafeMode(registry: Registry, key: RegistryKey, mode: 'Minimal' | 'Network'): boolean {
  const list = registry.control.child('SafeBoot')?.child(mode);
  if (list === undefined) return false;
  const path = key.text('ImagePath') ?? `${key.name}.sys`;
  const names = [key.name, path.slice(path.lastIndexOf('\\') + 1), key.text('Group')];
  return names.some((name) => name !== undefined && list.child(name) !== undefined);
}
