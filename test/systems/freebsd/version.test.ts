import { describe, expect, it } from 'vitest';
import { findInterface } from '../../../src/systems/freebsd/kld.ts';
import { lastOfMajor, parseVersion, releaseOf } from '../../../src/systems/freebsd/version.ts';

describe('the version of a kernel', () => {
  it('is read from a release name or a number', () => {
    expect(parseVersion('12.1')).toBe(1201000);
    expect(parseVersion('13.2-RELEASE')).toBe(1302001);
    expect(parseVersion('6.0')).toBe(600034);
    expect(parseVersion('1400097')).toBe(1400097);
    expect(parseVersion('twelve')).toBeUndefined();
  });

  it('ends with its major version', () => {
    expect(lastOfMajor(600034)).toBe(699999);
    expect(releaseOf(1001000)).toBe('10.1');
  });
});

describe('interfaces', () => {
  const interfaces = [2, 5, 3].map((version) => ({ name: 'a', version, container: version }));

  it.each([
    [undefined, 2],
    [{ minimum: 1, preferred: 3, maximum: 9 }, 3],
    [{ minimum: 1, preferred: 4, maximum: 9 }, 5],
    [{ minimum: 1, preferred: 4, maximum: 4 }, 3],
    [{ minimum: 6, preferred: 6, maximum: 9 }, undefined],
  ])('are found by the preferred version, else the highest allowed: %j', (range, wanted) => {
    expect(findInterface(interfaces, 'a', range)?.version).toBe(wanted);
  });
});
