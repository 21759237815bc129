/** Steps on macOS: kernel extensions, their bundles, owners and signatures. */
import type { SystemStep } from './record.ts';

export const macos: readonly SystemStep[] = [
  {
    name: 'macos-kext',
    title: 'macOS: a kernel extension is a bundle',
    statement: 'On macOS a module is a bundle with the suffix .kext; kextload loads it, kextstat lists it',
    by: 'kextload, kextstat',
    system: 'macos',
    play: async (stage) => {
      stage.say('A folder with a property list and a Mach-O file becomes part of the kernel.');
      await stage.run(['kextload', '-v', 'Board.kext']);
      const list = await stage.run(['kextstat', '-k']);
      await stage.run(['ls', '-l', '/dev/board']);
      const session = await stage.session();
      await session.writeFile('/dev/board', new TextEncoder().encode('written by a process\n'), false);
      const back = await stage.run(['cat', '/dev/board']);
      const count = await stage.run(['sysctl', 'debug.board_writes']);
      const gone = await stage.run(['kextunload', '-v', '-b', 'org.lkm.Board']);
      stage.fact('kextstat lists the kext with its version', list.out.includes('org.lkm.Board (1.2.3b4)'));
      stage.fact('its device gives back what was written', back.out === 'written by a process\n');
      stage.fact('its sysctl has counted the write', count.out === 'debug.board_writes: 1\n');
      stage.fact('it can be unloaded', gone.code === 0 && (await stage.logged('Board: gone')));
    },
  },
  {
    name: 'macos-libraries',
    title: 'macOS: kexts link against declared kexts',
    statement:
      'A kext gets symbols only from the libraries that it declares, with versions; they are loaded first',
    by: 'OSBundleLibraries',
    system: 'macos',
    play: async (stage) => {
      const early = await stage.run(['kextload', 'Client.kext']);
      await stage.run(['cp', '-R', 'Library.kext', '/Library/Extensions']);
      const late = await stage.run(['kextload', 'Client.kext']);
      const used = await stage.run(['kextunload', '-b', 'org.lkm.Library']);
      const newer = await stage.run(['kextload', 'Future.kext']);
      stage.fact('without the library it is refused', early.err.includes('dependency resolution failure'));
      stage.fact(
        'with it, it links and calls',
        late.code === 0 && (await stage.logged('Client: 40 + 2 = 42')),
      );
      stage.fact('a library in use stays', used.err.includes('kext is in use or retained (cannot unload)'));
      stage.fact('one that wants version 3.0 is refused', newer.code !== 0);
    },
  },
  {
    name: 'macos-owner',
    title: 'macOS: who may load, and whose it must be',
    statement:
      'Any user may load a kext whose OSBundleAllowUserLoad is set, but all of it must belong to root:wheel, writable by nobody else',
    by: 'chown, kextload',
    system: 'macos',
    play: async (stage) => {
      const folder = '/System/Library/Extensions';
      await stage.boot({ release: '10.8' });
      await stage.run(['cp', '-R', 'Everyone.kext', folder]);
      await stage.run(['cp', '-R', 'Hello.kext', folder]);
      await stage.run(['chown', '-R', '501:20', `${folder}/Everyone.kext`]);
      const wrong = await stage.run(['kextload', `${folder}/Everyone.kext`]);
      await stage.run(['chown', '-R', 'root:wheel', `${folder}/Everyone.kext`]);
      stage.say('The same as a user who is not root:');
      await stage.run(['su', 'lkm']);
      const allowed = await stage.run(['kextload', '-v', `${folder}/Everyone.kext`]);
      const other = await stage.run(['kextload', `${folder}/Hello.kext`]);
      stage.fact(
        'wrong owners are refused, root or not',
        wrong.err.includes('authentication failure (file ownership/permissions)'),
      );
      stage.fact('a user may load what allows it', allowed.code === 0);
      stage.fact('and nothing else', other.err.includes('not privileged'));
    },
  },
  {
    name: 'macos-unsigned',
    title: 'macOS 10.11: an unsigned kext stops the start',
    statement: 'From 10.11 on the machine does not start while an unsigned kext lies in a kext folder',
    by: 'reboot, csrutil',
    system: 'macos',
    play: async (stage) => {
      await stage.boot({ release: '10.11', sip: 'on' });
      const load = await stage.run(['kextload', 'Hello.kext']);
      await stage.run(['cp', '-R', 'Hello.kext', '/Library/Extensions']);
      const stopped = await stage.run(['reboot']);
      await stage.run(['rm', '-R', '/Library/Extensions/Hello.kext']);
      const starts = await stage.run(['reboot']);
      stage.fact('an unsigned kext is not loaded', load.code !== 0);
      stage.fact('and with it in place the machine does not start', stopped.code !== 0);
      stage.fact('without it, it does', starts.code === 0);
      await stage.boot({ release: '10.8' });
      await stage.run(['cp', '-R', 'Hello.kext', '/Library/Extensions']);
      const older = await stage.run(['reboot']);
      stage.fact('10.8 does not mind', older.code === 0);
    },
  },
  {
    name: 'macos-driver',
    title: 'macOS: a device brings its driver',
    statement:
      'The kernel matches the personalities of installed kexts to devices and has the kext loaded that fits',
    by: 'ioreg, kextstat',
    system: 'macos',
    play: async (stage) => {
      await stage.boot({ release: '10.8' });
      await stage.run(['cp', '-R', 'Lamp.kext', '/Library/Extensions']);
      const before = await stage.run(['kextstat', '-k', '-l']);
      await stage.run(['plug', 'IOPlatformDevice', 'lamp']);
      const after = await stage.run(['kextstat', '-k', '-l']);
      const shown = await stage.run(['ioreg', '-c', 'org_lkm_Lamp']);
      const gone = await stage.run(['kextunload', '-v', '-b', 'org.lkm.Lamp']);
      stage.fact('nothing is loaded for a device that is not there', !before.out.includes('org.lkm.Lamp'));
      stage.fact('with the device the kext is there', after.out.includes('org.lkm.Lamp'));
      stage.fact('its C++ object has put properties into the registry', shown.out.includes('"Lit" = Yes'));
      stage.fact(
        'unloading stops and frees it first',
        gone.code === 0 && (await stage.logged('Lamp: freed')),
      );
    },
  },
];
