/** find_module_sections and percpu_modalloc (kernel/module/main.c). */
import { type Address, PAGE_SIZE } from '../../memory/space.ts';
import { dumpStack } from './functions/printk.ts';
import type { Linux } from './linux.ts';
import { initList } from './lists.ts';
import type { Loading } from './loading.ts';
import { REF_BASE } from './module.ts';
import { checkObsolete } from './rules/exports.ts';
import { checkPerCpu, type PerCpuRoom } from './rules/sections.ts';
import { TAINT, taintKernel } from './taint.ts';

/** Per-CPU memory for the module's own variables, and the counts and lists every module has. */
export function allocatePerCpu(load: Loading): void {
  const { k, t, mod, file, judge } = load;
  load.storeTaints();
  const section = file.perCpu;
  if (section !== undefined && section.size > 0) {
    t.step('per-CPU memory');
    checkPerCpu(judge, file, perCpuRoom(k));
    const align = Math.min(Math.max(section.alignment, 1), PAGE_SIZE);
    const at = k.percpu.allocate(section.size, align);
    if (at === 0) load.outOfMemory(`${section.size} bytes of per-CPU data`);
    t.undo('per-CPU memory', () => void k.percpu.free(at));
    k.write('module.percpu', mod, at);
    k.write('module.percpu_size', mod, section.size);
  }
  initList(k, mod + k.offset('module.source_list'));
  initList(k, mod + k.offset('module.target_list'));
  // One reference is the load's own; it goes when the module has started.
  k.write('module.refcnt.counter', mod, REF_BASE + 1);
}

function perCpuRoom(k: Linux): PerCpuRoom {
  const sizes = [...k.modules].map(({ control }) => k.read('module.percpu_size', control));
  return {
    used: sizes.reduce((sum, size) => sum + size, 0),
    warned: () => taintKernel(k, TAINT.WARN),
    trace: () => dumpStack(k),
  };
}

/** Fields of struct module that hold a table of the module, the table's section and the size of one entry. */
const TABLES: readonly (readonly [
  field: string,
  count: string | undefined,
  section: string,
  entry: string | number,
])[] = [
  ['kp', 'num_kp', '__param', 'kernel_param'],
  ['syms', 'num_syms', '__ksymtab', 'kernel_symbol'],
  ['crcs', undefined, '__kcrctab', 4],
  ['gpl_syms', 'num_gpl_syms', '__ksymtab_gpl', 'kernel_symbol'],
  ['gpl_crcs', undefined, '__kcrctab_gpl', 4],
  ['noinstr_text_start', 'noinstr_text_size', '.noinstr.text', 1],
  ['tracepoints_ptrs', 'num_tracepoints', '__tracepoints_ptrs', 4],
  ['srcu_struct_ptrs', 'num_srcu_structs', '___srcu_struct_ptrs', 'word'],
  ['bpf_raw_events', 'num_bpf_raw_events', '__bpf_raw_tp_map', 32],
  ['jump_entries', 'num_jump_entries', '__jump_table', 'jump_entry'],
  ['trace_events', 'num_trace_events', '_ftrace_events', 'word'],
  ['trace_evals', 'num_trace_evals', '_ftrace_eval_map', 'word'],
  ['trace_bprintk_fmt_start', 'num_trace_bprintk_fmt', '__trace_printk_fmt', 'word'],
  ['ftrace_callsites', 'num_ftrace_callsites', '__mcount_loc', 'word'],
  ['ei_funcs', 'num_ei_funcs', '_error_injection_whitelist', 'error_injection_entry'],
  ['kprobe_blacklist', 'num_kprobe_blacklist', '_kprobe_blacklist', 'word'],
  ['kprobes_text_start', 'kprobes_text_size', '.kprobes.text', 1],
  ['static_call_sites', 'num_static_call_sites', '.static_call_sites', 8],
  ['extable', 'num_exentries', '__ex_table', 12],
  ['bug_table', 'num_bugs', '__bug_table', 'bug_entry'],
];

export function findSections(load: Loading): void {
  const { k, mod, file, judge } = load;
  for (const [field, count, section, entry] of TABLES) {
    if (!k.types.has(`module.${field}`)) continue;
    const staged = load.section(section);
    const size = typeof entry === 'number' ? entry : entrySize(load, entry);
    k.write(`module.${field}`, mod, staged?.address ?? 0);
    if (count !== undefined) k.write(`module.${count}`, mod, Math.floor((staged?.bytes.length ?? 0) / size));
  }
  if (k.types.has('module.bug_list')) initList(k, mod + k.offset('module.bug_list'));
  checkObsolete(judge, file);
  describeSections(load);
}

/**
 * struct kernel_symbol is three relative references on x86, whether the type information shows them or not; likewise
 * struct jump_entry two and a word, struct error_injection_entry a word and a number.
 */
function entrySize({ k }: Loading, type: string): number {
  if (type === 'word') return k.word;
  if (type === 'jump_entry') return 8 + k.word;
  if (type === 'error_injection_entry') return 2 * k.word;
  return type === 'kernel_symbol' && !k.types.has('kernel_symbol.value_offset') ? 12 : k.sizeof(type);
}

/** What /sys/module/NAME/sections lists: every loaded section that is not empty. */
function describeSections({ module, sections }: Loading): void {
  const listed: { name: string; address: Address; size: number }[] = [];
  for (const { section, address } of sections.values()) {
    if (section.size > 0) listed.push({ name: section.name, address, size: section.size });
  }
  module.sections = listed.sort((a, b) => (a.name < b.name ? -1 : 1));
}
