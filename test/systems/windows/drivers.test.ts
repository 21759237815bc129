import { describe, expect, it } from 'vitest';
import { readPe } from '../../../src/formats/pe/read.ts';
import { examineSignature } from '../../../src/systems/windows/signature/authenticode.ts';
import { windows } from '../../../src/tools/windows/native.ts';
import { fixture, console as start } from './fixtures.ts';

const create = (name: string) => `sc create ${name} type= kernel binPath= ${name}.sys`;

describe('a driver on Windows', () => {
  it('is started, used through its device by every kind of request, and stopped', async () => {
    const { session, type, log } = await start();
    expect(type(create('hello'))).toBe('[SC] CreateService SUCCESS\n');
    expect(type('sc start hello')).toContain('STATE              : 4  RUNNING ');
    expect(log()).toContain('hello: DriverEntry \\REGISTRY\\MACHINE\\SYSTEM\\ControlSet001\\Services\\hello');
    expect(session.writeFile('\\\\.\\Hello', new TextEncoder().encode('kept')).code).toBe(0);
    expect(type('type \\\\.\\Hello')).toBe('kept');
    expect(type('ioctl \\\\.\\Hello 0x222000 loud')).toContain('LOUD');
    expect(type('ioctl \\\\.\\Hello 0x222004')).toBe('Incorrect function.\n');
    expect(type('objects \\Device')).toContain('\\Device\\Hello');
    expect(type('sc stop hello')).toContain('1  STOPPED');
    expect(type('type \\\\.\\Hello')).toBe('The system cannot find the file specified.\n');
    expect([...session.kernel.drivers]).toEqual([]);
  });

  it('runs twice the same, to the byte of the log', async () => {
    const runs = [];
    for (let i = 0; i < 2; i++) {
      const { session, type } = await start();
      type(create('timers'));
      type('sc start timers');
      type('wait 100');
      type('sc stop timers');
      runs.push(session.kernel.log.records);
    }
    expect(runs[0]).toEqual(runs[1]);
    expect(runs[0].map(({ text }) => text)).toEqual([
      'timers: tick 1 at IRQL 2',
      'timers: tick 2 at IRQL 2',
      'timers: tick 3 at IRQL 2',
      'timers: work item at IRQL 0',
      'timers: the thread has seen 3 ticks',
      'timers: unload after 3 ticks',
    ]);
  });

  it('is stopped later when its device is open, and deleted later when it was marked', async () => {
    const { type, log } = await start();
    type(create('hello'));
    type('sc start hello');
    expect(type('open \\\\.\\Hello')).toBe('handle 0x80\n');
    expect(type('sc stop hello')).toContain('3  STOP_PENDING');
    expect(type('sc delete hello')).toBe('[SC] DeleteService SUCCESS\n');
    expect(type('sc delete hello')).toContain('[SC] DeleteService FAILED 1072:');
    expect(log()).not.toContain('hello: unload');
    expect(type('close 0x80')).toBe('');
    expect(log()).toContain('hello: unload');
    expect(type('sc query hello')).toContain('FAILED 1060:\n\nThe specified service does not exist');
  });

  it('sits above another one and changes what it reads', async () => {
    const { session, type, log } = await start();
    for (const name of ['hello', 'filter']) {
      type(create(name));
      type(`sc start ${name}`);
    }
    session.writeFile('\\\\.\\Hello', new TextEncoder().encode('abc'));
    expect(type('type \\\\.\\Hello')).toBe('cba');
    expect(type('sc stop hello')).toContain('STOP_PENDING');
    expect(type('sc stop filter')).toContain('STOPPED');
    expect(log().some((line) => /filter: \d+ requests passed/.test(line))).toBe(true);
  });

  it('imports from an export driver, which is loaded, counted and unloaded', async () => {
    const { session, type, log } = await start();
    type(create('user'));
    type('sc start user');
    expect([...session.kernel.drivers].map(({ name }) => name)).toEqual(['user.sys', 'kdll.sys']);
    const cookie = [...session.kernel.drivers][0];
    expect(cookie.pages).toBeGreaterThan(0);
    type('sc stop user');
    expect(log()).toEqual([
      'kdll: DllInitialize \\Registry\\Machine\\System\\CurrentControlSet\\Services\\kdll',
      'user: 40+2=42',
      'user: unload',
      'kdll: DllUnload after 1 calls',
    ]);
    expect([...session.kernel.drivers]).toEqual([]);
  });

  it('gets the buffers of a control code by every method, and may keep a request until it is cancelled', async () => {
    const { type, log } = await start();
    type(create('ioctls'));
    type('sc start ioctls');
    expect(type('ioctl \\\\.\\Ioctls 0x222040 hex:010203 8')).toContain('0000  06 00 00 00');
    expect(type('ioctl \\\\.\\Ioctls 0x22204a hex:0102 8')).toContain('0000  03 00 00 00');
    expect(type('ioctl \\\\.\\Ioctls 0x22204f hex:ff01 8')).toContain('0000  00 01 00 00');
    expect(type('ioctl \\\\.\\Ioctls 0x222050 hex:00000000 8')).toContain(
      'The I/O operation has been aborted',
    );
    expect(log()).toContain('ioctls: cancelled');
    expect(type('sc stop ioctls')).toContain('STOPPED');
  });

  it.each(['x64', 'x86'])(
    'catches in __try what it touches and what it raises, with __finally on the way (%s)',
    async (machine) => {
      const { type, log } = await start({ machine });
      type(`sc create probe type= kernel binPath= probe${machine === 'x86' ? '-x86' : ''}.sys`);
      type('sc start probe');
      expect(type('ioctl \\\\.\\Probe 0x2220c7')).toBe('Invalid access to memory location.\n');
      expect(type('ioctl \\\\.\\Probe 0x2220cb')).toBe('Access is denied.\n');
      // The handler inside looks for another exception: this one goes on to the next.
      expect(type('ioctl \\\\.\\Probe 0x2220cf')).toBe('Access is denied.\n');
      expect(type('ioctl \\\\.\\Probe 0x2220d3')).toContain('STATUS_SUCCESS');
      expect(log()).toEqual([
        'probe: caught c0000005, finally 101',
        'probe: caught c0000022, finally 101',
        'probe: caught c0000022, finally 101',
        'probe: nothing caught, finally 102',
      ]);
      expect(type('sc stop probe')).toContain('STOPPED');
    },
  );
});

