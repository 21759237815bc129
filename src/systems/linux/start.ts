/** do_init_module and do_one_initcall (kernel/module/main.c, init/main.c): the module starts. */
import type { Steps } from '../../kernel/steps.ts';
import { Perm } from '../../memory/space.ts';
import { Errno, errnoName } from './errno.ts';
import { finishAsynchronous } from './functions/async.ts';
import { dumpStack } from './functions/printk.ts';
import { removeJumpLabels } from './jump-labels.ts';
import { Segments } from './layout.ts';
import type { Loading } from './loading.ts';
import { ModuleState } from './module.ts';
import { notifyModule } from './notifiers.ts';
import { commandLineOptions, Level } from './rules/judge.ts';

export function* startModule(load: Loading): Steps<void> {
  const { k, mod, module, t } = load;
  t.step('init');
  load.started = true;
  const init = k.read('module.init', mod);
  const result = init === 0 ? 0 : yield* callInit(load, init);
  // To user space -EEXIST says that a module of the name is there already.
  const taken = result === -Errno.EEXIST && load.judge.has('start-answers');
  if (result < 0) refuseInit(load, taken ? Errno.EBUSY : -result);
  if (result > 0) reportPositive(load, result);
  // From here on nothing fails any more: the load is done.
  module.release = t.commit();
  k.write('module.state', mod, ModuleState.LIVE);
  yield* notifyModule(k, module, ModuleState.LIVE);
  // What init has put off may be init code itself.
  if (k.read('module.async_probe_requested', mod) === 0) yield* finishAsynchronous(k);
  k.write('module.refcnt.counter', mod, k.read('module.refcnt.counter', mod) - 1);
  freeInit(load);
}

function* callInit({ k, judge }: Loading, init: number): Steps<number> {
  const blocked = commandLineOptions(judge.commandLine, 'initcall_blacklist').flatMap((list) =>
    list.split(','),
  );
  const name = blocked.length === 0 ? '' : k.describe(init).split('+')[0];
  if (blocked.length > 0 && blocked.includes(name)) {
    judge.say(Level.DEBUG, `initcall ${name} blacklisted`);
    return -Errno.EPERM;
  }
  return yield* k.callInt(init);
}

function refuseInit({ judge, module }: Loading, errno: number): never {
  const known = errnoName(errno);
  const why = `The init function of ${module.name} returned ${known ? `-${known}` : -errno}: it did not want to start.`;
  return judge.refuse(
    'init',
    errno,
    why,
    'Its own messages in the log may say why; a device it needs may be missing.',
  );
}

function reportPositive({ k, judge, module }: Loading, result: number): void {
  if (judge.has('start-answers')) {
    const what = `init suspiciously returned ${result}, it should follow 0/-E convention`;
    judge.say(Level.WARNING, `${module.name}: ${what}`);
    dumpStack(k);
    return;
  }
  const what = `'${module.name}'->init suspiciously returned ${result}, it should follow 0/-E convention`;
  judge.say(Level.WARNING, `do_init_module: ${what}\ndo_init_module: loading module anyway...`);
  dumpStack(k);
}

/** What is only needed while starting goes: init code and data, their exception entries, the full symbol table. */
function freeInit(load: Loading): void {
  const { k, mod, module, layout } = load;
  for (const segment of module.image.segments) {
    if (!segment.name.endsWith(Segments.RO_AFTER_INIT)) continue;
    segment.perm = Perm.R;
    k.memory.protect(segment.base, segment.pages, Perm.R);
  }
  trimExceptionTable(load);
  if (k.types.has('module.core_kallsyms'))
    k.write('module.kallsyms', mod, mod + k.offset('module.core_kallsyms'));
  for (const area of module.areas.filter(({ init }) => init)) {
    if (area.pages === 0) continue;
    removeJumpLabels(k, module, area);
    for (const { base, remove } of load.forget) {
      if (base >= area.base && base < area.base + area.bytes) remove();
    }
    k.unmapPages(k.moduleArea, area.base, area.pages);
  }
  module.areas = module.areas.filter(({ init }) => !init);
  const { segments, sections } = module.image;
  segments.splice(0, segments.length, ...segments.filter((segment) => !segment.name.startsWith('init')));
  for (const [index, section] of sections)
    if (section.segment.name.startsWith('init')) sections.delete(index);
  if (!layout.classic) return;
  for (const field of ['base', 'size', 'text_size', 'ro_size', 'ro_after_init_size']) {
    if (k.types.has(`module.init_layout.${field}`)) k.write(`module.init_layout.${field}`, mod, 0);
  }
}

/** trim_init_extable: entries of init code stand at one end of the sorted table. */
function trimExceptionTable({ k, mod, module }: Loading): void {
  let table = k.read('module.extable', mod);
  let count = k.read('module.num_exentries', mod);
  const init = module.areas.filter((area) => area.init);
  const inInit = (entry: number) => {
    const at = entry + k.memory.i32(entry);
    return init.some(({ base, bytes }) => at >= base && at < base + bytes);
  };
  while (count > 0 && inInit(table)) {
    table += 12;
    count--;
  }
  while (count > 0 && inInit(table + (count - 1) * 12)) count--;
  k.write('module.extable', mod, table);
  k.write('module.num_exentries', mod, count);
}
