import { describe, expect, it } from 'vitest';
import type { KernelFunction } from '../../../../src/kernel/functions.ts';
import type { Steps } from '../../../../src/kernel/steps.ts';
import { jiffies } from '../../../../src/systems/linux/functions/clock.ts';
import type { Linux } from '../../../../src/systems/linux/linux.ts';
import { boot, callSteps, text, type Value, varArgs } from './harness.ts';

/** A callback in the guest's address space that runs TypeScript. */
function callback(
  k: Linux,
  prototype: string,
  handler: (...args: number[]) => Steps<number> | number,
): number {
  const fn = { prototype, handler: (_k: Linux, ...args: number[]) => handler(...args) };
  return k.gate('callback', fn as unknown as KernelFunction<never>);
}

function* run(k: Linux, ...calls: [string, ...(Value | ReturnType<typeof varArgs>)[]][]): Steps<Value[]> {
  const results: Value[] = [];
  for (const [name, ...args] of calls) results.push(yield* callSteps(k, name, ...args));
  return results;
}

describe('locks', () => {
  it('hands a mutex to its waiters in order', () => {
    const k = boot();
    const mutex = k.heap.allocate(k.sizeof('mutex'));
    const order: string[] = [];
    function* worker(name: string, ms: number): Steps<void> {
      yield* callSteps(k, 'mutex_lock', mutex);
      order.push(`${name} in`);
      yield* callSteps(k, 'msleep', ms);
      order.push(`${name} out`);
      yield* callSteps(k, 'mutex_unlock', mutex);
    }
    for (const name of ['a', 'b', 'c']) k.tasks.spawn(name, worker(name, 10));
    k.scheduler.runFor(k.time.now() + 1e9);
    expect(order).toEqual(['a in', 'a out', 'b in', 'b out', 'c in', 'c out']);
    expect(k.read('mutex.owner.counter', mutex)).toBe(0);
  });

  it('a writer waits for readers, and readers behind a writer wait for it', () => {
    const k = boot();
    const sem = k.heap.allocate(k.sizeof('rw_semaphore'));
    const order: string[] = [];
    function* hold(name: string, kind: 'read' | 'write'): Steps<void> {
      yield* callSteps(k, `down_${kind}`, sem);
      order.push(name);
      yield* callSteps(k, 'msleep', 5);
      yield* callSteps(k, `up_${kind}`, sem);
    }
    for (const name of ['r1', 'r2', 'w1', 'r3'])
      k.tasks.spawn(name, hold(name, name[0] === 'r' ? 'read' : 'write'));
    k.scheduler.settle();
    expect(order).toEqual(['r1', 'r2']);
    k.scheduler.runFor(k.time.now() + 1e9);
    expect(order).toEqual(['r1', 'r2', 'w1', 'r3']);
    expect(k.read('rw_semaphore.count.counter', sem)).toBe(0);
  });
});

describe('sleeping', () => {
  it('wait_event, wake_up and completions', () => {
    const k = boot();
    const head = k.heap.allocate(k.sizeof('wait_queue_head'));
    const entry = k.heap.allocate(k.sizeof('wait_queue_entry'));
    const done = k.heap.allocate(k.sizeof('completion'));
    const log: string[] = [];
    let ready = false;
    function* waiter(): Steps<void> {
      yield* callSteps(k, 'init_wait_entry', entry, 0);
      while (!ready) {
        yield* callSteps(k, 'prepare_to_wait_event', head, entry, 1);
        if (!ready) yield* callSteps(k, 'schedule');
      }
      yield* callSteps(k, 'finish_wait', head, entry);
      log.push('woken');
      yield* callSteps(k, 'complete', done);
    }
    k.runTask(
      'test',
      run(k, ['__init_waitqueue_head', head, 0, 0], ['__init_swait_queue_head', done + 8, 0, 0]),
    );
    k.tasks.spawn('waiter', waiter());
    k.scheduler.settle();
    expect(log).toEqual([]);
    ready = true;
    k.runTask('test', run(k, ['__wake_up', head, 3, 1, 0], ['wait_for_completion', done]));
    expect(log).toEqual(['woken']);
  });

  it('timeouts are counted in jiffies and give what is left', () => {
    const k = boot();
    const done = k.heap.allocate(k.sizeof('completion'));
    k.runTask('test', run(k, ['__init_swait_queue_head', done + 8, 0, 0]));
    const start = jiffies(k);
    expect(k.runTask('test', callSteps(k, 'wait_for_completion_timeout', done, 25))).toBe(0);
    expect(jiffies(k) - start).toBe(25);
    k.tasks.spawn(
      'completer',
      (function* () {
        yield* callSteps(k, 'msleep', 36);
        yield* callSteps(k, 'complete', done);
      })(),
    );
    const left = Number(k.runTask('test', callSteps(k, 'wait_for_completion_timeout', done, 25)));
    expect(left).toBe(15);
  });
});