describe('refusals', () => {
  it('of a driver that waits for itself are no end of the session', async () => {
    const { type } = await start();
    type(create('timers'));
    type('sc start timers');
    // Its thread waits for the third tick, which an unload before that prevents.
    expect(type('sc stop timers')).toMatch(/^The command does not come back: every thread waits/);
    expect(type('sc query timers')).toContain('SERVICE_NAME: timers');
  });

  it('say the number and the text that Windows says', async () => {
    const { type } = await start();
    for (const name of ['failing', 'missing', 'nounload', 'hello']) type(create(name));
    expect(type('sc start failing')).toBe(
      '[SC] StartService FAILED 433:\n\nA device which does not exist was specified.\n\n',
    );
    expect(type('sc start missing')).toContain('[SC] StartService FAILED 127:');
    type('sc start nounload');
    expect(type('sc stop nounload')).toContain('[SC] ControlService FAILED 1052:');
    type('sc start hello');
    expect(type('sc start hello')).toContain('FAILED 1056:');
    type('sc stop hello');
    expect(type('sc stop hello')).toContain('[SC] ControlService FAILED 1062:');
    type('sc config hello start= disabled');
    expect(type('sc start hello')).toContain('FAILED 1058:');
    expect(type('sc start nobody')).toContain('FAILED 1060:');
    expect(type(create('hello'))).toContain('[SC] CreateService FAILED 1073:');
    type('sc create x86 type= kernel binPath= hello-x86.sys');
    expect(type('sc start x86')).toContain('FAILED 193:');
    type('sc create gone type= kernel binPath= C:\\nowhere.sys');
    expect(type('sc start gone')).toContain('FAILED 2:');
  });

  it('to those who are not administrators', async () => {
    const { type } = await start({}, 'guest');
    expect(type(create('hello'))).toBe('[SC] OpenSCManager FAILED 5:\n\nAccess is denied.\n\n');
  });

  it('of an unsigned driver where signatures are enforced', async () => {
    const { type } = await start({ integrity: 'on' });
    type(create('hello'));
    expect(type('sc start hello')).toContain('FAILED 577:');
  });
});

