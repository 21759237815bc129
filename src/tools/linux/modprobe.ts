/** modprobe (kmod): a module with what it needs, by name or alias; also on behalf of the kernel. */
import { Errno } from '../../systems/linux/errno.ts';
import { moduleRequest } from '../../systems/linux/functions/request-module.ts';
import { type LoadResult, loadFromWithin, rmmod, type UnloadResult } from '../../systems/linux/loader.ts';
import { moduleRefcount } from '../../systems/linux/proc-modules.ts';
import type { LinuxConsole } from './console.ts';
import { ModuleTree, type TreeModule } from './module-tree.ts';

/** What modprobe would load, in order. */
export interface ProbePlan {
  readonly steps: readonly ProbeStep[];
  /** The name that no module has, when that stops it. */
  readonly missing?: string;
}

export interface ProbeStep {
  readonly module: TreeModule;
  /** A soft dependency: that it fails stops nothing. */
  readonly soft: boolean;
  /** It is what was asked for: parameters are for it. */
  readonly wanted: boolean;
}

/** Exit status 1, as wait(2) reports it: what __request_module returns when modprobe fails. */
const FAILED = 1 << 8;

/** More modules than any chain of dependencies has. */
const MAX_STEPS = 1000;

/** The order of kmod_module_probe_insert_module: soft ones before, hard ones, itself, soft ones after. */
export function planProbe(tree: ModuleTree, word: string): ProbePlan {
  const found = tree.lookUp(word);
  if (found.length === 0) return { steps: [], missing: word };
  const steps: ProbeStep[] = [];
  const seen = new Set<string>();
  let missing: string | undefined;
  const visit = (module: TreeModule, soft: boolean, wanted: boolean): void => {
    if (seen.has(module.name) || seen.size >= MAX_STEPS) return;
    seen.add(module.name);
    for (const name of module.before) for (const one of tree.lookUp(name)) visit(one, true, false);
    for (const name of module.depends) {
      const one = tree.named(name);
      if (one === undefined) missing ??= name;
      else visit(one, soft, false);
    }
    steps.push({ module, soft, wanted });
    for (const name of module.after) for (const one of tree.lookUp(name)) visit(one, true, false);
  };
  for (const module of found) visit(module, false, true);
  return { steps, missing };
}

export function treeOf({ moduleFile, modulePaths }: LinuxConsole): ModuleTree {
  return new ModuleTree({ moduleFile, modulePaths });
}

/** Loads what is not loaded yet; `insert` does one, and the first that fails ends it unless it is a soft dependency. */
export function runPlan(
  console: LinuxConsole,
  plan: ProbePlan,
  insert: (step: ProbeStep) => LoadResult,
): { readonly module: TreeModule; readonly result: LoadResult } | undefined {
  for (const step of plan.steps) {
    if (console.k.modules.find(step.module.name) !== undefined) continue;
    const result = insert(step);
    if (result.outcome !== 'loaded' && !step.soft) return { module: step.module, result };
  }
  return undefined;
}

/** `modprobe -r`: what comes after it, itself, then what it needed and nobody else uses. */
export function removeProbed(console: LinuxConsole, word: string): UnloadResult | undefined {
  const tree = treeOf(console);
  const { k, credential } = console;
  let first: UnloadResult | undefined;
  for (const module of tree.lookUp(word)) {
    for (const name of module.after) removeUnused(console, tree, name);
    const result = rmmod(k, module.name, { credential });
    if (result.outcome !== 'unloaded') return result;
    first ??= result;
    for (const name of [...module.before, ...module.depends]) removeUnused(console, tree, name);
  }
  return first;
}

function removeUnused(console: LinuxConsole, tree: ModuleTree, word: string): void {
  const { k, credential } = console;
  for (const { name } of tree.lookUp(word)) {
    const loaded = k.modules.find(name);
    if (loaded !== undefined && moduleRefcount(k, loaded.control) === 0) rmmod(k, name, { credential });
  }
}

/** Serves the kernel's own requests (`request_module`) from the console's modules, with root's rights. */
export function serveModuleRequests(console: LinuxConsole): void {
  const tree = treeOf(console);
  console.k.state(moduleRequest).load = function* (k, name) {
    const { steps, missing } = planProbe(tree, name);
    if (missing !== undefined) return FAILED;
    for (const { module, soft } of steps) {
      if (k.modules.find(module.name) !== undefined) continue;
      const result = yield* loadFromWithin(k, 'modprobe', module.bytes, '', { path: module.path });
      if (result.outcome === 'missing') throw result.missing;
      const there = result.outcome === 'refused' && result.refusal.errno === Errno.EEXIST;
      if (result.outcome !== 'loaded' && !there && !soft) return FAILED;
    }
    return 0;
  };
}
