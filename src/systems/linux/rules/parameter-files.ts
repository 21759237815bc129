/** module_param_sysfs_setup (kernel/params.c) and sysfs_create_group (fs/sysfs/group.c): a file for each parameter. */
import { Errno } from '../errno.ts';
import { type Judge, Level } from './judge.ts';

/** Who may read and write such a file, at most. */
const ALLOWED = 0o664;

export interface ParameterFile {
  readonly name: string;
  /** 0: it has no file. */
  readonly mode: number;
}

/** What a live kernel does besides its words: it is tainted by the warning, and shows its stack. */
export interface Traces {
  warned(): void;
  trace(): void;
}

export function checkParameterFiles(
  judge: Judge,
  module: string,
  parameters: readonly ParameterFile[],
  traces: Traces,
): void {
  judge.enter('name-in-sysfs');
  const made = new Set<string>();
  for (const { name, mode } of parameters) {
    if (mode === 0) continue;
    if ((mode & ~ALLOWED) !== 0) {
      judge.say(Level.WARNING, '------------[ cut here ]------------');
      judge.say(Level.WARNING, `Attribute ${name}: Invalid permissions 0${mode.toString(8)}`);
      traces.warned();
    }
    if (made.has(name)) {
      judge.say(
        Level.WARNING,
        `sysfs: cannot create duplicate filename '/module/${module}/parameters/${name}'`,
      );
      traces.trace();
      const why = `Two parameters are called ${name}, and each wants a file in /sys/module/${module}/parameters.`;
      judge.refuse('name-in-sysfs', Errno.EEXIST, why, 'Give the parameters different names.');
    }
    made.add(name);
  }
}