describe('signatures', () => {
  const start577 = async (name: string, settings: Readonly<Record<string, string>>) => {
    const { type } = await start({ integrity: 'on', ...settings });
    type(create(name));
    return type(`sc start ${name}`);
  };

  it('are taken when they end at a root that is trusted, or in test mode', async () => {
    expect(await start577('signed', {})).toContain(
      'FAILED 577:\n\nWindows cannot verify the digital signature',
    );
    expect(await start577('signed', { roots: 'test-root.pem' })).toContain('RUNNING');
    expect(await start577('signed', { testsigning: 'on' })).toContain('RUNNING');
    expect(await start577('signed', { testsigning: 'on', secureboot: 'on' })).toContain('FAILED 577:');
  });

  it('do not hold for a file that was changed', async () => {
    expect(await start577('tampered', { roots: 'test-root.pem' })).toContain('FAILED 193:');
    const tampered = examineSignature(readPe(fixture('tampered.sys')), []);
    expect(tampered).toMatchObject({ state: 'bad hash', signer: 'lkm test driver certificate' });
    const signed = examineSignature(readPe(fixture('signed.sys')), []);
    expect(signed).toMatchObject({ state: 'valid', trusted: false });
    expect(examineSignature(readPe(fixture('hello.sys')), []).state).toBe('none');
  });
});

describe('x86', () => {
  it('drivers run on a 32-bit kernel, with stdcall, fastcall and cdecl functions', async () => {
    const { type, log } = await start({ machine: 'x86' });
    for (const name of ['hello', 'filter', 'timers', 'ioctls']) {
      type(`sc create ${name} type= kernel binPath= ${name}-x86.sys`);
      expect(type(`sc start ${name}`)).toContain('RUNNING');
    }
    expect(type('ioctl \\\\.\\Hello 0x222000 loud')).toContain('LOUD');
    expect(type('ioctl \\\\.\\Ioctls 0x22204a hex:0102 8')).toContain('0000  03 00 00 00');
    type('wait 100');
    for (const name of ['ioctls', 'timers', 'filter', 'hello'])
      expect(type(`sc stop ${name}`)).toContain('STOPPED');
    expect(log()).toContain('timers: the thread has seen 3 ticks');
    expect(type('objects \\Device')).toBe('');
  });
});

