/** /sys/module/NAME (mod_sysfs_setup, kernel/module/sysfs.c, kernel/params.c): every value is read when asked for. */

import type { Steps } from '../../kernel/steps.ts';
import { hexAddress } from '../../memory/address.ts';
import { type Address, PAGE_SIZE } from '../../memory/space.ts';
import { builtinNames } from './builtin.ts';
import { Errno } from './errno.ts';
import { writeText } from './functions/format/printf.ts';
import { dumpStack } from './functions/printk.ts';
import type { Linux } from './linux.ts';
import type { Loading } from './loading.ts';
import { type LinuxModule, type ModuleParameter, ModuleState } from './module.ts';
import { setParameter } from './params.ts';
import { moduleRefcount, moduleSizes } from './proc-modules.ts';
import { checkSectionNames, checkSysfsName } from './rules/exports.ts';
import { checkParameterFiles } from './rules/parameter-files.ts';
import { listedSections } from './rules/sections.ts';
import { type AttributeMethods, attributeMethods, sysDirectory, sysfs } from './sysfs.ts';
import { moduleTaintLetters, TAINT, taintKernel } from './taint.ts';
import { directory, type Node, regular, symlink } from './vfs/node.ts';

/** Makes the module's directory, and its place among the holders of those it uses. */
export function setUpSysfs(load: Loading): void {
  const { k, module, judge, t } = load;
  const above = sysDirectory(k, 'module');
  t.step('sysfs');
  checkSysfsName(
    judge,
    module.name,
    above.child(module.name) !== undefined || builtinNames(k.file).has(module.name),
    () => taintKernel(k, TAINT.WARN),
  );
  checkParameterFiles(judge, module.name, module.parameters, {
    warned: () => taintKernel(k, TAINT.WARN),
    trace: () => dumpStack(k),
  });
  const listed = listedSections(judge, load.file, load.request.flags);
  checkSectionNames(judge, module.name, listed, () => dumpStack(k));
  const kobject = module.control + k.offset('module.mkobj.kobj');
  const name = k.heap.allocate(module.name.length + 1);
  writeText(k, name, module.name);
  k.write('kobject.name', kobject, name);
  k.write('kobject.kref.refcount.refs.counter', kobject, 1);
  k.write('module.mkobj.mod', module.control, module.control);
  k.state(sysfs).bind(kobject, above.add(moduleDirectory(k, module)));
  for (const owner of owners(k, module)) {
    const link = symlink(module.name, `../../${module.name}`);
    above.child(owner)?.child('holders')?.add(link);
  }
  t.undo('sysfs', () => {
    for (const owner of owners(k, module)) above.child(owner)?.child('holders')?.remove(module.name);
    k.state(sysfs).unbind(kobject);
    above.remove(module.name);
    k.heap.free(name);
  });
}

function owners(_k: Linux, module: LinuxModule): Set<string> {
  return new Set(module.imports.flatMap(({ from }) => (from === undefined ? [] : [from])));
}

function moduleDirectory(k: Linux, module: LinuxModule): Node {
  const node = directory(module.name);
  const { control } = module;
  const text = (name: string, show: () => string) => node.add(regular(name, 0o444, showing(show)));
  text('coresize', () => `${moduleSizes(k, control).core}`);
  text('initsize', () => `${moduleSizes(k, control).init}`);
  text('initstate', () => stateName(k.read('module.state', control)));
  text('refcnt', () => `${moduleRefcount(k, control)}`);
  text('taint', () => moduleTaintLetters(k.read('module.taints', control)));
  for (const field of ['version', 'srcversion']) {
    const value = module.file.modinfo.get(field);
    if (value !== undefined) text(field, () => value);
  }
  node.add(
    regular(
      'uevent',
      0o200,
      attributeMethods({
        *store(_kernel, _page, count) {
          return count;
        },
      }),
    ),
  );
  node.add(directory('holders'));
  node.add(sectionsDirectory(module));
  const notes = notesDirectory(module);
  if (notes !== undefined) node.add(notes);
  const shown = module.parameters.filter(({ mode }) => mode !== 0);
  if (shown.length > 0) {
    const parameters = node.add(directory('parameters'));
    for (const parameter of shown) parameters.add(parameterFile(parameter));
  }
  return node;
}

function stateName(state: number): string {
  return state === ModuleState.LIVE ? 'live' : state === ModuleState.GOING ? 'going' : 'coming';
}

function showing(show: () => string) {
  return attributeMethods({
    *show(k: Linux, page: Address): Steps<number> {
      const text = `${show()}\n`;
      writeText(k, page, text);
      return text.length;
    },
  });
}

function sectionsDirectory(module: LinuxModule): Node {
  const node = directory('sections');
  for (const { name, address } of module.sections) {
    node.add(
      regular(
        name,
        0o400,
        showing(() => hexAddress(address)),
      ),
    );
  }
  return node;
}

const SHT_NOTE = 7;

function notesDirectory(module: LinuxModule): Node | undefined {
  const { elf } = module.file;
  const notes = elf.sections.filter(
    (s) => s.type === SHT_NOTE && module.sections.some(({ name }) => name === s.name),
  );
  if (notes.length === 0) return undefined;
  const node = directory('notes');
  for (const section of notes) {
    const bytes = elf.data(section);
    const show: AttributeMethods['show'] = function* (k, page): Steps<number> {
      const part = bytes.subarray(0, PAGE_SIZE);
      k.memory.write(page, part);
      return part.length;
    };
    const file = node.add(regular(section.name, 0o444, attributeMethods({ show })));
    file.size = bytes.length;
  }
  return node;
}

/** param_attr_show and param_attr_store. */
function parameterFile({ name, at, mode }: ModuleParameter): Node {
  const methods = attributeMethods({
    *show(k, page) {
      const get = k.read('kernel_param_ops.get', k.read('kernel_param.ops', at));
      return get === 0 ? -Errno.EPERM : yield* k.callInt(get, page, at);
    },
    *store(k, page, count) {
      const errno = yield* setParameter(k, at, page);
      return errno === 0 ? count : -errno;
    },
  });
  return regular(name, mode & 0o777, methods);
}
