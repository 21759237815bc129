import type { Savable } from '../../systems/linux/kernelfile/saved.ts';
import type { LinuxCheckKernel } from '../../tools/linux/check/kernels.ts';
import { type OpenKernel, openKernels } from '../check/subjects.ts';
import type { Command, CommandContext } from '../command.ts';
import { Failure, usageError } from '../failure.ts';

export const command: Command = {
  async run(context) {
    const [name] = context.args;
    const output = context.options.text('output');
    if (output !== undefined) {
      await save(context, name, output);
      return 0;
    }
    const kernel = await kernelNamed(context, name);
    if (context.options.flag('json')) context.json('lkm.kernel/1', facts(kernel));
    else context.out(screen(kernel));
    return 0;
  },
};

/** With what the kernel's own modules export, where they are known. */
async function save(context: CommandContext, name: string, path: string): Promise<void> {
  const { kernel } = await opened(context, name);
  const bytes = kernel.save?.();
  if (bytes === undefined) throw usageError(`${name} is a kernel that cannot be saved`);
  context.writeFile(path, bytes);
  context.err(`${path}: ${bytes.length} bytes; ${kernel.summary}\n`);
}

async function kernelNamed(context: CommandContext, name: string): Promise<Savable> {
  const { checker, kernel } = await opened(context, name);
  const { file } = kernel as Partial<LinuxCheckKernel>;
  if (checker.system === 'linux' && file !== undefined) return file;
  throw usageError(
    `${name} is a kernel of ${checker.system}: ${kernel.summary}`,
    'lkm check takes it with --kernel.',
  );
}

/** A file that cannot be read is no mistake of the command line here: it is what was asked about. */
async function opened(context: CommandContext, name: string): Promise<OpenKernel> {
  try {
    return (await openKernels([name], context))[0];
  } catch (error) {
    if (!(error instanceof Failure) || error.cause === undefined || name.startsWith('builtin:')) throw error;
    const { message, subject, hint, cause } = error;
    throw new Failure(message, { subject, hint, cause });
  }
}

function facts(kernel: Savable): Record<string, unknown> {
  const all = [...kernel.exports];
  return {
    release: kernel.release,
    vermagic: kernel.vermagic,
    banner: kernel.banner,
    machine: kernel.machine,
    exports: all.length,
    gplOnly: all.filter((found) => found.gplOnly).length,
    namespaces: [...new Set(all.map((found) => found.namespace).filter((name) => name !== ''))].sort(),
    versioned: all.some((found) => found.crc !== undefined),
    moduleBytes: kernel.moduleBytes ?? null,
    config: kernel.config?.size ?? null,
    rules: kernel.evidence,
    sections: kernel.sections.map((section) => ({
      ...section,
      base: BigInt.asUintN(64, BigInt(section.base)),
    })),
  };
}

function screen(kernel: Savable): string {
  const { exports, gplOnly, namespaces, versioned } = facts(kernel) as {
    exports: number;
    gplOnly: number;
    namespaces: string[];
    versioned: boolean;
  };
  const row = (label: string, value: string) => `${label.padEnd(12)} ${value}\n`;
  const rules = kernel.evidence.map(
    ({ rule, present, because }) => `  ${present ? 'yes' : 'no '}  ${rule}: ${because}\n`,
  );
  return (
    row('release', kernel.release) +
    row('banner', kernel.banner) +
    row('vermagic', `'${kernel.vermagic}'`) +
    row('machine', `${kernel.machine}, ${kernel.bits} bits`) +
    row(
      'exports',
      `${exports}, of them ${gplOnly} GPL-only; ${versioned ? 'with' : 'without'} symbol versions`,
    ) +
    row(
      'namespaces',
      namespaces.length === 0 ? 'none' : `${namespaces.length}: ${namespaces.slice(0, 8).join(' ')} ...`,
    ) +
    row('struct module', kernel.moduleBytes === undefined ? 'unknown' : `${kernel.moduleBytes} bytes`) +
    row('config', kernel.config === undefined ? 'not known' : `${kernel.config.size} options`) +
    `loader rules\n${rules.join('')}`
  );
}
