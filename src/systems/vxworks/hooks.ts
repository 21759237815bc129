/** taskHookLib: functions that run when tasks come, go and take turns. They are the only thing an unload looks for. */
import type { Steps } from '../../kernel/steps.ts';
import type { Address } from '../../memory/address.ts';
import type { Task } from './tasks.ts';
import type { VxWorks } from './vxworks.ts';

export type HookKind = 'create' | 'delete' | 'switch' | 'swap';

/** VX_MAX_TASK_CREATE_RTNS and the like. */
const MAX_HOOKS = 16;

export class Hooks {
  private readonly k: VxWorks;
  private readonly lists: Record<HookKind, Address[]> = { create: [], delete: [], switch: [], swap: [] };

  constructor(k: VxWorks) {
    this.k = k;
  }

  /** False when the table is full. */
  add(kind: HookKind, routine: Address): boolean {
    if (this.lists[kind].length >= MAX_HOOKS) return false;
    this.lists[kind].push(routine);
    return true;
  }

  remove(kind: HookKind, routine: Address): boolean {
    const at = this.lists[kind].indexOf(routine);
    if (at < 0) return false;
    this.lists[kind].splice(at, 1);
    return true;
  }

  *[Symbol.iterator](): Iterator<{ kind: HookKind; routine: Address }> {
    for (const kind of ['create', 'delete', 'switch', 'swap'] as const)
      for (const routine of this.lists[kind]) yield { kind, routine };
  }

  *created(task: Task): Steps<void> {
    for (const routine of [...this.lists.create]) yield* this.k.call(routine, task.id);
  }

  /** The newest comes first, so that hooks undo in reverse what they did. */
  *deleted(task: Task): Steps<void> {
    for (const routine of [...this.lists.delete].reverse()) yield* this.k.call(routine, task.id);
  }
}
