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
