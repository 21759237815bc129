/**
 * move_module and add_unformed_module (kernel/module/main.c): memory for the module, `struct module` in it, and the
 * module's place in the list. The sections are put together outside of guest memory and written there when they are
 * finished; `struct module` alone is live from the start.
 */

import { SHT } from '../../formats/elf/layout.ts';
import type { PlacedSection, Segment } from '../../kernel/modules.ts';
import { block, type Steps } from '../../kernel/steps.ts';
import { ImageTooLarge, stage } from '../../link/place.ts';
import { AreaError } from '../../memory/areas.ts';
import { OutOfMemory } from '../../memory/frames.ts';
import { type Address, PAGE_SIZE, Perm } from '../../memory/space.ts';
import { Errno } from './errno.ts';
import { checkOwnDelete } from './functions/checks.ts';
import { layoutModule } from './layout.ts';
import { addHead, removeInit } from './lists.ts';
import type { Loading } from './loading.ts';
import { type LinuxModule, type ModuleArea, ModuleState } from './module.ts';
import { moduleListHead } from './module-list.ts';
import { nulFindings } from './rules/modinfo.ts';
import { notLoaded, refuseTooLarge } from './rules/sections.ts';

/** layout_and_allocate without the checks: after it, load.mod is a live struct module of state UNFORMED. */
export function placeModule(load: Loading): void {
  const { k, file } = load;
  try {
    const left = notLoaded(file, load.request.flags, load.judge.has('extended-versions'));
    load.layout = load.seen.layout(file, left, () => layoutModule(k.types, file, left));
  } catch (error) {
    if (!(error instanceof ImageTooLarge)) throw error;
    refuseTooLarge(load.judge, `${error.message}.`);
  }
  const areas = takeAreas(load);
  const staged = stage(load.layout.plan, (plan) => areas.find((area) => area.name === plan.name)?.base ?? 0);
  load.areas = staged.areas;
  load.sections = staged.sections;
  const own = staged.sections.get(file.thisModule.index);
  load.mod = own?.address ?? 0;
  checkStructModule(load);
  k.memory.write(load.mod, own?.bytes ?? new Uint8Array(0));
  load.module = describeModule(load, areas);
  fillStructModule(load);
}

function takeAreas(load: Loading): ModuleArea[] {
  const areas: ModuleArea[] = [];
  for (const { name, size } of load.layout.plan.areas) {
    const pages = size / PAGE_SIZE;
    const init = name.startsWith('init');
    if (pages === 0) {
      areas.push({ name, base: 0, bytes: 0, pages: 0, init });
      continue;
    }
    const what = `module ${load.file.name} (${name})`;
    const base = load.t.acquire(
      `memory: ${name}`,
      () => takePages(load, pages, what),
      (at) => {
        if (load.module === undefined || load.module.areas.some((area) => area.base === at)) {
          load.k.unmapPages(load.k.moduleArea, at, pages);
        }
      },
    );
    areas.push({ name, base, bytes: size, pages, init });
  }
  return areas;
}

function takePages(load: Loading, pages: number, what: string): Address {
  const { k } = load;
  // Cheaper than taking frame after frame only to give all of them back.
  if (pages > k.memory.frames.freePages) load.outOfMemory(`${pages} pages of ${what}`);
  try {
    return k.mapPages(k.moduleArea, pages, Perm.R | Perm.W, what);
  } catch (error) {
    if (error instanceof OutOfMemory || error instanceof AreaError)
      load.outOfMemory(`${pages} pages of ${what}`);
    throw error;
  }
}

/** The kernel trusts the section to be large enough and writable (up to 6.4); a file that lies would crash it. */
function checkStructModule(load: Loading): void {
  const { k, mod, file, areas, judge } = load;
  const area = areas.find(({ base, bytes }) => mod >= base && mod < base + bytes.length);
  const bytes = k.sizeof('module');
  const { type, size } = file.thisModule;
  const fits =
    area !== undefined &&
    type !== SHT.NOBITS &&
    size > 0 &&
    mod !== 0 &&
    mod + bytes <= area.base + area.bytes.length;
  const segment = load.layout.plan.sections.get(file.thisModule.index)?.segment;
  if (fits && segment !== undefined && (segment.perm & Perm.W) !== 0) return;
  const why = fits
    ? 'The section of struct module is not writable.'
    : `The section of struct module has ${file.thisModule.size} bytes, the kernel uses ${bytes}.`;
  const hint = 'The kernel would write over other memory here. Build the module against this kernel.';
  judge.refuse('this-module', Errno.ENOEXEC, why, hint);
}

