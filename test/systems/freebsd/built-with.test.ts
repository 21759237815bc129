/** What a module's `.comment` says of the release it was built on. */
import { describe, expect, it } from 'vitest';
import { readElfObject } from '../../../src/formats/elf/object.ts';
import type { ObjectFile } from '../../../src/formats/object.ts';
import { builtWith } from '../../../src/systems/freebsd/built-with.ts';
import { fixture } from './fixtures.ts';

/** The fixture with another text in its compiler's section. */
function withComment(text: string): ObjectFile {
  const file = readElfObject(fixture('hello.ko'));
  const [first, second, ...rest] = file.sections;
  const data = new TextEncoder().encode(`\0${text}\0`);
  return {
    ...file,
    relocations: () => [],
    sections: [first, { ...second, name: '.comment', data }, ...rest],
  };
}

describe('builtWith', () => {
  it.each([
    ['GCC: (GNU) 4.2.2 20070831 prerelease [FreeBSD]', 803000],
    ['GCC: (GNU) 4.2.1 20070831 patched [FreeBSD]', 900044],
    ['FreeBSD clang version 3.4.1 (tags/RELEASE_34/dot1-final 208032) 20140512', 1001000],
    ['FreeBSD clang version 6.0.0 (tags/RELEASE_600/final 326565)', 1102000],
    ['FreeBSD clang version 18.1.6 (https://github.com/llvm/llvm-project.git llvmorg-18.1.6)', 1402000],
    // A source's tag says more than the compiler.
    ['FreeBSD clang version 3.4.1\0$FreeBSD: releng/10.2/sys/dev/x.c 1 2015-01-01 00:00:00Z x $', 1002000],
    ['$FreeBSD: release/9.2.0/sys/dev/x.c 1 2013-01-01 00:00:00Z x $', 902001],
  ])('%s', (text, version) => {
    expect(builtWith(withComment(text))?.version).toBe(version);
  });

  it('says nothing of what it does not know', () => {
    expect(builtWith(withComment('clang version 99.0.0'))).toBeUndefined();
    expect(builtWith(readElfObject(fixture('hello.ko')))).toBeUndefined();
  });
});
