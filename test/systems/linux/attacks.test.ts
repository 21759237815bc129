/** Hostile modules: each ends in a report of the kernel's kind, in bounded work, and the kernel goes on afterwards. */
import { describe, expect, it } from 'vitest';
import { ENGINES, type Engine } from '../../../src/cpu/engines.ts';
import { insmod, rmmod } from '../../../src/systems/linux/loader.ts';
import { LinuxSession } from '../../../src/tools/linux/session.ts';
import { boot, builtinKernel, fixture } from './kernel.ts';

/** A kernel that loses patience sooner, so that the tests are quick. */
function impatient(engine?: Engine) {
  const k = boot({ ramMiB: 24, missing: 'stop', engine });
  k.scheduler.instructionBudget = 4_000_000;
  k.scheduler.runBudget = 20_000_000;
  k.scheduler.settleBudget = 2_000_000;
  k.scheduler.stepFuel = 1_000_000;
  return k;
}

function attack(how: string, instructionBudget = 4_000_000, engine?: Engine) {
  const k = impatient(engine);
  k.scheduler.instructionBudget = instructionBudget;
  const result = insmod(k, fixture('hostile'), `how=${how}`);
  const log = k.log.records.map((record) => record.text).join('\n');
  return { k, result, log };
}

/** Another module still loads and unloads. */
function expectAlive(k: ReturnType<typeof impatient>) {
  expect(insmod(k, fixture('hello')).outcome).toBe('loaded');
  expect(rmmod(k, 'hello').outcome).toBe('unloaded');
}

describe('loops without end', () => {
  it.each(['kfree', 'schedule', 'hlt', 'hrtimer', 'list', 'tree'])(
    '%s: counted although it calls the kernel',
    (how) => {
      const { k, result } = attack(how);
      expect(result.outcome).toBe('killed');
      expectAlive(k);
    },
  );

  it.each(['resched', 'msleep', 'timer', 'work'])('%s: bounded although others may run', (how) => {
    const { k, result } = attack(how);
    expect(result).toMatchObject({ outcome: 'killed' });
    if (result.outcome === 'killed')
      expect(result.killed.message).toMatch(/no end in sight|endless loop|nothing is due/);
    expectAlive(k);
  });

  it('a thread that never sleeps does not hold up what comes after it', () => {
    const { k, result } = attack('thread');
    expect(result.outcome).toBe('loaded');
    k.scheduler.settle();
    expectAlive(k);
  });
});

describe('senseless arguments', () => {
  it.each(['memmove', 'vmap', 'split', 'pages', 'threads'])('%s: an oops, not an error of ours', (how) => {
    const { k, result, log } = attack(how, 400_000_000);
    expect(['killed', 'loaded']).toContain(result.outcome);
    expect(log).toMatch(
      /Oops|invalid opcode|general protection|Bad page state|oom-killer|allocation failure/,
    );
    expect([...k.scheduler.failures.values()]).toEqual([]);
  });
});

describe('what the kernel itself lives on', () => {
  it('stack: a wild stack pointer under a kernel function is an oops', () => {
    const { result, log } = attack('stack');
    expect(result.outcome).toBe('killed');
    expect(log).toMatch(/BUG: (kernel NULL pointer|unable to handle page fault)|stack guard page/);
  });

  it('task: a task that frees its own descriptor is told in the log', () => {
    const { log } = attack('task');
    expect(log).toMatch(/BUG/);
  });

  it('module: a list of modules that leads nowhere ends the command, not the process', () => {
    const session = new LinuxSession(builtinKernel(), {
      moduleFile: (name) => fixture(name.replace('.ko', '')),
    });
    session.line('insmod hostile.ko how=module');
    expect(session.line('cat /proc/modules').code).not.toBe(0);
    expect(session.line('lsmod')).toMatchObject({ code: 139 });
    expect(session.line('rmmod hostile').code).not.toBe(0);
  });
});

describe('every engine', () => {
  it.each(['kfree', 'schedule', 'hlt', 'list', 'msleep', 'work', 'thread', 'memmove', 'stack', 'task'])(
    'comes to the same end: %s',
    (how) => {
      const [first, ...others] = ENGINES.map((engine) => attack(how, 2_000_000, engine));
      for (const { k, result, log } of others) {
        expect(result.outcome).toBe(first.result.outcome);
        expect(log).toBe(first.log);
        // Budgets also count what is translated, which only one of them does: a run that they end may end elsewhere.
        if (result.outcome === 'loaded') expect(k.cpu.retired).toBe(first.k.cpu.retired);
      }
    },
  );
});
