/** The files of /proc that the base kernel itself has. */

import { procDiskstats, procPartitions } from './block/disk.ts';
import { procCrypto } from './crypto/registry.ts';
import { Errno } from './errno.ts';
import { procDevices } from './functions/device.ts';
import { procInterrupts } from './functions/interrupts.ts';
import type { Linux } from './linux.ts';
import { modulesDisabled, setModulesDisabled } from './module-sysctl.ts';
import { procModules } from './proc-modules.ts';
import { namespace } from './vfs/namespace.ts';
import { type FileMethods, makePath, type Node, regular, textFile } from './vfs/node.ts';
import { filesystemTypes } from './vfs/super.ts';

export function populateProc(k: Linux): void {
  const { proc } = k.state(namespace);
  proc.add(textFile('modules', 0o444, procModules));
  proc.add(textFile('filesystems', 0o444, (kernel) => kernel.state(filesystemTypes).text(kernel)));
  proc.add(textFile('devices', 0o444, procDevices));
  proc.add(textFile('partitions', 0o444, procPartitions));
  proc.add(textFile('diskstats', 0o444, procDiskstats));
  proc.add(textFile('version', 0o444, (kernel) => `${kernel.file.banner}\n`));
  proc.add(textFile('cmdline', 0o444, (kernel) => `${kernel.commandLine}\n`));
  proc.add(textFile('crypto', 0o444, procCrypto));
  proc.add(textFile('uptime', 0o444, (kernel) => `${(kernel.time.now() / 1e9).toFixed(2)} 0.00\n`));
  proc.add(textFile('meminfo', 0o444, meminfo));
  proc.add(textFile('interrupts', 0o444, procInterrupts));
  makePath(proc, 'self').add(textFile('mounts', 0o444, mounts));
  // What proc_root_init makes for others to fill.
  for (const folder of ['fs', 'driver', 'bus', 'tty']) makePath(proc, folder);
  const kernel = makePath(proc, 'sys/kernel');
  kernel.add(
    numberFile(
      'tainted',
      (of) => of.taint,
      () => false,
    ),
  );
  kernel.add(numberFile('modules_disabled', (of) => Number(modulesDisabled(of)), setModulesDisabled));
  kernel.add(textFile('osrelease', 0o444, (of) => `${of.file.release}\n`));
}

function mounts(k: Linux): string {
  const spaces = k.state(namespace);
  const own = ['devtmpfs /dev devtmpfs', 'proc /proc proc', 'sysfs /sys sysfs'];
  const mounted = spaces.mounts.map((mount) => `${mount.source} ${mount.at.path} ${mount.type}`);
  return [...own, ...mounted].map((line) => `${line} rw,relatime 0 0\n`).join('');
}

function meminfo(k: Linux): string {
  const { frames } = k.memory;
  const line = (name: string, pages: number) =>
    `${`${name}:`.padEnd(16)}${String(pages * 4).padStart(8)} kB\n`;
  return (
    line('MemTotal', frames.total) +
    line('MemFree', frames.freePages) +
    line('MemAvailable', frames.freePages)
  );
}

/** A sysctl that is one number; `store` says whether the value is taken (EINVAL otherwise). */
function numberFile(
  name: string,
  value: (k: Linux) => number,
  store: (k: Linux, value: number) => boolean,
): Node {
  const text = textFile(name, 0o644, (k) => `${value(k)}\n`);
  const methods: FileMethods = {
    ...text.methods,
    *write(k, _file, buffer, count) {
      const given = new TextDecoder().decode(k.memory.bytes(buffer, Math.min(count, 64))).trim();
      if (!/^-?\d+$/.test(given) || !store(k, Number(given))) return -Errno.EINVAL;
      return count;
    },
  };
  return regular(name, 0o644, methods);
}
