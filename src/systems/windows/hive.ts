/** Hives into the registry: SYSTEM, SOFTWARE and others to the places that a running system has them at. */
import { type HiveKey, readHive } from '../../formats/regf/read.ts';
import type { Registry, RegistryKey } from './registry.ts';

export interface LoadedHive {
  /** Where it went: \Registry\Machine\System. */
  readonly path: string;
  readonly keys: number;
  readonly values: number;
  readonly notes: readonly string[];
}

/** By the end of the path that the hive itself carries, or by its keys. */
function placeOf(fileName: string, root: HiveKey): string {
  const last = fileName.slice(fileName.lastIndexOf('\\') + 1).toUpperCase();
  const has = (name: string) => root.keys.some((key) => key.name.toLowerCase() === name);
  if (has('select') || has('controlset001')) return '\\Registry\\Machine\\System';
  if (last === 'SOFTWARE' || has('microsoft')) return '\\Registry\\Machine\\Software';
  if (last === 'SAM' || last === 'SECURITY') return `\\Registry\\Machine\\${last}`;
  return '\\Registry\\User\\.Default';
}

/** @param path where it belongs, unless the hive shall say so itself @throws FormatError */
export function loadHive(registry: Registry, bytes: Uint8Array, path?: string): LoadedHive {
  const hive = readHive(bytes);
  const at = path ?? placeOf(hive.fileName, hive.root);
  const count = { keys: 0, values: 0 };
  const notes = [
    ...(hive.dirty ? ['its last write was not finished; the logs beside it are not applied'] : []),
    ...(hive.checksumHolds ? [] : ['the checksum of its first block does not hold']),
  ];
  const target = registry.create(at);
  const current = currentSet(hive.root);
  for (const key of hive.root.keys) {
    const set = /^controlset(\d{3})$/i.exec(key.name);
    // CurrentControlSet is a link that only a running system has.
    if (set !== null && current !== undefined && Number(set[1]) === current)
      fill(target.create('CurrentControlSet'), key, count);
    else if (set !== null && current !== undefined && Number(set[1]) === 1)
      notes.push(`${key.name} is not the current set and is left out`);
    else fill(target.create(key.name), key, count);
  }
  for (const { name, type, data } of hive.root.values) target.set(name, type, data);
  return { path: at, ...count, notes };
}

/** Select\Current: the number of the set in use. */
function currentSet(root: HiveKey): number | undefined {
  const select = root.keys.find(({ name }) => name.toLowerCase() === 'select');
  const value = select?.values.find(({ name }) => name.toLowerCase() === 'current');
  return value === undefined || value.data.length < 4
    ? undefined
    : new DataView(value.data.buffer, value.data.byteOffset).getUint32(0, true);
}

function fill(key: RegistryKey, from: HiveKey, count: { keys: number; values: number }): void {
  count.keys++;
  for (const { name, type, data } of from.values) {
    key.set(name, type, data);
    count.values++;
  }
  for (const child of from.keys) fill(key.create(child.name), child, count);
}