describe('bug checks', () => {
  const trouble = async (code: string) => {
    const { session, type, log } = await start();
    type(create('trouble'));
    type('sc start trouble');
    type(`ioctl \\\\.\\Trouble ${code}`);
    return { stopped: session.kernel.stopped, log: log(), type };
  };

  it.each([
    ['0x222080', 'IRQL_NOT_LESS_OR_EQUAL', 'a wait at DISPATCH_LEVEL'],
    ['0x222084', 'DRIVER_IRQL_NOT_LESS_OR_EQUAL', 'paged code at DISPATCH_LEVEL'],
    ['0x222088', 'SYSTEM_SERVICE_EXCEPTION', 'a NULL pointer written'],
    ['0x22208c', 'BAD_POOL_CALLER', 'a block freed twice'],
    ['0x222094', 'MANUALLY_INITIATED_CRASH', 'KeBugCheckEx'],
  ])('%s is %s: %s', async (code, name) => {
    const { stopped, log, type } = await trouble(code);
    expect(stopped?.name).toBe(name);
    expect(stopped?.driver).toMatch(/^trouble\.sys - Address /);
    expect(stopped?.stack.some((line) => line.startsWith('trouble+0x'))).toBe(true);
    expect(log.some((line) => line.startsWith('*** STOP: 0x'))).toBe(true);
    expect(type('sc query trouble')).toContain('The system has stopped');
  });

  it('pool that is not given back is reported with its tag and caller', async () => {
    const { session, type } = await start();
    type(create('trouble'));
    type('sc start trouble');
    type('ioctl \\\\.\\Trouble 0x222090');
    const { leaks } = session.unload('trouble');
    expect(leaks).toHaveLength(1);
    expect(leaks[0]).toMatchObject({ what: 'paged pool, tag Leak', bytes: 1000 });
    expect(leaks[0].where).toMatch(/^trouble\+0x/);
  });

  it.each(['trouble', 'trouble-x86'])('%s: what would still run after its unload is told', async (name) => {
    const { session, type } = await start({ machine: name.endsWith('x86') ? 'x86' : 'x64' });
    session.load(`${name}.sys`, []);
    expect(type('ioctl \\\\.\\Trouble 0x22209c')).toContain('STATUS_SUCCESS');
    type('wait 10');
    const told = () => [...session.standing()].map(({ what, name: own }) => `${what} ${own}`);
    const running = told().filter((text) => /^(timer|system thread) /.test(text));
    expect(running.map((text) => text.replace(/0x[0-9a-f]+$/, ''))).toEqual([
      `timer ${name}+`,
      `system thread ${name}+`,
    ]);
    expect(told()).toContain('symbolic link \\??\\Trouble');
    // sc tells it with the stop; for a run it is compared by what stands, and is no memory.
    expect(type(`sc stop ${name}`)).toContain('STOPPED');
    expect(told()).not.toContain('symbolic link \\??\\Trouble');
    expect(told().filter((text) => /^(timer|system thread) /.test(text))).toHaveLength(2);
    type('wait 2000');
    expect(session.kernel.stopped?.name).toBe('IRQL_NOT_LESS_OR_EQUAL');
  });
});

describe('a line of cmd.exe', () => {
  it('keeps backslashes, quotes, and goes on as its operators say', async () => {
    const { session } = await start();
    const line = (text: string) => {
      const { out, err } = session.line(text);
      return out + err;
    };
    line('sc create hello type= kernel binPath= "hello.sys" && sc start hello');
    line('echo kept here>\\\\.\\Hello');
    expect(line('type \\\\.\\Hello')).toBe('kept here');
    expect(line('type C:\\nowhere.txt || echo "not there"')).toBe(
      'not there\nThe system cannot find the file specified.\n',
    );
    line('echo one>C:\\a.txt & echo two>>C:\\a.txt');
    expect(line('type C:\\a.txt')).toBe('onetwo');
    expect(line('rem nothing')).toBe('');
    expect(line('echo a | more')).toContain("'|' is not read here");
    expect(session.line('sc start hello').note).toContain('exit code 1056 (32 here)');
  });
});

describe('the machine', () => {
  it('is that of the first driver named, unless it is set', async () => {
    const files = { read: () => undefined, list: () => undefined, stat: () => undefined };
    const named = ['registry.reg', 'hello-x86.sys', 'hello.sys'].map((path) => ({
      path,
      bytes: path.endsWith('.sys') ? fixture(path) : new Uint8Array(8),
    }));
    expect((await windows.start({ files, named })).release).toMatch(/x86$/);
    expect((await windows.start({ files, named: named.slice(2) })).release).toMatch(/x64$/);
    expect((await windows.start({ files, named, settings: new Map([['machine', 'x64']]) })).release).toMatch(
      /x64$/,
    );
  });
});
