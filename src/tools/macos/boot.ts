/**
 * `lkm boot macos`: the kext folders are looked through, System Integrity Protection may stop the start (10.11 and later), and
 * kextd hands the personalities of what is installed to the kernel, which asks for those kexts whose devices are there.
 */
import type { Kext } from '../../systems/macos/library.ts';
import { REPOSITORIES } from '../../systems/macos/library.ts';
import { findingText } from '../../systems/macos/rules/diagnostics.ts';
import { judge } from '../../systems/macos/rules/policy.ts';
import type { Boot, BootOptions } from '../boot.ts';
import { Story } from '../boot-story.ts';
import { Answer } from './answer.ts';
import { Importer } from './import.ts';
import { policyView } from './loading.ts';
import { MacosSession } from './session.ts';

export async function boot(options: BootOptions): Promise<Boot> {
  const story = new MacosStory(options);
  return { session: await story.tell(), steps: story.steps };
}

class MacosStory extends Story {
  private readonly session: MacosSession;

  constructor(options: BootOptions) {
    super();
    const settings = new Map(options.settings);
    // A machine as it is delivered protects its kexts; the sessions of the command line allow development.
    if (!settings.has('sip')) settings.set('sip', 'on');
    if (options.commandLine !== undefined) settings.set('boot-args', options.commandLine);
    this.session = new MacosSession({ ...options, settings });
    if (options.root !== undefined) {
      const importer = new Importer(options.root, this.session.tree, this.session.choices.owner);
      for (const folder of REPOSITORIES) importer.take(folder, folder);
    }
  }

  async tell(): Promise<MacosSession | undefined> {
    const { session } = this;
    const installed = session.kexts();
    this.add('boot.efi', session.release, 'note', { why: `boot-args="${session.bootArgs}"` });
    for (const folder of REPOSITORIES) {
      const count = installed.filter(({ path }) => path.startsWith(`${folder}/`)).length;
      this.add('kext folders', folder, count === 0 ? 'absent' : 'note', { why: `${count} kexts` });
    }
    const verdict = await session.restart();
    if (!verdict.starts) {
      for (const { path, why } of verdict.offenders)
        this.add('kext folders', path, 'stopped', { rule: 'macos.signature', why });
      return undefined;
    }
    const answer = new Answer();
    await session.autoload(answer);
    for (const kext of installed) this.kext(kext);
    const { note } = answer.result();
    if (note !== undefined) this.add('kextd', 'loads', 'note', { why: note });
    return session;
  }

  /** What became of one installed kext. */
  private kext(kext: Kext): void {
    const { session } = this;
    const loaded = session.loaded(kext.identifier);
    const because = `${kext.path}/Contents/Info.plist: ${kext.info.personalities.size} personalities`;
    if (loaded !== undefined) {
      this.add('kextd', kext.identifier, 'loaded', { because });
      return;
    }
    const [broken] = [...kext.validation.of('validation'), ...kext.authentication.of('authentication')];
    const refused = judge(kext, policyView(session)).find(({ result }) => result === 'refuse');
    if (broken !== undefined) {
      const why = findingText(broken);
      this.add('kextd', kext.identifier || kext.path, 'refused', { rule: broken.rule, why });
    } else if (refused !== undefined) {
      const said = refused.text === '' ? [] : [refused.text];
      this.add('kextd', kext.identifier, 'refused', { rule: refused.rule, why: refused.note, said });
    } else {
      const why =
        kext.info.personalities.size === 0
          ? 'it has no personalities: it loads when somebody asks for it'
          : 'none of its personalities matches a device that is there';
      this.add('kextd', kext.identifier, 'skipped', { because, why });
    }
  }
}
