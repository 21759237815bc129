/** complete_formation and prepare_coming_module (kernel/module/main.c): the module becomes visible to others. */
import type { Steps } from '../../kernel/steps.ts';
import { addJumpLabels, removeJumpLabels } from './jump-labels.ts';
import type { Loading } from './loading.ts';
import { ModuleState } from './module.ts';
import { notifyModule, notifyRobust } from './notifiers.ts';
import { findSymbol } from './resolve.ts';
import { checkTypeInformation } from './rules/btf.ts';
import { checkDuplicateSymbols } from './rules/exports.ts';
import { checkStaticCalls } from './rules/static-calls.ts';

export function* completeFormation(load: Loading): Steps<void> {
  const { k, module, mod, t } = load;
  verifyExports(load);
  protectSegments(load);
  t.step('state coming');
  k.write('module.state', mod, ModuleState.COMING);
  t.undo('state coming', () => k.write('module.state', mod, ModuleState.UNFORMED));
  t.step('notifiers');
  checkStaticCalls(load.judge, load.file);
  checkTypeInformation(load.judge, load.file);
  const errno = yield* notifyRobust(k, module, ModuleState.COMING, ModuleState.GOING);
  if (errno !== 0) refuseVeto(load, errno);
  t.undo('notifiers', function* (): Steps<void> {
    k.write('module.state', mod, ModuleState.GOING);
    yield* notifyModule(k, module, ModuleState.GOING);
  });
  t.step('jump labels');
  addJumpLabels(k, module);
  t.undo('jump labels', () => removeJumpLabels(k, module));
}

/** verify_exported_symbols */
function verifyExports({ k, judge, module, file }: Loading): void {
  checkDuplicateSymbols(judge, file, module.exports.keys(), (name) => {
    const other = findSymbol(k, name);
    return other === undefined ? undefined : (other.owner?.name ?? 'kernel');
  });
}

/** module_enable_ro, _nx and _x: code and constants become read-only, data not executable. */
function protectSegments({ k, module }: Loading): void {
  for (const { base, pages, perm } of module.image.segments) k.memory.protect(base, pages, perm);
}

function refuseVeto({ judge, module }: Loading, errno: number): never {
  const why = `A module notifier objected to ${module.name} with error ${errno}.`;
  return judge.refuse('notifier', errno, why, 'Unload the module that watches others being loaded.');
}
