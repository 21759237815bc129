/**
 * A package of a Debian mirror found and fetched without apt, for the hours in which a mirror serves an index that is older
 * than the signed Release file that names it: apt then refuses the whole suite. The package itself is compared with the
 * SHA-256 that its index names; that nobody vouches for that index is said. What comes is read, and run in a sandbox alone.
 */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, rmSync } from 'node:fs';
import { basename, join } from 'node:path';

/** Fields of one entry by name; continued lines belong to the field before. */
function fields(entry) {
  return new Map(
    entry
      .split(/\n(?! )/)
      .map((line) => /^([\w-]+): ([\s\S]*)$/.exec(line))
      .filter((match) => match !== null)
      .map(([, name, value]) => [name, value]),
  );
}

export class MirrorIndex {
  /** @param sources base address, suite and component of each: `['http://deb.debian.org/debian', 'trixie', 'main']` */
  constructor(sources, architecture, folder) {
    this.sources = sources;
    this.architecture = architecture;
    this.folder = folder;
  }

  /** Entries of a package in all sources, newest first; `base` is added, where its file is below. */
  find(name) {
    const found = [];
    for (const { base, text } of this.texts()) {
      const start = text.indexOf(`\n\nPackage: ${name}\n`);
      if (start < 0) continue;
      const end = text.indexOf('\n\n', start + 2);
      found.push(fields(text.slice(start + 2, end < 0 ? undefined : end)).set('base', base));
    }
    return found.sort((a, b) => (this.newer(a.get('Version'), b.get('Version')) ? -1 : 1));
  }

  /**
   * Downloads the newest version of a package into `folder`.
   * @throws when no source has it, or when its bytes are not those that its index names
   */
  download(name, folder) {
    const [entry] = this.find(name);
    if (entry === undefined) throw new Error(`no source of the mirror has ${name}`);
    const target = join(folder, basename(entry.get('Filename')));
    this.get(`${entry.get('base')}/${entry.get('Filename')}`, target);
    const sum = createHash('sha256').update(readFileSync(target)).digest('hex');
    if (sum === entry.get('SHA256')) return target;
    rmSync(target);
    throw new Error(`${basename(target)}: SHA-256 ${sum}, its index has ${entry.get('SHA256')}`);
  }

  texts() {
    this.read ??= this.sources.flatMap(([base, suite, component]) => {
      const path = `dists/${suite}/${component}/binary-${this.architecture}/Packages.xz`;
      const file = join(this.folder, `${suite}-${component}-${this.architecture}.xz`.replaceAll('/', '_'));
      try {
        this.get(`${base}/${path}`, file);
        const text = execFileSync('xz', ['-dc', file], { encoding: 'utf8', maxBuffer: 1 << 30 });
        return [{ base, text: `\n\n${text}` }];
      } catch (error) {
        console.error(`fetch-debian: ${base}/${path}: ${error.message.split('\n')[0]}`);
        return [];
      }
    });
    return this.read;
  }

  newer(a, b) {
    try {
      execFileSync('dpkg', ['--compare-versions', a, 'gt', b]);
      return true;
    } catch {
      return false;
    }
  }

  /** By apt's own transport, which knows the machine's proxies. */
  get(address, target) {
    rmSync(target, { force: true });
    const options = ['-q', '-o', 'APT::Sandbox::User='];
    execFileSync('/usr/lib/apt/apt-helper', [...options, 'download-file', address, target], {
      stdio: ['ignore', 2, 2],
    });
    if (!existsSync(target)) throw new Error(`${address} was not fetched`);
  }
}
