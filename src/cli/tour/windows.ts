/** Steps of the tour on Windows: services, requests, deferred stops, checks at raised IRQL. */
import type { SystemStep } from './record.ts';
import type { SystemStage } from './system-stage.ts';

const split = (line: string): string[] =>
  [...line.matchAll(/"([^"]*)"|(\S+)/g)].map(([, quoted, plain]) => quoted ?? plain);

/** A line as it would be typed at the prompt; its output. */
async function type(stage: SystemStage, line: string): Promise<string> {
  const { out, err } = await stage.run(split(line), line);
  return out + err;
}

const service: SystemStep = {
  name: 'windows',
  title: 'A Windows driver is a service',
  statement:
    'On Windows a driver is a PE file that the registry names as a service. Starting the service loads the file, resolves ' +
    'its imports against the kernel by name and calls DriverEntry, which makes a device that programs open.',
  by: 'sc, hello.sys',
  system: 'windows',
  async play(stage) {
    await type(stage, 'sc create hello type= kernel binPath= hello.sys');
    const started = await type(stage, 'sc start hello');
    stage.fact('the service runs', started.includes('4  RUNNING'));
    const answer = await type(stage, 'ioctl \\\\.\\Hello 0x222000 "spoken quietly"');
    stage.fact('a request to its device was answered', answer.includes('SPOKEN QUIETLY'));
    const stopped = await type(stage, 'sc stop hello');
    stage.fact('and it can be stopped', stopped.includes('1  STOPPED'));
  },
};

const deferred: SystemStep = {
  name: 'windows-deferred',
  title: 'A stop waits for open handles',
  statement:
    'A driver whose device is open is not refused an unload, and not unloaded either: the stop succeeds, the service stays ' +
    'in STOP_PENDING, and the driver goes when the last handle is closed.',
  by: 'sc stop',
  system: 'windows',
  async play(stage) {
    await type(stage, 'sc create hello type= kernel binPath= hello.sys');
    await type(stage, 'sc start hello');
    const handle = (await type(stage, 'open \\\\.\\Hello')).replace('handle ', '').trim();
    const stopping = await type(stage, 'sc stop hello');
    stage.fact('the stop is pending', stopping.includes('3  STOP_PENDING'));
    await type(stage, `close ${handle}`);
    stage.fact('DriverUnload ran at the close', await stage.logged('hello: unload'));
    stage.fact('now it is stopped', (await type(stage, 'sc query hello')).includes('1  STOPPED'));
  },
};

const library: SystemStep = {
  name: 'windows-library',
  title: 'Drivers import from drivers',
  statement:
    'An import from another driver loads that driver as a library: DllInitialize runs, its importers are counted, and ' +
    'DllUnload lets it go with the last of them. A name that nobody exports refuses the load.',
  by: 'kdll.sys, user.sys',
  system: 'windows',
  async play(stage) {
    await type(stage, 'sc create user type= kernel binPath= user.sys');
    await type(stage, 'sc start user');
    stage.fact('a function of the other driver was called', await stage.logged('40+2=42'));
    await type(stage, 'sc stop user');
    stage.fact('the library went with its importer', await stage.logged('kdll: DllUnload'));
    await type(stage, 'sc create missing type= kernel binPath= missing.sys');
    stage.fact('a missing export refuses', (await type(stage, 'sc start missing')).includes('FAILED 127'));
  },
};

const bugcheck: SystemStep = {
  name: 'windows-bugcheck',
  title: 'Paged code at raised IRQL stops Windows',
  statement:
    'The interrupt request level says what code may touch. Paged memory at DISPATCH_LEVEL stops the system with a bug check ' +
    'that names the driver; a bad pointer inside __try is an exception that the driver handles itself.',
  by: 'trouble.sys',
  system: 'windows',
  async play(stage) {
    await type(stage, 'sc create probe type= kernel binPath= probe.sys');
    await type(stage, 'sc start probe');
    await type(stage, 'ioctl \\\\.\\Probe 0x2220c7');
    stage.fact('the handler caught the exception', await stage.logged('probe: caught c0000005'));
    await type(stage, 'sc create trouble type= kernel binPath= trouble.sys');
    await type(stage, 'sc start trouble');
    await type(stage, 'ioctl \\\\.\\Trouble 0x222084');
    stage.fact('the system stopped', await stage.logged('*** STOP: 0x000000D1'));
    stage.fact('and named the driver', await stage.logged('trouble.sys - Address'));
  },
};

export const windowsSteps: readonly SystemStep[] = [service, deferred, library, bugcheck];
