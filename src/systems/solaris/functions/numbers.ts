/** Numbers given out: id_space (sys/id_space.h) and vmem(9F) arenas. Handles are opaque. */
import { perKernel } from '../../../kernel/kernel.ts';
import type { StandingThing } from '../../../kernel/standing.ts';
import { block, type Steps } from '../../../kernel/steps.ts';
import type { Address } from '../../../memory/space.ts';
import { panic } from '../faults.ts';
import type { Solaris } from '../solaris.ts';
import { kernelFunctions } from './define.ts';

interface Span {
  readonly start: number;
  readonly bytes: number;
}

interface Arena {
  readonly name: string;
  readonly quantum: number;
  readonly spans: Span[];
  /** What was given out, by its start. */
  readonly given: Map<number, number>;
  /** Where more comes from when the arena is full. */
  readonly source: Address;
  readonly import: Address;
  readonly release: Address;
  readonly imported: Span[];
  next: number;
}

const arenas = perKernel(() => new Map<Address, Arena>());

/** Arenas and id spaces that nobody destroyed. */
export function* arenasNow(k: Solaris): Generator<StandingThing> {
  for (const [key, { name }] of k.state(arenas)) yield { what: 'vmem arena', key, name };
}

interface ArenaRequest {
  readonly name: string;
  readonly span: Span;
  readonly quantum: number;
  readonly source?: Address;
  readonly import?: Address;
  readonly release?: Address;
}

function create(k: Solaris, request: ArenaRequest): Address {
  const handle = k.heap.take(64);
  const { name, span, quantum, source = 0, import: from = 0, release = 0 } = request;
  const spans = span.bytes > 0 ? [span] : [];
  const arena = { name, quantum, spans, source, import: from, release, next: span.start };
  k.state(arenas).set(handle, { ...arena, given: new Map(), imported: [] });
  return handle;
}

function arenaAt(k: Solaris, handle: Address): Arena {
  const arena = k.state(arenas).get(handle);
  if (arena === undefined) throw panic(k, 'vmem: not an arena');
  return arena;
}

interface Wish {
  readonly bytes: number;
  readonly align?: number;
  readonly from?: number;
  readonly to?: number;
}

/** The first free stretch at or behind a place; the start, or undefined. */
function firstFree(arena: Arena, wish: Wish, behind: number): number | undefined {
  const align = Math.max(wish.align ?? 0, arena.quantum, 1);
  const up = (value: number): number => Math.ceil(value / align) * align;
  const taken = [...arena.given].sort(([a], [b]) => a - b);
  for (const { start, bytes } of arena.spans) {
    let at = up(Math.max(start, behind, wish.from ?? start));
    for (const [used, length] of taken)
      if (used < at + wish.bytes && used + length > at) at = up(used + length);
    const end = Math.min(start + bytes, wish.to === undefined || wish.to === 0 ? Infinity : wish.to);
    if (at + wish.bytes <= end) return at;
  }
  return undefined;
}

const round = (arena: Arena, bytes: number): number => Math.ceil(bytes / arena.quantum) * arena.quantum;

/** Most stretches that an arena has given out: inputs that were made up end. */
const MAX_GIVEN = 1 << 16;

function* allocate(k: Solaris, arena: Arena, wish: Wish, flags: number): Steps<number | undefined> {
  const bytes = round(arena, wish.bytes);
  if (!(bytes > 0) || arena.given.size >= MAX_GIVEN) return undefined;
  let at = firstFree(arena, { ...wish, bytes }, Number.NEGATIVE_INFINITY);
  if (at === undefined && arena.import !== 0 && arena.source !== 0) {
    const more = yield* k.call(arena.import, arena.source, bytes, flags);
    if (Number(more) === 0) return undefined;
    arena.imported.push({ start: Number(more), bytes });
    arena.spans.push({ start: Number(more), bytes });
    at = firstFree(arena, { ...wish, bytes }, Number.NEGATIVE_INFINITY);
  }
  if (at !== undefined) arena.given.set(at, bytes);
  return at;
}

function giveBack(k: Solaris, arena: Arena, at: number): void {
  if (!arena.given.delete(at))
    throw panic(k, `vmem_hash_delete(${arena.name}, ${at.toString(16)}): bad free`);
}

