import { expect, it } from 'vitest';
import { chooseEntry, readGrub } from '../../../../src/tools/linux/boot/grub.ts';

const TEXT = `
if [ "\${next_entry}" ] ; then
   set default="\${next_entry}"
else
   set default="0"
fi
set quiet=yes
if [ "x$quiet" = "xyes" ]; then
  set words=quiet
elif [ -n "$other" ]; then
  set words=other
else
  set words=loud
fi
if [ -e /boot/splash ]; then
  set splash=there
fi
menuentry 'Debian' --class debian $menuentry_id_option 'gnulinux-simple' {
  linux /vmlinuz root=/dev/sda1 $words
  initrd /initrd
}
if [ "$quiet" != yes ]; then
menuentry 'Never' { 
  linux /never
}
fi
submenu 'More' --id 'more' {
  menuentry 'Old' --id old {
    linux /old \${splash}
  }
}
`;

it('decides conditions on variables, and leaves those on files open', () => {
  const config = readGrub(TEXT);
  expect(config.chosen).toBe('0');
  expect(config.entries.map(({ number, title }) => [number, title])).toEqual([
    ['0', 'Debian'],
    ['1>0', 'Old'],
  ]);
  expect(config.entries[0].commandLine).toBe('root=/dev/sda1 quiet');
  expect(config.entries[1].commandLine).toBe('there');
});

it.each(['gnulinux-simple', 'Debian', '0'])('finds an entry as %s', (wanted) => {
  expect(chooseEntry(readGrub(TEXT), wanted)?.kernel).toBe('/vmlinuz');
});

it.each(['old', 'Old', '1>0'])('finds an entry of a submenu as %s', (wanted) => {
  expect(chooseEntry(readGrub(TEXT), wanted)?.kernel).toBe('/old');
});

const FEDORA = `
set prefix_unused=1
load_env -f \${config_directory}/grubenv
if [ "\${next_entry}" ] ; then
   set default="\${next_entry}"
   set next_entry=
   save_env next_entry
   set boot_once=true
else
   set default="\${saved_entry}"
fi
if [ x"\${feature_menuentry_id}" = xy ]; then menuentry_id_option="--id"; else menuentry_id_option=""; fi
if [ -z "\${kernelopts}" ]; then
  set kernelopts="root=/dev/mapper/root ro "
fi
insmod blscfg
blscfg
if [ -f  $prefix/custom.cfg ]; then
  source $prefix/custom.cfg
fi
`;
const entry = (version: string, title: string, options = '$kernelopts $tuned_params') =>
  `title ${title}\nversion ${version}\nlinux /vmlinuz-${version}\ninitrd /initramfs-${version}.img $tuned_initrd\n` +
  `options ${options}\nid of-another-kind\ngrub_users $grub_users\n`;
const FILES = new Map([
  ['/boot/grub2/grubenv', '# GRUB Environment Block\nsaved_entry=m-5.14.0-70.el9.x86_64\n#########'],
  ['/boot/grub2/custom.cfg', 'menuentry \'Own\' { linux ($root)/own a "b c" }'],
  ['/boot/loader/entries/m-5.14.0-70.el9.x86_64.conf', entry('5.14.0-70.el9.x86_64', 'Seventy')],
  ['/boot/loader/entries/m-5.14.0-427.el9.x86_64.conf', entry('5.14.0-427.el9.x86_64', 'Newest', 'ro x=1')],
  ['/boot/loader/entries/m-0-rescue.conf', entry('0-rescue', 'Rescue')],
]);
const files = {
  prefix: '/boot/grub2',
  knows: () => true,
  read: (path: string) => FILES.get(path),
  list: (path: string) => {
    const names = [...FILES.keys()]
      .filter((one) => one.startsWith(`${path}/`))
      .map((one) => one.slice(path.length + 1));
    return names.length === 0 ? undefined : names;
  },
};

