/** Older and networking forms of registering sysctl tables: tables within tables, and those of a network namespace. */
import { perKernel } from '../../../kernel/kernel.ts';
import type { Address } from '../../../memory/space.ts';
import type { Linux } from '../linux.ts';
import { kernelFunctions } from './define.ts';
import { registerTable, unregisterTable } from './sysctl.ts';

/** Deeper than any real tree of tables: a table that contains itself ends here. */
const MAX_DEPTH = 16;

/** The headers behind the one that the caller of register_sysctl_table got. */
const together = perKernel<Map<Address, Address[]>, Linux>(() => new Map());

/** Every table below `table` that has files of its own, with its path. */
function* leaves(
  k: Linux,
  table: Address,
  path: readonly string[],
): Generator<{ path: string; table: Address }> {
  if (path.length > MAX_DEPTH) return;
  const size = k.sizeof('ctl_table');
  let files = false;
  for (let entry = table; k.read('ctl_table.procname', entry) !== 0; entry += size) {
    const child = k.read('ctl_table.child', entry);
    if (child === 0) files = true;
    else yield* leaves(k, child, [...path, k.readString('ctl_table.procname', entry)]);
  }
  if (files) yield { path: path.join('/'), table };
}

function registerTree(k: Linux, table: Address): Address {
  const headers: Address[] = [];
  for (const leaf of leaves(k, table, [])) {
    const header = registerTable(k, leaf.path, leaf.table);
    if (header === 0) {
      for (const before of headers) unregisterTable(k, before);
      return 0;
    }
    headers.push(header);
  }
  // A tree without files still is registered: its header is a table of none.
  const [first = registerTable(k, '', k.heap.allocateZeroed(k.sizeof('ctl_table'))), ...rest] = headers;
  if (rest.length > 0) k.state(together).set(first, rest);
  return first;
}

function unregisterTree(k: Linux, header: Address): void {
  for (const other of k.state(together).get(header) ?? []) unregisterTable(k, other);
  k.state(together).delete(header);
  unregisterTable(k, header);
}

export const sysctlTableFunctions = kernelFunctions({
  'struct ctl_table_header *register_sysctl_table(struct ctl_table *table)': registerTree,
  'void unregister_sysctl_table(struct ctl_table_header *header)': (k, header) => {
    if (header !== 0) unregisterTree(k, header);
  },
  'struct ctl_table_header *register_net_sysctl(struct net *net, const char *path, struct ctl_table *table)':
    (k, _net, path, table) => registerTable(k, k.memory.cstring(path), table),
  'struct ctl_table_header *register_net_sysctl_sz(struct net *net, const char *path, struct ctl_table *table, size_t table_size)':
    (k, _net, path, table, count) => registerTable(k, k.memory.cstring(path), table, count),
  'void unregister_net_sysctl_table(struct ctl_table_header *header)': (k, header) => {
    if (header !== 0) unregisterTable(k, header);
  },
});
