/** Trees, tables and numbers that modules keep with the kernel's functions. */
import { describe, expect, it } from 'vitest';
import { hashTables } from '../../../src/systems/solaris/functions/hashes.ts';
import { lists } from '../../../src/systems/solaris/functions/lists.ts';
import { numbers } from '../../../src/systems/solaris/functions/numbers.ts';
import { trees } from '../../../src/systems/solaris/functions/trees.ts';
import type { Solaris } from '../../../src/systems/solaris/solaris.ts';
import fc from '../../properties.ts';
import { start } from '../../tools/solaris/shell.ts';

type Call = (k: Solaris, ...args: number[]) => unknown;

/** A function of a table, run to its end as a process would. */
function caller(k: Solaris, table: typeof trees) {
  return (name: string, ...args: number[]): number => {
    const handler = table.get(name)?.handler as Call | undefined;
    if (handler === undefined) throw new Error(`no ${name}`);
    const result = handler(k, ...args);
    if (typeof result !== 'object' || result === null) return Number(result);
    return Number(k.runProcess('test', result as Generator<never, unknown, never>));
  };
}

describe.each([64, 32] as const)('in a kernel of %i bits', (bits) => {
  const kernel = async () => (await start({ isa: bits === 64 ? 'amd64' : 'i386' })).kernel;

  it('trees keep their order and their balance', async () => {
    const k = await kernel();
    const call = caller(k, trees);
    const OFFSET = 8;
    const offsets = { left: 0, right: k.word };
    const tree = k.heap.take(64);
    /** Height of a subtree, which must not lean by more than one. */
    const height = (node: number): number => {
      if (node === 0) return 0;
      const [left, right] = Object.values(offsets).map((at) => height(k.memory.ptr(node + at)));
      expect(Math.abs(left - right)).toBeLessThan(2);
      return 1 + Math.max(left, right);
    };
    const inOrder = (): number[] => {
      const all: number[] = [];
      for (let at = call('avl_first', tree); at !== 0; at = call('avl_walk', tree, at, 1)) all.push(at);
      return all;
    };
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.nat(), fc.boolean(), fc.boolean()), { maxLength: 60 }), (steps) => {
        call('avl_create', tree, 0, 64, OFFSET);
        const model: number[] = [];
        for (const [pick, take, after] of steps) {
          if (take && model.length > 0) {
            const [object] = model.splice(pick % model.length, 1);
            call('avl_remove', tree, object);
            k.heap.free(object);
          } else {
            const object = k.heap.take(64);
            const index = model.length === 0 ? 0 : pick % model.length;
            if (model.length === 0) call('avl_insert', tree, object, 0);
            else call('avl_insert_here', tree, object, model[index], after ? 1 : 0);
            model.splice(model.length === 0 ? 0 : after ? index + 1 : index, 0, object);
          }
          height(k.memory.ptr(tree));
        }
        expect(inOrder()).toEqual(model);
        expect(call('avl_numnodes', tree)).toBe(model.length);
        expect(call('avl_last', tree)).toBe(model.at(-1) ?? 0);
        for (const object of model) {
          call('avl_remove', tree, object);
          k.heap.free(object);
        }
      }),
      { numRuns: 60 },
    );
  });

  it('tables find by string, number and address', async () => {
    const k = await kernel();
    const call = caller(k, hashTables);
    const out = k.heap.take(16);
    const name = k.heap.takeString('table');
    const byText = call('mod_hash_create_strhash', name, 16, 0);
    expect(call('mod_hash_insert', byText, k.heap.takeString('one'), 1)).toBe(0);
    expect(call('mod_hash_insert', byText, k.heap.takeString('one'), 2)).toBe(-2);
    expect(call('mod_hash_find', byText, k.heap.takeString('one'), out)).toBe(0);
    expect(k.memory.ptr(out)).toBe(1);
    expect(call('mod_hash_find', byText, k.heap.takeString('two'), out)).toBe(-3);
    expect(call('mod_hash_remove', byText, k.heap.takeString('one'), out)).toBe(0);
    expect(call('mod_hash_remove', byText, k.heap.takeString('one'), out)).toBe(-3);
    const byId = call('mod_hash_create_idhash', name, 16, 0);
    expect(call('mod_hash_insert', byId, 7, 70)).toBe(0);
    expect(call('mod_hash_replace', byId, 7, 71)).toBe(0);
    expect(call('mod_hash_find', byId, 7, out)).toBe(0);
    expect(k.memory.ptr(out)).toBe(71);
    for (const one of [byText, byId]) call('mod_hash_destroy_hash', one);
  });

  it('numbers are given once', async () => {
    const k = await kernel();
    const call = caller(k, numbers);
    const space = call('id_space_create', k.heap.takeString('ids'), 3, 6);
    expect([1, 2, 3, 4].map(() => call('id_alloc_nosleep', space))).toEqual([3, 4, 5, -1]);
    call('id_free', space, 4);
    expect(call('id_alloc_specific_nosleep', space, 5)).toBe(-1);
    expect(call('id_alloc_nosleep', space)).toBe(4);
    call('id_space_destroy', space);
    const arena = call('vmem_create', k.heap.takeString('arena'), 0x1000, 0x3000, 0x1000, 0, 0, 0, 0, 0);
    expect([0x800, 0x1001, 0x1000].map((size) => call('vmem_alloc', arena, size, 1))).toEqual([
      0x1000, 0x2000, 0,
    ]);
    call('vmem_free', arena, 0x1000, 0x800);
    expect(call('vmem_xalloc', arena, 0x1000, 0x1000, 0, 0, 0, 0, 1)).toBe(0x1000);
    call('vmem_destroy', arena);
  });

  it('lists take objects at any place', async () => {
    const k = await kernel();
    const call = caller(k, lists);
    const [first, second] = [k.heap.take(64), k.heap.take(64)];
    const [a, b, c, d] = [1, 2, 3, 4].map(() => k.heap.take(64));
    for (const list of [first, second]) call('list_create', list, 64, 16);
    call('list_insert_head', first, b);
    call('list_insert_before', first, b, a);
    call('list_insert_after', first, b, c);
    call('list_insert_tail', second, d);
    call('list_move_tail', second, first);
    const seen: number[] = [];
    for (let at = call('list_head', second); at !== 0; at = call('list_next', second, at)) seen.push(at);
    expect(seen).toEqual([d, a, b, c]);
    expect(call('list_remove_tail', second)).toBe(c);
    expect(call('list_is_empty', first)).toBe(1);
    expect(call('list_link_active', c + 16)).toBe(0);
  });
});
