/** What decides from outside whether a module may come, and what /etc/system decides. */
import { beforeAll, describe, expect, it } from 'vitest';
import { configuration } from '../../../src/systems/solaris/configuration.ts';
import { daemonRuns } from '../../../src/systems/solaris/unload.ts';
import { makeCertificate } from './certificate.ts';
import { give, module, start } from './shell.ts';

const text = (value: string) => new TextEncoder().encode(value);
const HELLO = '/usr/kernel/misc/amd64/hello';

describe('signatures', () => {
  let trusted: Awaited<ReturnType<typeof makeCertificate>>;
  let stranger: Awaited<ReturnType<typeof makeCertificate>>;
  let signed: Uint8Array;

  beforeAll(async () => {
    trusted = await makeCertificate('Trusted');
    stranger = await makeCertificate('Stranger');
    const session = await start({}, { extra: { 'k.pem': trusted.key, 'c.pem': trusted.certificate } });
    const result = await give(session, `elfsign sign -v -k k.pem -c c.pem -e ${HELLO}`);
    expect(result.code).toBe(0);
    expect(result.out).toMatch(
      /^elfsign: \S+ signed successfully\.\nformat: \S+\.\nsigner: .*CN=Trusted.*\.\nsigned on: Thu Jan {2}1 00:00:00 2015\.\n$/,
    );
    signed = session.files.read(HELLO) ?? new Uint8Array(0);
    expect((await give(session, `elfsign list -f signer -e ${HELLO}`)).out).toContain('CN=Trusted');
    expect(await give(session, `elfsign verify -c c.pem -v -e ${HELLO}`)).toMatchObject({
      code: 0,
      out: expect.stringContaining('verification of'),
    });
    expect((await give(session, 'modload -p misc/hello')).code).toBe(0);
  });

  it('elfsign has the options and words of elfsign(1)', async () => {
    const extra = { 'k.pem': trusted.key, 'c.pem': trusted.certificate, 'text.pem': text('none') };
    const session = await start({}, { extra });
    const tally = HELLO.replace('hello', 'tally');
    const run = async (line: string) => await give(session, `elfsign ${line}`);
    const teller = HELLO.replace('hello', 'teller');
    expect(await run(`sign -k k.pem -c c.pem -e ${teller}`)).toMatchObject({ code: 0, out: '', err: '' });
    expect((await run(`sign -k k.pem -c c.pem ${HELLO} ${tally}`)).out).toBe(
      `elfsign: ${HELLO} signed successfully.\nelfsign: ${tally} signed successfully.\n`,
    );
    expect(await run(`verify -c c.pem -e ${HELLO} ${tally}`)).toMatchObject({
      code: 0,
      out: `elfsign: verification of ${HELLO} passed.\nelfsign: verification of ${tally} passed.\n`,
    });
    expect((await run(`list -f time -e ${HELLO}`)).out).toBe('Thu Jan  1 00:00:00 2015\n');
    expect((await run('list -f subject -c c.pem')).out).toContain('CN=Trusted');
    expect((await run('list -f issuer -c c.pem')).out).toContain('CN=');
    const stray = HELLO.replace('hello', 'stray');
    for (const [line, code, err] of [
      ['', 1, 'elfsign: invalid number of arguments\nusage:\n'],
      ['nothing -e x', 1, 'elfsign: Unknown sub-command: nothing\nusage:\n'],
      ['verify', 1, 'elfsign: invalid number of arguments\nusage:\n'],
      ['verify -q x', 1, 'usage:\n'],
      ['sign -e x', 1, 'usage:\n'],
      ['sign -F sha9 -k k.pem -c c.pem x', 1, 'usage:\n'],
      ['list -f nothing -e x', 1, 'usage:\n'],
      ['list -f signer -e x -c c.pem', 1, 'usage:\n'],
      ['verify /nothing', 3, 'elfsign: Unable to open /nothing as an ELF object.\n'],
      ['verify c.pem', 3, 'elfsign: Unable to open c.pem as an ELF object.\n'],
      [`verify -c text.pem ${HELLO}`, 4, 'elfsign: Unable to open text.pem as a certificate.\n'],
      [`verify ${stray}`, 7, `elfsign: no signature found in ${stray}.\n`],
      [`verify ${HELLO}`, 2, `elfsign: verification of ${HELLO} failed.\n`],
      [`sign -k none -c c.pem ${HELLO}`, 5, 'elfsign: Unable to load private key: none\n'],
      [`sign -k k.pem -c none ${HELLO}`, 4, 'elfsign: Unable to load certificate: none\n'],
      [`list -f signer -e ${stray}`, 7, ''],
      ['list -f signer -c c.pem', 1, ''],
    ] as const) {
      const result = await session.run(['elfsign', ...line.split(' ').filter((one) => one !== '')]);
      expect([line, result.code]).toEqual([line, code]);
      expect(result.err.slice(0, Math.max(err.length, err.startsWith('elfsign: U') ? 0 : err.length))).toBe(
        err,
      );
    }
  });

  const enforcing = (store: Uint8Array, policy = 'enforce') =>
    start({ policy, certs: 'store.pem' }, { extra: { 'store.pem': store } });

  it('of a trusted certificate lets a module in', async () => {
    const session = await enforcing(trusted.certificate);
    session.files.write(HELLO, signed);
    expect(await give(session, 'modload -p misc/hello')).toMatchObject({ code: 0 });
  });

  it('of another certificate keeps it out', async () => {
    const session = await enforcing(stranger.certificate);
    session.files.write(HELLO, signed);
    expect(await give(session, 'modload -p misc/hello')).toMatchObject({
      code: 13,
      err: "can't load module: Permission denied\n",
      note: expect.stringContaining('CN=Trusted, which is not trusted'),
    });
  });

  it('does not cover other bytes', async () => {
    const session = await enforcing(trusted.certificate);
    const changed = signed.slice();
    const at = Buffer.from(changed).indexOf('good morning');
    changed[at] = 'G'.charCodeAt(0);
    session.files.write(HELLO, changed);
    const result = await give(session, 'modload -p misc/hello');
    expect(result).toMatchObject({ code: 13, note: expect.stringContaining('is not that of this file') });
    expect((await give(session, `elfsign verify -e ${HELLO}`)).code).toBe(2);
  });

  it('are wanted of every module, those that others need too', async () => {
    const session = await enforcing(trusted.certificate);
    expect(await give(session, 'modload -p misc/hello')).toMatchObject({
      code: 13,
      note: expect.stringContaining('not signed'),
    });
    expect((await give(session, 'mount -F tinyfs none /mnt')).code).toBe(1);
    expect((await give(session, 'syscall 180 1 2')).code).toBe(1);
  });

  it('are only asked for with the policy warning', async () => {
    const session = await enforcing(trusted.certificate, 'warning');
    expect((await give(session, 'modload -p misc/hello')).code).toBe(0);
    expect(session.kernel.log.records.some((record) => record.text.includes('the file is not signed'))).toBe(
      true,
    );
  });

  it('cannot be asked for on illumos', async () => {
    await expect(start({ variant: 'illumos', policy: 'enforce' })).rejects.toThrow(
      'illumos checks no signatures',
    );
  });
});

