/** Steps of the tour on VxWorks: one symbol table, functions called from a shell, no counting of who uses what. */
import type { SystemStep } from './record.ts';
import type { SystemStage } from './system-stage.ts';

/** Lines as they are typed at the prompt; the last one's output. */
async function type(stage: SystemStage, ...lines: string[]): Promise<string> {
  let out = '';
  for (const line of lines) out = (await stage.run([line])).out;
  return out;
}

const shell: SystemStep = {
  name: 'vxworks',
  title: 'VxWorks loads a module and starts nothing',
  statement:
    'On VxWorks a module is an object file, as a compiler leaves it. Loading links it and adds its names to the one ' +
    'symbol table; nothing in it is run. A person calls its functions from the shell, in the syntax of C.',
  by: 'ld, moduleShow, lkup',
  system: 'vxworks',
  async play(stage) {
    await stage.boot({ machine: 'i386' });
    await type(stage, 'ld < i386/hello.o', 'moduleShow', 'lkup "helloC"');
    const called = await type(stage, 'hello "Ada"');
    const assigned = await type(stage, 'helloCount = 40', 'helloTwice 1');
    stage.fact('a function of the module was called with a string', called.includes('value = 1 '));
    stage.fact('the shell wrote a variable that the module reads', assigned.includes('value = 42 '));
    await type(stage, 'unld "hello.o"');
    stage.fact('its names go with it', (await type(stage, 'hello "Ada"')) === 'undefined symbol: hello\n');
  },
};

const driver: SystemStep = {
  name: 'vxworks-driver',
  title: 'A VxWorks driver is a table of functions',
  statement:
    'A driver gives the I/O system seven functions and adds devices by name. Open, read, write and ioctl find the ' +
    'device whose name the path begins with, and call them.',
  by: 'iosDrvInstall, devs',
  system: 'vxworks',
  async play(stage) {
    await stage.boot({ machine: 'i386' });
    await type(stage, 'ld < i386/ramdev.o', 'ramDevCreate "/ram0"', 'devs', 'fd = open("/ram0", 2, 0)');
    const written = await type(stage, 'write fd, "kept in memory", 14');
    stage.fact('the driver took fourteen bytes', written.startsWith('value = 14 '));
    await type(stage, 'close fd', 'copy "/ram0"');
    stage.fact('and gave them back', await stage.logged('kept in memory'));
    await type(stage, 'ramDevDelete');
    stage.fact('the device is gone', (await type(stage, 'devs')) === 'drv name\n');
  },
};

const tasks: SystemStep = {
  name: 'vxworks-tasks',
  title: 'Tasks of a module run by priority and clock',
  statement:
    'A module may start tasks. The most urgent one that is ready runs, a watchdog calls a function in the clock ' +
    'interrupt, and the order of it all is the same each time.',
  by: 'taskSpawn, wdStart',
  system: 'vxworks',
  async play(stage) {
    await stage.boot({ machine: 'i386' });
    await type(stage, 'ld < i386/tasks.o', 'tasksStart 3, 30', 'taskDelay 120');
    const { kernel } = await stage.session();
    const said = kernel.log.records.map(({ text }) => text.replace(/^.*?: /, ''));
    const first = said.indexOf('producer: sends a at tick 30');
    stage.fact('the watchdog woke the producer at tick 30', first >= 0);
    stage.fact(
      'the consumer, more urgent, ran before the producer went on',
      said[first + 1] === 'consumer: got a' && said[first + 2] === 'producer: goes on',
    );
    stage.fact('both ended', said.includes('consumer: done after 3'));
  },
};

const noCounts: SystemStep = {
  name: 'vxworks-unld',
  title: 'VxWorks unloads what others still use',
  statement:
    'The loader warns of undefined symbols and keeps the module; a call of one fails when it is made. Nobody counts ' +
    'who uses a module: unloaded under a task that calls it, it takes that task down.',
  by: 'ld, unld',
  system: 'vxworks',
  async play(stage) {
    await stage.boot({ machine: 'i386' });
    const warned = await type(stage, 'ld < i386/hole.o');
    stage.fact('the loader names the symbol and keeps the module', warned.includes('may be unusable'));
    stage.fact('what does not call it works', (await type(stage, 'holeWorks')).startsWith('value = 42 '));
    await type(stage, 'ld < i386/lib.o', 'ld < i386/client.o', 'clientStart 20', 'taskDelay 30');
    const unloaded = await stage.run(['unld "lib.o"']);
    stage.fact('the library is unloaded all the same', unloaded.out.startsWith('value = 0 '));
    stage.fact(
      'who is left with it is known here',
      unloaded.note?.includes('module client.o was linked') === true,
    );
    await type(stage, 'taskDelay 30');
    stage.fact('the task fails at its next call', await stage.logged('(tClient): task'));
  },
};

export const vxworks: readonly SystemStep[] = [shell, driver, tasks, noCounts];
