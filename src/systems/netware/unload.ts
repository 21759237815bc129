/**
 * UNLOAD: modules that import from it and its own check procedure may stand against it; then its exit procedure runs,
 * its threads end, its publics go, and what its resource tags still hold is told and taken back.
 */
import { NLM_FLAGS } from '../../formats/nlm/layout.ts';
import type { Steps } from '../../kernel/steps.ts';
import { ThreadKilled } from '../../kernel/thread.ts';
import { EVENT, reportEvent } from './functions/registrations.ts';
import { releaseTags, type Unreleased } from './load.ts';
import type { NlmModule } from './module.ts';
import type { NetWare } from './netware.ts';
import { wording } from './wording.ts';

export interface UnloadOutcome {
  readonly done: boolean;
  readonly why?: string;
  readonly left: readonly Unreleased[];
}

export function* unloadNlm(k: NetWare, module: NlmModule): Steps<UnloadOutcome> {
  const users = k.modules.users(module);
  if (users.length > 0) {
    const names = users.map(({ name }) => name).join(', ');
    k.screens.say(wording.inUse(module.name, names));
    return { done: false, why: `${names} imports its publics`, left: [] };
  }
  const { file, code } = module;
  if (file.check !== 0 && (yield* k.callInt(code.address + file.check)) !== 0) {
    k.screens.say(wording.vetoed(module.name));
    return { done: false, why: 'its check procedure said no', left: [] };
  }
  if (file.exit !== 0) yield* k.call(code.address + file.exit);
  // While its descriptor is there: that is what the listeners are told of.
  yield* reportEvent(k, EVENT.MODULE_UNLOAD, module.handle);
  const left = remove(k, module);
  k.screens.say(wording.unloaded(module.name));
  yield* automatic(k, module);
  return { done: true, left };
}

function remove(k: NetWare, module: NlmModule): UnloadOutcome['left'] {
  const { current } = k.scheduler;
  for (const [thread, owner] of [...k.threadModule]) {
    if (owner !== module || thread === current) continue;
    k.scheduler.kill(thread, new ThreadKilled(thread.name, 0, `${module.name} was unloaded`));
    k.threadModule.delete(thread);
  }
  k.publics.removeOwner(module);
  module.forget();
  k.modules.remove(module);
  const left = releaseTags(k, module);
  for (const { address, bytes } of [module.code, module.data]) {
    k.pool.free(address);
    // A call that comes too late is to fail at once, and the same way each time.
    if (bytes > 0) k.memory.fill(address, bytes, FREED);
  }
  k.freeCommandLines(module);
  k.pool.free(module.handle);
  return left;
}

const FREED = 0xff;

/** Modules that came along, are marked so, and are not used any more go as well. */
function* automatic(k: NetWare, gone: NlmModule): Steps<void> {
  for (const module of gone.uses) {
    const wanted = module.automatic && (module.file.flags & NLM_FLAGS.AUTOUNLOAD) !== 0;
    if (wanted && k.modules.users(module).length === 0) yield* unloadNlm(k, module);
  }
}