function* destroy(k: Solaris, handle: Address): Steps<void> {
  const arena = arenaAt(k, handle);
  if (arena.release !== 0)
    for (const { start, bytes } of arena.imported) yield* k.call(arena.release, arena.source, start, bytes);
  k.state(arenas).delete(handle);
  k.heap.free(handle);
}

const VM_NOSLEEP = 1;

function* allocateOrFail(k: Solaris, handle: Address, wish: Wish, flags: number): Steps<number> {
  const arena = arenaAt(k, handle);
  const at = yield* allocate(k, arena, wish, flags);
  if (at !== undefined) return at;
  if ((flags & VM_NOSLEEP) === 0) yield* block(`vmem_alloc(${arena.name})`);
  return 0;
}

/** id_alloc goes on behind the number it gave last, as with VM_NEXTFIT. */
function nextId(arena: Arena): number {
  const at = firstFree(arena, { bytes: 1 }, arena.next) ?? firstFree(arena, { bytes: 1 }, 0);
  if (at === undefined) return -1;
  arena.given.set(at, 1);
  arena.next = at + 1;
  return at;
}

export const numbers = kernelFunctions({
  'void *id_space_create(const char *name, id_t low, id_t high)': (k, name, low, high) =>
    create(k, { name: k.memory.cstring(name), span: { start: low, bytes: high - low }, quantum: 1 }),
  'void id_space_destroy(void *space)': destroy,
  'void id_space_extend(void *space, id_t low, id_t high)': (k, space, low, high) => {
    arenaAt(k, space).spans.push({ start: low, bytes: high - low });
  },
  *'id_t id_alloc(void *space)'(k, space) {
    for (;;) {
      const id = nextId(arenaAt(k, space));
      if (id >= 0) return id;
      yield* block('id_alloc', k.time.now() + 10_000_000);
    }
  },
  'id_t id_alloc_nosleep(void *space)': (k, space) => nextId(arenaAt(k, space)),
  'id_t id_alloc_specific_nosleep(void *space, id_t id)': (k, space, id) => {
    const arena = arenaAt(k, space);
    if (firstFree(arena, { bytes: 1, from: id, to: id + 1 }, id) !== id) return -1;
    arena.given.set(id, 1);
    return id;
  },
  'void id_free(void *space, id_t id)': (k, space, id) => giveBack(k, arenaAt(k, space), id),
  'void *vmem_create(const char *name, void *base, size_t size, size_t quantum, void *alloc, void *release, void *source, size_t cached, int flags)':
    (k, name, base, size, quantum, alloc, release, source) =>
      create(k, {
        name: k.memory.cstring(name),
        span: { start: base, bytes: size },
        quantum: Math.max(1, quantum),
        source,
        import: alloc,
        release,
      }),
  'void vmem_destroy(void *arena)': destroy,
  'void *vmem_alloc(void *arena, size_t size, int flags)': (k, arena, bytes, flags) =>
    allocateOrFail(k, arena, { bytes }, flags),
  'void *vmem_xalloc(void *arena, size_t size, size_t align, size_t phase, size_t nocross, void *low, void *high, int flags)':
    (k, arena, bytes, align, _phase, _nocross, low, high, flags) =>
      allocateOrFail(k, arena, { bytes, align, ...(low === 0 ? {} : { from: low }), to: high }, flags),
  'void vmem_free(void *arena, void *at, size_t size)': (k, arena, at) => giveBack(k, arenaAt(k, arena), at),
  'void vmem_xfree(void *arena, void *at, size_t size)': (k, arena, at) => giveBack(k, arenaAt(k, arena), at),
  'void *vmem_add(void *arena, void *at, size_t size, int flags)': (k, arena, at, bytes) => {
    arenaAt(k, arena).spans.push({ start: at, bytes });
    return at;
  },
  'int vmem_contains(void *arena, void *at, size_t size)': (k, arena, at, bytes) =>
    arenaAt(k, arena).spans.some((one) => at >= one.start && at + bytes <= one.start + one.bytes) ? 1 : 0,
  'size_t vmem_size(void *arena, int mask)': (k, arena, mask) => {
    const { spans, given } = arenaAt(k, arena);
    const used = [...given.values()].reduce((sum, one) => sum + one, 0);
    const all = spans.reduce((sum, { bytes }) => sum + bytes, 0);
    // VMEM_ALLOC 1, VMEM_FREE 2.
    return ((mask & 1) !== 0 ? used : 0) + ((mask & 2) !== 0 ? all - used : 0);
  },
});