describe('timers, work and threads', () => {
  it('timers fire in softirq context, in order, once', () => {
    const k = boot();
    const fired: number[] = [];
    const func = callback(k, 'void f(struct timer_list *t)', (timer) => {
      fired.push(timer);
      return 0;
    });
    const [a, b, c] = [0, 1, 2].map(() => k.heap.allocate(k.sizeof('timer_list')));
    const now = jiffies(k);
    k.runTask(
      'test',
      run(
        k,
        ...[a, b, c].map((timer): [string, ...Value[]] => ['init_timer_key', timer, func, 0, 0, 0]),
        ['mod_timer', a, now + 20],
        ['mod_timer', b, now + 10],
        ['mod_timer', c, now + 30],
        ['timer_delete', c],
      ),
    );
    k.scheduler.runFor(k.time.now() + 1e9);
    expect(fired).toEqual([b, a]);
  });

  it('work runs in its own task, and flushing waits for it', () => {
    const k = boot();
    const log: string[] = [];
    const func = callback(k, 'void f(struct work_struct *w)', function* () {
      yield* callSteps(k, 'msleep', 20);
      log.push(k.tasks.comm(k.current));
      return 0;
    });
    const work = k.heap.allocate(k.sizeof('work_struct'));
    k.write('work_struct.func', work, func);
    const results = k.runTask(
      'test',
      (function* () {
        const queue = yield* callSteps(k, 'alloc_workqueue', text(k, 'demo'), 0, 0, varArgs([]));
        const first = yield* callSteps(k, 'queue_work_on', 0, queue, work);
        const again = yield* callSteps(k, 'queue_work_on', 0, queue, work);
        const flushed = yield* callSteps(k, 'flush_work', work);
        yield* callSteps(k, 'destroy_workqueue', queue);
        return [first, again, flushed];
      })(),
    );
    expect(results).toEqual([1, 0, 1]);
    expect(log).toEqual(['kworker/demo']);
  });

  it('kthread_stop gives what the thread returned', () => {
    const k = boot();
    const func = callback(k, 'int f(void *data)', function* (data) {
      while ((yield* callSteps(k, 'kthread_should_stop')) === 0) yield* callSteps(k, 'msleep', 10);
      return data + 1;
    });
    const result = k.runTask(
      'test',
      (function* () {
        const task = yield* callSteps(
          k,
          'kthread_create_on_node',
          func,
          41,
          -1,
          text(k, 'demo/%d'),
          varArgs([3]),
        );
        yield* callSteps(k, 'wake_up_process', task);
        yield* callSteps(k, 'msleep', 100);
        return yield* callSteps(k, 'kthread_stop', task);
      })(),
    );
    expect(result).toBe(42);
  });

  it('a notifier chain stops where a block says so, and undoes what it announced', () => {
    const k = boot();
    const calls: string[] = [];
    const chain = k.heap.allocate(k.sizeof('raw_notifier_head'));
    const block = (name: string, priority: number, answer: number) => {
      const at = k.heap.allocate(k.sizeof('notifier_block'));
      const prototype = 'int f(struct notifier_block *nb, unsigned long action, void *data)';
      const func = callback(k, prototype, (_nb, action) => {
        calls.push(`${name} ${action}`);
        return answer;
      });
      k.write('notifier_block.notifier_call', at, func);
      k.write('notifier_block.priority', at, priority);
      k.runTask('test', callSteps(k, 'raw_notifier_chain_register', chain, at));
    };
    block('low', 0, 1);
    block('veto', 5, 0x8002);
    block('high', 10, 1);
    const result = k.runTask('test', callSteps(k, 'raw_notifier_call_chain_robust', chain, 1, 2, 0));
    expect(result).toBe(0x8002);
    expect(calls).toEqual(['high 1', 'veto 1', 'high 2']);
  });
});
