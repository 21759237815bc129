import { describe, expect, it } from 'vitest';
import { nearest } from '../../src/cli/nearest.ts';

const names = ['inspect', 'run', 'linux', 'memory', 'kernel', 'tour'];

describe('nearest', () => {
  it('finds slips of the finger', () => {
    expect(nearest('rnu', names)).toBe('run');
    expect(nearest('insepct', names)).toBe('inspect');
    expect(nearest('kernle', names)).toBe('kernel');
    expect(nearest('LINUX', names)).toBe('linux');
    expect(nearest('tuor', names)).toBe('tour');
  });

  it('does not guess wildly', () => {
    expect(nearest('modprobe', names)).toBeUndefined();
    expect(nearest('xyz', names)).toBeUndefined();
    expect(nearest('x'.repeat(100_000), names)).toBeUndefined();
    expect(nearest('run', [])).toBeUndefined();
  });
});