function describeModule(load: Loading, areas: ModuleArea[]): LinuxModule {
  const { file, mod, layout } = load;
  const segments: Segment[] = [];
  const bySegment = new Map<object, Segment>();
  for (const plan of layout.plan.areas) {
    const base = areas.find((area) => area.name === plan.name)?.base ?? 0;
    for (const segment of plan.segments) {
      if (segment.end === segment.start) continue;
      const bytes = segment.end - segment.start;
      const name = plan.name === segment.name ? plan.name : `${plan.name} ${segment.name}`;
      const placed = {
        name,
        base: base + segment.start,
        bytes,
        pages: bytes / PAGE_SIZE,
        perm: segment.perm,
      };
      segments.push(placed);
      bySegment.set(segment, placed);
    }
  }
  const sections = new Map<number, PlacedSection>();
  for (const [index, { section, segment }] of layout.plan.sections) {
    const at = bySegment.get(segment);
    const address = load.sections.get(index)?.address ?? 0;
    if (at !== undefined)
      sections.set(index, { index, name: section.name, address, size: section.size, segment: at });
  }
  return {
    name: moduleName(load),
    path: load.request.path,
    image: { file: file.object, segments, sections },
    control: mod,
    file,
    exports: new Map(),
    areas,
    parameters: [],
    sections: [],
    findings: nulFindings(file.modinfo),
    signature: load.signature,
    release: [],
    imports: [],
  };
}

/** mod->name: what struct module says, which all but crafted files have equal to .modinfo. */
function moduleName({ k, mod }: Loading): string {
  return k.readString('module.name', mod);
}

function fillStructModule(load: Loading): void {
  const { k, mod, module, layout } = load;
  k.write('module.state', mod, ModuleState.UNFORMED);
  load.storeTaints();
  for (const area of module.areas) {
    if (!layout.classic) continue;
    const field = `module.${area.name}_layout`;
    k.write(`${field}.base`, mod, area.base);
    k.write(`${field}.size`, mod, area.bytes);
    writeClassicSizes(load, area, field);
  }
  if (!layout.classic) writeMemories(load);
}

/** text_size, ro_size and ro_after_init_size are the ends of the segments. */
function writeClassicSizes({ k, mod, layout }: Loading, area: ModuleArea, field: string): void {
  const segments = layout.plan.areas.find((plan) => plan.name === area.name)?.segments ?? [];
  const end = (name: string) => segments.find((segment) => segment.name === name)?.end ?? 0;
  k.write(`${field}.text_size`, mod, end('text'));
  k.write(`${field}.ro_size`, mod, end('rodata'));
  k.write(`${field}.ro_after_init_size`, mod, end('ro after init') || end('rodata'));
}

/** enum mod_mem_type of 6.4 and later. */
const MEMORY_TYPES = ['text', 'data', 'rodata', 'ro after init', 'init text', 'init data', 'init rodata'];

function writeMemories({ k, mod, module }: Loading): void {
  MEMORY_TYPES.forEach((name, type) => {
    const area = module.areas.find((candidate) => candidate.name === name);
    k.write(`module.mem[${type}].base`, mod, area?.base ?? 0);
    k.write(`module.mem[${type}].size`, mod, area?.bytes ?? 0);
  });
}

/** How often a load that waits for another one of the same name looks again, and for how long in all (ns). */
const POLL = 10_000_000;
const PATIENCE = 30_000_000_000;

/** add_unformed_module: takes the name, or finds it taken. */
export function* addUnformed(load: Loading): Steps<void> {
  const { k, module, mod, t } = load;
  yield* waitForName(load);
  t.step('name in the list of modules');
  k.modules.add(module);
  addHead(k, mod + k.offset('module.list'), moduleListHead(k));
  t.undo('name in the list of modules', () => {
    // A module may have taken itself off the list, to hide.
    checkOwnDelete(k, mod + k.offset('module.list'));
    removeInit(k, mod + k.offset('module.list'));
    k.modules.remove(module);
  });
}

function* waitForName({ k, judge, module }: Loading): Steps<void> {
  const deadline = k.time.now() + PATIENCE;
  for (let waited = false; ; waited = true) {
    const other = k.modules.find(module.name);
    if (other === undefined && !waited) return;
    const state = other === undefined ? undefined : k.read('module.state', other.control);
    const forming = state === ModuleState.COMING || state === ModuleState.UNFORMED;
    if (forming && k.time.now() < deadline) {
      yield* block(`module ${module.name} to finish loading`, k.time.now() + POLL);
      continue;
    }
    if (other === undefined || forming) {
      const why = `Another load of ${module.name} was under way and did not succeed.`;
      judge.refuse('duplicate-name', Errno.EBUSY, why, 'Look at the log for what happened to the other one.');
    }
    const hint = `Unload it first: rmmod ${module.name}.`;
    judge.refuse(
      'duplicate-name',
      Errno.EEXIST,
      `A module of the name ${module.name} is loaded already.`,
      hint,
    );
  }
}

/** Writes the finished bytes to guest memory, around the live struct module. */
export function writeImage(load: Loading): void {
  const { k, file, areas, mod } = load;
  load.t.step('write image');
  for (const { base, bytes } of areas) {
    const hole = mod - base;
    if (hole < 0 || hole >= bytes.length) {
      k.memory.poke(base, bytes);
      continue;
    }
    // A section that is too small (6.1 does not look) shares its end with what follows: struct module wins.
    const end = Math.min(hole + Math.max(file.thisModule.size, k.sizeof('module')), bytes.length);
    k.memory.poke(base, bytes.subarray(0, hole));
    k.memory.poke(base + end, bytes.subarray(end));
  }
}
