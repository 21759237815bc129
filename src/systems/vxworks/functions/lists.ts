/** lstLib: doubly linked lists that modules walk by themselves. Everything is in guest memory. */
import { definer } from '../../../kernel/functions.ts';
import type { VxWorks } from '../vxworks.ts';

const functions = definer<VxWorks>();

export const listFunctions = functions({
  'void lstInit(LIST *list)': (k, list) => k.memory.fill(list, k.sizeof('LIST'), 0),
  'void lstAdd(LIST *list, NODE *node)': (k, list, node) => insert(k, list, last(k, list), node),
  'void lstInsert(LIST *list, NODE *before, NODE *node)': insert,
  'void lstDelete(LIST *list, NODE *node)': unlink,
  'NODE *lstGet(LIST *list)': (k, list) => {
    const node = first(k, list);
    if (node !== 0) unlink(k, list, node);
    return node;
  },
  'NODE *lstFirst(LIST *list)': first,
  'NODE *lstLast(LIST *list)': last,
  'NODE *lstNext(NODE *node)': (k, node) => k.read('NODE.next', node),
  'NODE *lstPrevious(NODE *node)': (k, node) => k.read('NODE.previous', node),
  'int lstCount(LIST *list)': (k, list) => k.read('LIST.count', list),
  'int lstFind(LIST *list, NODE *node)': (k, list, node) => {
    let at = first(k, list);
    for (let place = 1; at !== 0; place++, at = k.read('NODE.next', at)) if (at === node) return place;
    return -1;
  },
});

function first(k: VxWorks, list: number): number {
  return k.read('LIST.node.next', list);
}

function last(k: VxWorks, list: number): number {
  return k.read('LIST.node.previous', list);
}

/** Behind `before`, or first when that is 0. */
function insert(k: VxWorks, list: number, before: number, node: number): void {
  const next = before === 0 ? first(k, list) : k.read('NODE.next', before);
  k.write('NODE.next', node, next);
  k.write('NODE.previous', node, before);
  k.write(before === 0 ? 'LIST.node.next' : 'NODE.next', before === 0 ? list : before, node);
  k.write(next === 0 ? 'LIST.node.previous' : 'NODE.previous', next === 0 ? list : next, node);
  k.write('LIST.count', list, k.read('LIST.count', list) + 1);
}

function unlink(k: VxWorks, list: number, node: number): void {
  const [next, previous] = [k.read('NODE.next', node), k.read('NODE.previous', node)];
  k.write(previous === 0 ? 'LIST.node.next' : 'NODE.next', previous === 0 ? list : previous, next);
  k.write(next === 0 ? 'LIST.node.previous' : 'NODE.previous', next === 0 ? list : next, previous);
  k.write('LIST.count', list, k.read('LIST.count', list) - 1);
}
