import { existsSync } from 'node:fs';
import type { Verdict } from '../../tools/check.ts';
import { checkerOf, moduleSystem } from '../../tools/checkers.ts';
import { SettingError } from '../../tools/system.ts';
import { SYSTEMS } from '../../tools/systems.ts';
import { runMatrix, wantsMatrix } from '../check/matrix.ts';
import { verdictScreen } from '../check/screen.ts';
import {
  moduleFile,
  modulePaths,
  type NamedModules,
  type OpenKernel,
  openKernels,
  openReadable,
  takeArguments,
} from '../check/subjects.ts';
import type { Command, CommandContext } from '../command.ts';
import { usageError } from '../failure.ts';
import { trustedFiles } from '../linux-session.ts';

/** 0 loads, 1 refused, 3 cannot tell; of several pairs the worst, refused before not known. */
const EXIT = { loads: 0, refused: 1, 'cannot-tell': 3 } as const;

export const command: Command = {
  async run(context) {
    const { options } = context;
    const { names, args } = takeArguments(context.args);
    if (names.length === 0) throw usageError(`${args} is no module, but an argument of one`);
    const named = await modulePaths(names);
    for (const [system, count] of named.unruled)
      context.err(`lkm: ${passedOver(count, 'file', system)}: lkm check has no rules of ${system}\n`);
    const settings = settingsOf(context);
    if (args !== '') settings.set('args', [settings.get('args') ?? '', args].join(' ').trim());
    const certificates = trustedFiles(context);
    const companions = named.paths.length > 1 ? named.paths : [];
    if (wantsMatrix(context)) {
      const kernels = await openReadable(kernelNames(context), context);
      return runMatrix(context, { modules: named.paths, kernels, companions, settings, certificates });
    }
    const kernels = await openKernels(kernelNames(context), context);
    const { modules, systems } = await systemsOf(context, named, kernels);
    let code = 0;
    let shown = 0;
    for (const [i, path] of modules.entries()) {
      const module = moduleFile(path);
      for (const open of kernels.filter(({ checker }) => checker.system === systems[i])) {
        if (context.output.closed) return code;
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

/**
 * The system of each module; before anything is shown it is clear that each has a kernel to be checked against. What a folder
 * has of other systems is passed over with a word, unless there is nothing else in it.
 */
async function systemsOf(
  { options, err }: CommandContext,
  { paths, found }: NamedModules,
  kernels: readonly OpenKernel[],
): Promise<{ modules: readonly string[]; systems: readonly string[] }> {
  const all: { path: string; system: string }[] = [];
  for (const path of paths) all.push({ path, system: await moduleSystem(moduleFile(path)) });
  const served = all.filter(({ system }) => kernels.some(({ checker }) => checker.system === system));
  const lonely = all.filter((one) => !served.includes(one));
  if (lonely.length === 0 || (served.length > 0 && lonely.every(({ path }) => found.has(path)))) {
    for (const system of new Set(lonely.map((one) => one.system))) {
      const count = lonely.filter((one) => one.system === system).length;
      err(`lkm: ${passedOver(count, 'module', system)}: no kernel of ${system} was named\n`);
    }
    return { modules: served.map(({ path }) => path), systems: served.map(({ system }) => system) };
  }
  const { path, system } = lonely.find((one) => !found.has(one.path)) ?? lonely[0];
  if (options.list('kernel').length === 0) {
    const checker = await checkerOf(system);
    const title = SYSTEMS.find(({ name }) => name === system)?.title ?? system;
    if (checker === undefined)
      throw usageError(
        `${path} is a module of ${title}, whose rules lkm check does not know`,
        `lkm run ${path} loads it.`,
      );
    const hint = `Give one with --kernel: ${checker.kernels}.`;
    throw usageError(`${path} is a module of ${title}, and no kernel of ${title} was named`, hint);
  }
  const given = [...new Set(kernels.map(({ checker }) => checker.system))].join(' and ');
  throw usageError(
    `${path} is a module of ${system}, the kernels are of ${given}`,
    'Give a kernel of the same system as well.',
  );
}

const passedOver = (count: number, what: string, system: string): string =>
  `${count} ${what}${count === 1 ? '' : 's'} of ${system} ${count === 1 ? 'is' : 'are'} passed over`;

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
  for (const name of ['cmdline', 'lockdown', 'force', 'built-against', 'args'] as const) {
    const value = options.text(name);
    if (value !== undefined) settings.set(name, value);
  }
  checkPath(settings.get('built-against'));
  for (const name of ['sig-enforce', 'modules-disabled'] as const) {
    if (options.flag(name)) settings.set(name, 'yes');
  }
  return settings;
}

/** A kernel that was named for explanations is looked for at once, though it may turn out not to be needed. */
function checkPath(path: string | undefined): void {
  if (path === undefined || path.startsWith('builtin:') || existsSync(path)) return;
  throw usageError(`--built-against ${path}: there is no such file or folder`);
}

function show(context: CommandContext, verdict: Verdict, again: boolean): void {
  const { options, columns, style, json, out } = context;
  if (options.flag('json')) json('lkm.check/1', { ...verdict });
  else out((again ? '\n' : '') + verdictScreen(verdict, { columns, style, rules: options.flag('rules') }));
}

const worse = (a: number, b: number): number => (a === 1 || b === 1 ? 1 : Math.max(a, b));
