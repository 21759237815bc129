import { describe, expect, it } from 'vitest';
import { makeStyle, wantsColor } from '../../src/cli/style.ts';

const terminal = () => true;
const pipe = () => false;

describe('colours', () => {
  it('follow the option, then NO_COLOR, then FORCE_COLOR, then the terminal', () => {
    expect(wantsColor('always', { NO_COLOR: '1' }, pipe)).toBe(true);
    expect(wantsColor('never', { FORCE_COLOR: '1' }, terminal)).toBe(false);
    expect(wantsColor('auto', { NO_COLOR: '1', FORCE_COLOR: '1' }, terminal)).toBe(false);
    expect(wantsColor('auto', { NO_COLOR: '' }, terminal)).toBe(true);
    expect(wantsColor('auto', { FORCE_COLOR: '1' }, pipe)).toBe(true);
    expect(wantsColor('auto', { FORCE_COLOR: '0' }, terminal)).toBe(false);
    expect(wantsColor('auto', { TERM: 'dumb' }, terminal)).toBe(false);
    expect(wantsColor('auto', {}, pipe)).toBe(false);
  });

  it('do nothing when off', () => {
    expect(makeStyle(false).red('x')).toBe('x');
    expect(makeStyle(true).bold('x')).toBe('\x1b[1mx\x1b[22m');
  });
});
