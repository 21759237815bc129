/** /proc/net, and /sys/class/net, which come to be when somebody looks. */
import type { Linux } from '../linux.ts';
import { sysDirectory } from '../sysfs.ts';
import { namespace } from '../vfs/namespace.ts';
import { makePath, symlink, textFile } from '../vfs/node.ts';
import { ensureLoopback } from './loopback.ts';
import { procNetDev } from './statistics.ts';

export function populateNet(k: Linux): void {
  const { proc } = k.state(namespace);
  proc.add(symlink('net', 'self/net'));
  const folder = makePath(proc, 'self/net');
  folder.add(
    textFile('dev', 0o444, (kernel) => {
      ensureLoopback(kernel);
      return procNetDev(kernel);
    }),
  );
  makePath(folder, 'stat');
  for (const path of ['class', 'devices/virtual']) {
    const node = sysDirectory(k, path);
    node.refresh = () => {
      node.refresh = undefined;
      ensureLoopback(k);
    };
  }
}
