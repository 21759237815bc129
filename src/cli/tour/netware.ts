/** Steps of the tour on NetWare: a server that is made of modules, and modules that can refuse to go. */
import type { SystemStep } from './record.ts';

const server: SystemStep = {
  name: 'netware',
  title: 'A NetWare server is built of modules',
  statement:
    'NetWare loads NLMs, files of its own format, with LOAD. A module that names others brings them along; their ' +
    'public symbols stand in one table for all. A module can add commands to the console.',
  by: 'LOAD, MODULES',
  system: 'netware',
  async play(stage) {
    await stage.run(['LOAD CLIENT']);
    stage.fact('the library came along', await stage.logged('Auto-loading module LIBRARY.NLM'));
    await stage.run(['TWICE 21']);
    stage.fact('the new command calls the library', await stage.logged('21 twice is 42'));
    const { out } = await stage.run(['MODULES']);
    stage.fact('both are listed', /^LIBRARY\.NLM$/m.test(out) && /^CLIENT\.NLM$/m.test(out));
    const refused = await stage.run(['UNLOAD LIBRARY']);
    stage.fact('the library stays as long as it is used', refused.code !== 0);
    await stage.run(['UNLOAD CLIENT']);
    stage.fact('unused, it goes with its client', await stage.logged('Module LIBRARY.NLM unloaded'));
  },
};

const refusals: SystemStep = {
  name: 'netware-refusals',
  title: 'NLMs refuse, fail, and leave things behind',
  statement:
    'A missing public symbol ends a load, and so does a start procedure that says no. A check procedure may veto an ' +
    'unload. Everything is taken under a resource tag, so that the server can tell what was not released.',
  by: 'LOAD, UNLOAD',
  system: 'netware',
  async play(stage) {
    await stage.run(['LOAD MISSING']);
    stage.fact('the missing symbol is named', await stage.logged('cannot find public symbol: NobodyHasThis'));
    await stage.run(['LOAD FAILS']);
    stage.fact(
      'a start procedure that fails undoes the load',
      await stage.logged('Module FAILS.NLM NOT loaded'),
    );
    await stage.run(['LOAD VETO']);
    const vetoed = await stage.run(['UNLOAD VETO']);
    stage.fact('the check procedure vetoed the unload', vetoed.code !== 0);
    await stage.run(['LOAD LEAKS']);
    await stage.run(['UNLOAD LEAKS']);
    stage.fact('two blocks were not released', await stage.logged('did not release 2 resources'));
  },
};

const drivers: SystemStep = {
  name: 'netware-boot',
  title: 'NCF files load the drivers of a server',
  statement:
    'A server starts with scripts of console commands: STARTUP.NCF for the drivers of its disks and boards, then ' +
    'AUTOEXEC.NCF. The type of a module is in its header and in its extension: .LAN, .DSK, .NAM or .NLM.',
  by: 'SERVER',
  system: 'netware',
  async play(stage) {
    await stage.run(['SERVER']);
    stage.fact(
      'the driver got its parameters and its own data',
      await stage.logged('port 300, interrupt 5, firmware'),
    );
    stage.fact('AUTOEXEC.NCF used what it had loaded', await stage.logged('4 twice is 8'));
    await stage.run(['INTERRUPT 5']);
    stage.fact('the handler of the board ran', await stage.logged('Board: interrupt 1'));
  },
};

export const netware: readonly SystemStep[] = [server, refusals, drivers];
