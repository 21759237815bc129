/** Arguments as a check judges them, by the file alone, and as a load of the same module does. */
import { describe, expect, it } from 'vitest';
import { checkModule } from '../../../../src/systems/linux/check/check.ts';
import { readParameterTable } from '../../../../src/systems/linux/check/parameters.ts';
import { Subject } from '../../../../src/systems/linux/check/subject.ts';
import { insmod } from '../../../../src/systems/linux/loader.ts';
import { boot, fixture } from '../kernel.ts';

const nobody = { find: () => undefined, absent: () => undefined, complete: true };

function check(args: string) {
  const state = {
    commandLine: '',
    taints: 0,
    privileged: true,
    modulesDisabled: false,
    flags: {},
    args,
    certificates: [],
    loaded: new Set<string>(),
  };
  const view = { kernel: boot().file, others: nobody, state };
  return checkModule(view, new Subject('params.ko', fixture('params')));
}

describe('arguments', () => {
  it.each([
    'a_byte=255',
    'a_byte=256',
    'a_byte=-1',
    'a_long=0x10 a_ulong=010',
    'a_long=five',
    'a_long',
    'a_bool',
    'a_bool=maybe',
    'a_bool=true an_invbool=f',
    'an_invbool',
    'a_bint',
    'a_string=1234567',
    'a_string=12345678',
    'a_charp="two words" a_byte=300',
    `a_charp=${'x'.repeat(1025)}`,
    'ints=1,2,3,4',
    'ints=1,2,3,4,5',
    'ints=1,,2',
    'words=a,b',
    'nothing=1 a_byte=9',
    'A_BYTE=9',
    'a-byte=999',
    'hidden=x -- a_byte=999',
    '-- a_byte=999',
    'a_byte=x a_byte=1000',
    'async_probe dyndbg=+p',
  ])('%s', (args) => {
    const k = boot();
    const live = insmod(k, fixture('params'), args);
    const { rules } = check(args);
    const refused = rules.find(({ outcome }) => outcome === 'refuse');
    const refusal = live.outcome === 'refused' ? live.refusal : undefined;
    expect(refused?.errno).toBe(refusal?.errno);
    expect(refused?.why).toBe(refusal?.why);
    const said = rules.find(({ rule }) => rule === 'parameters')?.said.map(({ text }) => text) ?? [];
    const log = k.log.records.map(({ text }) => text);
    if (refusal !== undefined) expect(log.slice(-said.length)).toEqual(said);
  });

  it('that a function of the module takes are not judged', () => {
    const { answer, missing } = check('even=3');
    expect(answer).toBe('cannot-tell');
    expect(missing.map(({ what }) => what)).toEqual(["what the module's own function says to even=3"]);
  });

  it('are those of the table in the file', () => {
    const { file } = check('');
    const table = file === undefined ? [] : readParameterTable(file);
    expect(table.map(({ name }) => name)).toContain('a_byte');
    expect(table.find(({ name }) => name === 'hidden')?.mode).toBe(0);
    expect(table.find(({ name }) => name === 'a_byte')?.operations).toEqual({ symbol: 'param_ops_byte' });
  });
});