describe('an immutable zone', () => {
  it('takes modules over the trusted path alone', async () => {
    const session = await start({ immutable: 'yes' });
    expect(await give(session, 'modload -p misc/hello')).toMatchObject({
      code: 255,
      note: expect.stringContaining('trusted path'),
    });
    expect((await give(session, 'add_drv echo')).code).toBe(1);
    expect((await give(session, 'echo set x=1 > /etc/system')).err).toContain('Read-only file system');
    expect((await give(session, 'tpd modload -p misc/hello')).code).toBe(0);
    const id = /^ *(\d+) .*hello/m.exec((await give(session, 'modinfo')).out)?.[1];
    expect((await give(session, `modunload -i ${id}`)).code).toBe(255);
    expect((await give(session, `tpd modunload -i ${id}`)).code).toBe(0);
    expect((await give(session, 'as nobody tpd modload -p misc/hello')).code).toBe(1);
  });
});

describe('/etc/system', () => {
  const withSystem = (lines: string, settings: Record<string, string> = {}) =>
    start({ system: 'system', ...settings }, { extra: { system: text(lines) } });
  const logged = async (session: Awaited<ReturnType<typeof start>>, what: string) =>
    session.kernel.log.records.filter((record) => record.text.includes(what)).length;

  it('sets variables of modules before they start', async () => {
    const session = await withSystem('set hello:greetings = 3\n');
    await give(session, 'modload -p misc/hello');
    expect(await logged(session, 'good morning')).toBe(3);
  });

  it('knows 32 and 64 bits apart, and the operators', async () => {
    const lines = 'set64 hello:greetings = 7\nset32 hello:greetings = 2\nset hello:greetings & ~5\n';
    const wide = await withSystem(lines);
    await give(wide, 'modload -p misc/hello');
    expect(await logged(wide, 'good morning')).toBe(2);
    const narrow = await withSystem('set64 hello:greetings = 7\n', { isa: 'i386' });
    await give(narrow, 'modload -p misc/hello');
    expect(await logged(narrow, 'good morning')).toBe(1);
  });

  it('tells of variables that are not there', async () => {
    const session = await withSystem('set hello:nothing = 3\nset nowhere = 1\n');
    await give(session, 'modload -p misc/hello');
    expect(await logged(session, "sorry, variable 'nothing' is not defined in the 'hello' module")).toBe(1);
    expect(await logged(session, "sorry, variable 'nowhere' is not defined in the 'kernel'")).toBe(1);
  });

  it('excludes and forces', async () => {
    const session = await withSystem('exclude: misc/hello\nforceload: misc/tally\nforceload: misc/none\n');
    expect(await give(session, 'modload -p misc/hello')).toMatchObject({ code: 6 });
    expect((await give(session, 'modinfo')).out).toContain('tally (counts for others)');
    expect(await logged(session, 'forceload of misc/none failed')).toBe(1);
  });

  it('names where modules are looked for', async () => {
    const session = await withSystem('moddir: /opt/kernel\n');
    expect(session.kernel.state(configuration).modulePath).toEqual(['/opt/kernel']);
    expect((await give(session, 'modload -p misc/hello')).code).toBe(2);
    session.files.write('/opt/kernel/misc/amd64/hello', module('misc/amd64/hello'));
    expect((await give(session, 'modload -p misc/hello')).code).toBe(0);
    const plain = await start();
    expect(plain.kernel.state(configuration).modulePath).toEqual([
      '/platform/i86pc/kernel',
      '/kernel',
      '/usr/kernel',
    ]);
  });

  it('is told what is wrong in it', async () => {
    const session = await withSystem('nonsense: 1\n');
    expect(await logged(session, "unknown command 'nonsense' on line 1 of /etc/system")).toBe(1);
  });

  it('moddebug makes the kernel talk', async () => {
    const session = await withSystem('set moddebug = 0xc0000000\n');
    await give(session, 'modload -p misc/hello');
    await give(session, 'modload -p misc/badinit');
    expect(await logged(session, 'installing hello, module id')).toBe(1);
    expect(await logged(session, '_init() error 6')).toBe(1);
  });
});

