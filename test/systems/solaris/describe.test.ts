import { describe, expect, it } from 'vitest';
import { readElf } from '../../../src/formats/elf/read.ts';
import { describeSolaris, recogniseSolaris } from '../../../src/systems/solaris/describe.ts';
import { messageId } from '../../../src/systems/solaris/syslog.ts';
import { module } from '../../tools/solaris/shell.ts';

const open = (name: string) => readElf(module(name));

describe('a description', () => {
  it.each(['misc/amd64/hello', 'misc/hello', 'misc/sparcv9/hello'])(
    'of %s has its linkage and size',
    (name) => {
      const found = describeSolaris(open(name));
      expect(found.linkages).toEqual([{ kind: 'miscellaneous', text: 'a friendly module', registers: '' }]);
      expect(found.directory).toBe('misc');
      expect(found.init && found.fini && found.info).toBe(true);
      expect(found.exports.map((one) => one.name)).toEqual(['greetings']);
    },
  );

  it('reads dependencies of either kind, in either byte order', () => {
    for (const name of ['misc/amd64/teller', 'misc/teller', 'misc/sparcv9/teller'])
      expect(describeSolaris(open(name)).dependencies).toMatchObject({
        names: ['misc/tally'],
        deprecated: false,
      });
    expect(describeSolaris(open('misc/amd64/oldteller')).dependencies).toMatchObject({
      names: ['misc/tally'],
      deprecated: true,
    });
  });

  it('names what a module registers', () => {
    expect(describeSolaris(open('fs/amd64/tinyfs')).linkages[0]).toMatchObject({
      kind: 'file system',
      registers: 'tinyfs',
    });
    expect(describeSolaris(open('strmod/upper')).linkages[0]).toMatchObject({
      kind: 'STREAMS module',
      registers: 'upper',
    });
    expect(describeSolaris(open('sys/amd64/pair')).linkages.map((one) => one.kind)).toEqual([
      'system call',
      'miscellaneous',
    ]);
    expect(describeSolaris(open('misc/amd64/nofini')).fini).toBe(false);
  });

  it('is sure of what it recognises', () => {
    expect(recogniseSolaris(open('drv/sparcv9/echo'))).toBe(1);
    expect(recogniseSolaris(open('misc/amd64/badinit'))).toBeGreaterThan(0.8);
  });
});

// github.com/omniosorg/illumos-omnios, pull request 320: three messages of a real system with their numbers.
it('numbers messages as the system does', () => {
  expect(messageId('%s: undefined symbol')).toBe(819705);
  expect(messageId(" '%s'\n")).toBe(826211);
  expect(messageId("WARNING: mod_load: cannot load module '%s'")).toBe(472681);
});