it('takes entries of the Boot Loader Specification, newest first, and what grubenv has saved', () => {
  const config = readGrub(FEDORA, files);
  expect(config.entries.map(({ title }) => title)).toEqual(['Newest', 'Seventy', 'Rescue', 'Own']);
  expect(config.chosen).toBe('m-5.14.0-70.el9.x86_64');
  expect(chooseEntry(config)).toMatchObject({
    kernel: '/vmlinuz-5.14.0-70.el9.x86_64',
    commandLine: 'root=/dev/mapper/root ro',
    initrds: ['/initramfs-5.14.0-70.el9.x86_64.img'],
  });
  expect(chooseEntry(config, '0')?.commandLine).toBe('ro x=1');
  expect(chooseEntry(config, 'Own')).toMatchObject({ kernel: '/own', commandLine: 'a "b c"' });
});

const DEBIAN = `
function gfxmode {
  set gfxpayload="\${1}"
  if [ "\${1}" = "keep" ]; then set vt_handoff=vt.handoff=7; else set vt_handoff= ; fi
}
function kernel { linux /boot/vmlinuz-$1 root=UUID=1 ro \${vt_handoff} $2; initrd /boot/initrd.img-$1 }
export menuentry_id_option
menuentry 'Debian GNU/Linux' --class debian --class gnu-linux $menuentry_id_option 'gnulinux-simple-1' {
  gfxmode keep
  echo 'Loading ...'
  kernel 6.1.0-56-amd64 quiet
}
submenu 'Advanced options for Debian GNU/Linux' $menuentry_id_option 'gnulinux-advanced-1' {
  menuentry 'Debian GNU/Linux, with Linux 6.1.0-56-amd64' --class debian $menuentry_id_option 'gnulinux-6.1.0-56-amd64-advanced-1' {
    kernel 6.1.0-56-amd64 module_blacklist=loop
  }
  menuentry 'a > b' { kernel 6.1.0-47-amd64; }
}
menuentry "Memory test" { linux16 /memtest }
`;

it.each([
  ['Advanced options for Debian GNU/Linux>Debian GNU/Linux, with Linux 6.1.0-56-amd64', '1>0'],
  ['gnulinux-advanced-1>gnulinux-6.1.0-56-amd64-advanced-1', '1>0'],
  ['1>gnulinux-6.1.0-56-amd64-advanced-1', '1>0'],
  ['gnulinux-advanced-1>1', '1>1'],
  ['1>a >> b', '1>1'],
  ['1', '1>0'],
  ['2', '2'],
  ['gnulinux-simple-1', '0'],
])('follows %s', (wanted, number) => {
  expect(chooseEntry(readGrub(DEBIAN), wanted)?.number).toBe(number);
});

it.each(['1>9', '9', '0>0', 'Advanced options for Debian GNU/Linux>none', '>', ''])('has no %s', (wanted) => {
  expect(chooseEntry(readGrub(DEBIAN), wanted)).toBeUndefined();
});

it('runs functions with their arguments', () => {
  const [first, second, third] = readGrub(DEBIAN).entries;
  expect(first).toMatchObject({
    kernel: '/boot/vmlinuz-6.1.0-56-amd64',
    commandLine: 'root=UUID=1 ro vt.handoff=7 quiet',
    initrds: ['/boot/initrd.img-6.1.0-56-amd64'],
  });
  expect(second.commandLine).toBe('root=UUID=1 ro module_blacklist=loop');
  expect(third.commandLine).toBe('root=UUID=1 ro');
});

it('ends for functions that call themselves, and loops', () => {
  expect(readGrub('function a { a; a; }\na').entries).toEqual([]);
  expect(readGrub('function a { a }\na\nmenuentry x { a; linux /k }').entries).toHaveLength(1);
  expect(
    readGrub('while true; do set a=1; done\nfor v in 1 2; do menuentry "e$v" { linux /k$v }; done').entries,
  ).toHaveLength(2);
});
