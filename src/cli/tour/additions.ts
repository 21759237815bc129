/** Steps of the tour: what modules add. */
import { Errno } from '../../systems/linux/errno.ts';
import type { LinuxStep } from './record.ts';

const driver: LinuxStep = {
  name: 'driver',
  title: 'Modules add device drivers',
  statement:
    'Most modules are drivers: code for a device, which programs then use by way of a file in /dev. A program ' +
    'that has to wait for the device sleeps in the kernel, inside the code of the module.',
  by: 'chardev.ko',
  play(stage) {
    stage.boot();
    stage.run('insmod chardev.ko');
    stage.run('ls -l /dev/chardev');
    stage.say('This reader finds nothing there, so it sleeps; the module cannot go while it does.');
    stage.run('head -c 4 /dev/chardev &');
    const busy = stage.run('rmmod chardev');
    stage.run('echo tea! > /dev/chardev');
    const got = stage.run('wait');
    const number = stage.run('open /dev/chardev rw').output.trim();
    stage.run(`write ${number} "two words"`);
    const count = stage.run(`ioctl ${number} 0x7102`);
    const read = stage.run(`read ${number} 64`);
    stage.run(`close ${number}`);
    const gone = stage.run('rmmod chardev');
    const after = stage.run('cat /dev/chardev');
    stage.fact('the reader slept until somebody wrote, and got it', got.output === 'tea!');
    stage.fact(
      'open, write, ioctl, read and close reached the module',
      count.output === '= 10' && read.output === '\ntwo words',
    );
    stage.fact('a module that is in use is not unloaded', busy.code !== 0 && gone.code === 0);
    stage.fact('with the module the device is gone', after.errno === Errno.ENOENT);
  },
};

const filesystem: LinuxStep = {
  name: 'filesystem',
  title: 'Modules add file systems',
  statement:
    'A module can teach the kernel a file system. Until then the kernel cannot mount it; afterwards its files are ' +
    'used like any others.',
  by: 'tinyfs.ko: mount',
  play(stage) {
    stage.boot();
    const unknown = stage.run('mount -t tinyfs none /mnt');
    stage.run('insmod tinyfs.ko');
    stage.run('mount -t tinyfs none /mnt');
    const names = stage.run('ls /mnt');
    const text = stage.run('cat /mnt/greeting');
    const held = stage.run('rmmod tinyfs');
    stage.run('umount /mnt');
    const gone = stage.run('rmmod tinyfs');
    stage.fact('before, the kernel does not know it (ENODEV)', unknown.errno === Errno.ENODEV);
    stage.fact(
      'mounted, its directory and its files can be read',
      names.output.split('\n').includes('greeting') && text.output.startsWith('hello from a filesystem'),
    );
    stage.fact('it stays while it is mounted, and goes afterwards', held.code !== 0 && gone.code === 0);
  },
};

const systemCall: LinuxStep = {
  name: 'syscall',
  title: 'Modules add system calls',
  statement:
    'A module can add a system call, a function that programs ask of the kernel by number. The number is unknown ' +
    'before the module is loaded, and again when it is gone.',
  by: 'newcall.ko',
  play(stage) {
    stage.boot();
    const before = stage.run('syscall 335 40 2');
    stage.run('insmod newcall.ko');
    const during = stage.run('syscall 335 40 2');
    stage.run('rmmod newcall');
    const after = stage.run('syscall 335 40 2');
    stage.fact('before: no such call (ENOSYS)', before.errno === Errno.ENOSYS);
    stage.fact('with the module it answers 42', during.output === '= 42');
    stage.fact('after: no such call again', after.errno === Errno.ENOSYS);
  },
};

const virtualFiles: LinuxStep = {
  name: 'files',
  title: 'Modules show themselves in /proc and /sys',
  statement:
    'Modules offer settings and figures as files: in /proc, and as attributes in /sys. Reading one runs code of the ' +
    'module that writes the text; writing one runs code that checks it.',
  by: 'procfile, sysattr',
  play(stage) {
    stage.boot();
    stage.run('insmod procfile.ko');
    stage.run('echo gamma > /proc/procfile/words');
    const words = stage.run('cat /proc/procfile/words');
    stage.run('rmmod procfile');
    stage.run('insmod sysattr.ko');
    stage.run('echo 25 > /sys/kernel/room/degrees');
    const degrees = stage.run('cat /sys/kernel/room/degrees');
    const wrong = stage.run('echo 99 > /sys/kernel/room/degrees');
    stage.run('rmmod sysattr');
    stage.fact('a line written to /proc is in the list that is read', words.output.includes('gamma'));
    stage.fact('an attribute in /sys was changed', degrees.output === '25\n');
    stage.fact('a value that the module does not want is refused (ERANGE)', wrong.errno === Errno.ERANGE);
  },
};

export const additions: readonly LinuxStep[] = [driver, filesystem, systemCall, virtualFiles];
