import type { Verdict } from '../../tools/check.ts';
import { moduleSystem } from '../../tools/checkers.ts';
import { SettingError } from '../../tools/system.ts';
import { runMatrix, wantsMatrix } from '../check/matrix.ts';
import { verdictScreen } from '../check/screen.ts';
import { moduleFile, modulePaths, type OpenKernel, openKernels } from '../check/subjects.ts';
import type { Command, CommandContext } from '../command.ts';
import { usageError } from '../failure.ts';
import { trustedFiles } from '../linux-session.ts';

/** 0 loads, 1 refused, 3 cannot tell; of several pairs the worst, refused before not known. */
const EXIT = { loads: 0, refused: 1, 'cannot-tell': 3 } as const;

export const command: Command = {
  async run(context) {
    const { options, args } = context;
    const modules = modulePaths(args);
    const kernels = await openKernels(kernelNames(context), context);
    const settings = settingsOf(context);
    const certificates = trustedFiles(context);
    const companions = modules.length > 1 ? modules : [];
    if (wantsMatrix(context))
      return runMatrix(context, { modules, kernels, companions, settings, certificates });
    let code = 0;
    let shown = 0;
    for (const path of modules) {
      const module = moduleFile(path);
      const system = await moduleSystem(module);
      for (const open of kernels) {
        if (context.output.closed) return code;
        checkSystem(path, system, open);
        const verdict = await judge(() =>
          open.checker.check({ module, kernel: open.kernel, companions, settings, certificates }),
        );
        show(context, verdict, shown++ > 0);
        code = worse(code, EXIT[verdict.answer]);
      }
    }
    if (!options.flag('json') && shown === 0) throw usageError('nothing to check');
    return code;
  },
};

const BUILT_IN = 'builtin:debian-6.1';

function kernelNames({ options }: CommandContext): readonly string[] {
  const named = options.list('kernel');
  return named.length === 0 ? [BUILT_IN] : named;
}

function checkSystem(path: string, system: string, { checker, kernel }: OpenKernel): void {
  if (checker.system === system) return;
  throw usageError(
    `${path} is a module of ${system}, ${kernel.name} a kernel of ${checker.system}`,
    'Give kernels of the same system as the modules.',
  );
}

async function judge(check: () => Verdict | Promise<Verdict>): Promise<Verdict> {
  try {
    return await check();
  } catch (error) {
    if (error instanceof SettingError) throw usageError(error.message, error.hint);
    throw error;
  }
}

/** The options for what `--set` says more generally. */
function settingsOf({ options }: CommandContext): Map<string, string> {
  const settings = new Map<string, string>();
  for (const text of options.list('set')) {
    const equals = text.indexOf('=');
    if (equals <= 0) throw usageError(`--set ${text}: NAME=VALUE is wanted`);
    settings.set(text.slice(0, equals), text.slice(equals + 1));
  }
  for (const name of ['cmdline', 'lockdown', 'force', 'built-against'] as const) {
    const value = options.text(name);
    if (value !== undefined) settings.set(name, value);
  }
  for (const name of ['sig-enforce', 'modules-disabled'] as const) {
    if (options.flag(name)) settings.set(name, 'yes');
  }
  return settings;
}

function show(context: CommandContext, verdict: Verdict, again: boolean): void {
  const { options, columns, style, json, out } = context;
  if (options.flag('json')) json('lkm.check/1', { ...verdict });
  else out((again ? '\n' : '') + verdictScreen(verdict, { columns, style, rules: options.flag('rules') }));
}

const worse = (a: number, b: number): number => (a === 1 || b === 1 ? 1 : Math.max(a, b));
