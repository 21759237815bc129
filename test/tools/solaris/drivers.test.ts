/** Drivers of further kinds: a block device, memory that is mapped, a network link, cards that do not answer. */
import { describe, expect, it } from 'vitest';
import { start, transcript } from './shell.ts';

describe.each(['amd64', 'i386'])('on %s', (isa) => {
  it('a block device is read and written by blocks, and raw by physio', async () => {
    const session = await start({ isa });
    const lines = [
      'add_drv -m nothing ramdisk',
      'add_drv ramdisk',
      'ls /devices',
      'ls -l /devices/pseudo',
      'open /devices/pseudo/ramdisk@0:a',
      'seek 3 510',
      'write 3 hello blocks',
      'seek 3 508',
      'read 3 16',
      'open /devices/pseudo/ramdisk@0:a,raw',
      'seek 4 512',
      'read 4 512',
      'mmap 4 510 12',
      'mmap 4 0 4 wxyz',
      'mmap 4 8190 4',
      'seek 3 0',
      'read 3 4',
      'seek 3 8190',
      'write 3 abcd',
      'read 3 4',
      'seek 4 9000',
      'read 4 4',
      'modunload -i 3',
      'close 3',
      'close 4',
      'rem_drv ramdisk',
    ];
    const seen = (await transcript(session, lines)).map((line) => line.replaceAll('\0', '.'));
    const text = seen.join('\n');
    expect(text).toContain('Option (-m) : missing token: (nothing)');
    expect(text).toContain(
      'brw-------   1 root     sys        1,  0 Jan  1 00:00 ramdisk@0:a\n' +
        'crw-------   1 root     sys        1,  0 Jan  1 00:00 ramdisk@0:a,raw',
    );
    expect(text).toContain('# write 3 hello blocks\n12\n');
    expect(text).toContain('# read 3 16\n..hello blocks..');
    expect(text).toMatch(/# read 4 512\nllo blocks\.{502}/);
    expect(text).toContain('# mmap 4 510 12\n68 65 6c 6c 6f 20 62 6c 6f 63 6b 73\n');
    expect(text).toContain(
      '# mmap 4 0 4 wxyz\n77 78 79 7a\n# mmap 4 8190 4\nmmap: No such device or address\n',
    );
    expect(text).toContain('# read 3 4\nwxyz');
    expect(text).toContain('# write 3 abcd\n2\n');
    expect(text).toContain('# read 4 4\nread: No such device or address\n');
    expect(text).toContain("# modunload -i 3\ncan't unload the module: Device busy\nexit 16\n");
    expect(text).toMatch(/# rem_drv ramdisk$/);
    expect((await session.run(['modinfo'])).out).not.toContain('ramdisk');
  });

  it('a network driver is attached, started, sends and receives', async () => {
    const session = await start({ isa });
    const frame = 'ff ff ff ff ff ff 02 08 20 01 02 03 08 00 61 62';
    const lines = [
      'modload -p drv/packets',
      'add_drv packets',
      'modinfo',
      'dladm show-phys',
      `frame packets0 ${frame}`,
      'ifconfig packets0 plumb',
      'ifconfig -a',
      'dladm show-phys',
      `frame packets0 ${frame}`,
      'frame packets0',
      'frame packets0',
      'frame nothing0',
      'rem_drv packets',
      'modunload -i 4',
      'ifconfig packets0 unplumb',
      'ifconfig packets0 unplumb',
      'add_drv packets',
      'rem_drv packets',
      'modunload -i 0',
    ];
    const text = (await transcript(session, lines)).join('\n');
    expect(text).toContain(
      "# modload -p drv/packets\ncan't load module: No such device or address\nexit 6\n",
    );
    expect(text).toMatch(/ +4 \S+ +\S+ +- +1 +mac \(MAC Services/);
    expect(text).toContain(
      'packets0     Ethernet             unknown    100    unknown   packets0\n' +
        `# frame packets0 ${frame}\nframe: Network is down\n`,
    );
    expect(text).toContain('\tether 2:8:20:1:2:3');
    expect(text).toContain('packets0     Ethernet             up         100    unknown   packets0\n');
    expect(text).toContain(
      `# frame packets0\n${frame}\n# frame packets0\n# frame nothing0\nframe: nothing0: no such interface\n`,
    );
    expect(text).toContain('# rem_drv packets\nDevice busy\nCannot unload module: packets\n');
    expect(text).toContain("# modunload -i 4\ncan't unload the module: Device busy\n");
    expect(text).toContain('ifconfig: unplumb: SIOCGLIFFLAGS: packets0: no such interface');
    const left = (await session.run(['modinfo'])).out;
    expect(left).not.toContain('packets');
    expect(left).not.toContain(' mac (');
  });

  it('check knows what the system has of its own', async () => {
    const session = await start({ isa });
    await session.run(['add_drv', '-n', 'packets']);
    const path = `/usr/kernel/drv/${isa === 'amd64' ? 'amd64/' : ''}packets`;
    const { out } = await session.run(['check', path]);
    expect(out).not.toContain('mac_');
    expect(out).not.toContain('There is no file for its dependency');
  });

  it('what a module of the system has is not seen without naming it', async () => {
    const session = await start({ isa });
    const image = session.host.read(`usr/kernel/drv/${isa === 'amd64' ? 'amd64/' : ''}packets`);
    const bytes = Uint8Array.from(image ?? []);
    // Its dependency is another one now.
    const text = Buffer.from(bytes.buffer);
    text.write('misc/gld', text.indexOf('misc/mac'));
    session.files.write(`/usr/kernel/drv/${isa === 'amd64' ? 'amd64/' : ''}packets`, bytes);
    const result = await session.run(['add_drv', 'packets']);
    expect(result.err).toContain('failed to attach');
    const log = (await session.run(['dmesg'])).out;
    expect(log).toContain("'mac_init_ops'");
    expect(log).toContain("WARNING: mod_load: cannot load module 'packets'");
  });

  it('a card is bound by its aliases, the best first, and stays when the driver goes', async () => {
    const session = await start({ isa, device: 'pci1234,5678 pciex8086,1' });
    const lines = [
      'prtconf',
      'add_drv -i pci1234,5678 echo',
      'prtconf',
      'interrupt pci1234,5678',
      'interrupt nothing',
      'rem_drv echo',
      'prtconf',
      'add_drv -i pciexclass,0200 echo',
    ];
    const text = (await transcript(session, lines)).join('\n');
    expect(text).toContain(
      '    pci, instance #0\n        pci1234,5678 (driver not attached)\n        pciex8086,1 (driver not attached)',
    );
    expect(text).toContain('pci1234,5678, instance #1 (driver name: echo)');
    expect(text).toContain('interrupt: pci1234,5678: no handler');
    expect(text).toContain('interrupt: nothing: No such device or address');
    await expect(start({ device: 'card' })).rejects.toThrow("device cannot be 'card'");
  });
});

describe('links in /dev', () => {
  it('are shown with what they lead to', async () => {
    const session = await start();
    const tab = 'type=ddi_pseudo;name=echo\tsay/\\D\\A\n';
    session.files.write('/etc/devlink.tab', new TextEncoder().encode(tab));
    session.files.write('/etc/minor_perm', new TextEncoder().encode('echo:* 0640 root staff\n'));
    await session.run(['add_drv', 'echo']);
    expect((await session.run(['ls', '-l', '/dev'])).out).toBe(
      'lrwxrwxrwx   1 root     root          32 Jan  1 00:00 say/echo0 -> ../../devices/pseudo/echo@0:echo\n',
    );
    expect((await session.run(['ls', '-l', '/devices/pseudo/echo@0:echo'])).out).toBe(
      'crw-r-----   1 root     staff      1,  0 Jan  1 00:00 /devices/pseudo/echo@0:echo\n',
    );
  });
});