describe('a DEBUG kernel', () => {
  const loaded = async (session: Awaited<ReturnType<typeof start>>, name: string) =>
    new RegExp(` ${name} +LOADED/`).test((await give(session, 'modinfo -c')).out);

  it('unloads each minute what nobody needs, once it was told to', async () => {
    const session = await start({ debug: 'yes' });
    await give(session, 'syscall 180 1 2');
    await give(session, 'sleep 200');
    expect([daemonRuns(session.kernel), await loaded(session, 'sumcall')]).toEqual([0, true]);
    expect(await give(session, 'modunload -i 0')).toMatchObject({ code: 0 });
    expect(await loaded(session, 'sumcall')).toBe(false);
    await give(session, 'syscall 180 1 2');
    await give(session, 'sleep 59');
    expect(await loaded(session, 'sumcall')).toBe(true);
    await give(session, 'sleep 2');
    expect(await loaded(session, 'sumcall')).toBe(false);
  });

  it.each([
    ['set moddebug = 0x10', 'NOAUTOUNLOAD'],
    ['set moddebug = 0x40', 'system calls stay'],
    ['set modunload_disable_count = 1', 'switched off'],
  ])('%s: %s', async (line) => {
    const session = await start(
      { debug: 'yes', system: 's' },
      { extra: { s: text(`${line}\nset mod_uninstall_interval=60\n`) } },
    );
    await give(session, 'syscall 180 1 2');
    await give(session, 'sleep 130');
    expect(await loaded(session, 'sumcall')).toBe(true);
    expect(daemonRuns(session.kernel)).toBe(2);
  });

  it('another kernel unloads at once, and only when it is told', async () => {
    const session = await start();
    await give(session, 'syscall 180 1 2');
    await give(session, 'sleep 200');
    expect(await loaded(session, 'sumcall')).toBe(true);
    await give(session, 'modunload -i 0');
    expect(await loaded(session, 'sumcall')).toBe(false);
  });

  it('says that _depends_on is deprecated', async () => {
    const session = await start({ debug: 'yes' });
    await give(session, 'modload -p misc/oldteller');
    expect(
      session.kernel.log.records.some((record) => record.text.includes('uses deprecated _depends_on')),
    ).toBe(true);
  });
});
