/** Steps of the tour on FreeBSD: files and modules, dependencies the kernel loads itself, and what ties them to a kernel. */
import type { SystemStep } from './record.ts';

const system = 'freebsd';

const files: SystemStep = {
  system,
  name: 'freebsd',
  title: 'FreeBSD: files, and modules inside of them',
  statement:
    'On FreeBSD what is loaded is a file, a KLD, and the modules are inside of it: one file may have several. Each ' +
    'module gets events, and may refuse any of them.',
  by: 'hello.ko, failing.ko',
  async play(stage) {
    await stage.boot({ release: '13.2' });
    await stage.run(['kldload', '-v', 'hello.ko']);
    const listed = await stage.run(['kldstat', '-v', '-n', 'hello.ko']);
    await stage.run(['kldunload', '-v', 'hello']);
    const failed = await stage.run(['kldload', 'failing.ko']);
    const left = await stage.run(['kldstat']);
    stage.fact(
      'its code ran when it came and when it went',
      (await stage.logged('hello, world')) && (await stage.logged('goodbye')),
    );
    stage.fact('the file contains the module hello', /Contains modules:[\s\S]*hello\n/.test(listed.out));
    stage.fact(
      'a module whose MOD_LOAD fails takes its file with it',
      failed.code === 1 && !left.out.includes('failing'),
    );
    stage.fact(
      'the error of the load does not say why, the log does',
      await stage.logged('MOD_LOAD (failing, '),
    );
  },
};

const dependencies: SystemStep = {
  system,
  name: 'freebsd-depend',
  title: 'FreeBSD: the kernel loads dependencies',
  statement:
    'A module declares which interface it needs, and in which versions. The kernel finds the file that has it, loads it, ' +
    'and unloads it with the last one that needs it. Symbols come from direct dependencies only.',
  by: 'importer, exporter',
  async play(stage) {
    await stage.boot({ release: '13.2', missing: 'refuse' });
    const loaded = await stage.run(['kldload', '-v', 'importer.ko']);
    const both = await stage.run(['kldstat']);
    const held = await stage.run(['kldunload', 'exporter']);
    const undeclared = await stage.run(['kldload', 'undeclared.ko']);
    const newer = await stage.run(['kldload', 'newer.ko']);
    await stage.run(['kldunload', 'importer']);
    const none = await stage.run(['kldstat']);
    stage.fact('the exporter came with the importer', loaded.code === 0 && both.out.includes('exporter.ko'));
    stage.fact('it cannot be unloaded by itself', held.err.includes('Device busy'));
    stage.fact(
      'without MODULE_DEPEND a symbol is not found, though its owner is there',
      undeclared.code === 1 && (await stage.logged('symbol exporter_add undefined')),
    );
    stage.fact('a version that nobody has is refused', newer.code === 1);
    stage.fact('both are gone with the importer', none.out.trim().split('\n').length === 2);
  },
};

const versions: SystemStep = {
  system,
  name: 'freebsd-version',
  title: 'FreeBSD: bound to the major release',
  statement:
    'A module depends on the kernel that it was built for, and on all later ones of the same major release: what is ' +
    'built for 6.0 loads on 6.4 and not on 7.0.',
  by: 'old.ko',
  async play(stage) {
    await stage.boot({ release: '6.4' });
    const same = await stage.run(['kldload', '-v', 'old.ko']);
    await stage.boot({ release: '7.0' });
    const next = await stage.run(['kldload', '-v', 'old.ko']);
    stage.fact('built for 6.0, it loads on 6.4', same.code === 0);
    stage.fact(
      'it is refused on 7.0',
      next.code === 1 && (await stage.logged('depends on kernel - not available')),
    );
  },
};

const use: SystemStep = {
  system,
  name: 'freebsd-use',
  title: 'FreeBSD: devices, sysctls, system calls',
  statement:
    'A module brings character devices, variables of the sysctl tree and system calls. While it is in use it can ask not ' +
    'to be unloaded; kldunload -f passes over that, but not over a refusal.',
  by: 'echo, busy, newcall',
  async play(stage) {
    await stage.boot({ release: '13.2' });
    const session = await stage.session();
    await stage.run(['kldload', 'echo']);
    stage.say('echo hello, device > /dev/echo');
    const written = await session.writeFile('/dev/echo', new TextEncoder().encode('hello, device\n'), false);
    const read = await stage.run(['cat', '/dev/echo']);
    await stage.run(['kldload', 'newcall']);
    await stage.run(['syscall', '210', '40', '2']);
    await stage.run(['kldload', 'busy']);
    const asked = await stage.run(['kldunload', 'busy']);
    await stage.run(['sysctl', 'debug.busy.refuse=1']);
    const refused = await stage.run(['kldunload', '-f', 'busy']);
    await stage.run(['sysctl', 'debug.busy.refuse=0']);
    const forced = await stage.run(['kldunload', '-f', 'busy']);
    stage.fact(
      'what was written to the device was read back',
      written.code === 0 && read.out === 'hello, device\n',
    );
    stage.fact(
      'the system call was made: the module added 40 and 2',
      await stage.logged('newcall: 40 + 2 = 42'),
    );
    stage.fact('MOD_QUIESCE holds a plain kldunload back', asked.err.includes('Device busy'));
    stage.fact('-f does not pass over MOD_UNLOAD', refused.err.includes('Operation not permitted'));
    stage.fact('-f passes over MOD_QUIESCE', forced.code === 0);
  },
};

export const freebsd: readonly SystemStep[] = [files, dependencies, versions, use];
