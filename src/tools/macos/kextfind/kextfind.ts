/** kextfind(8): kexts by what they are, with the language of find(1). */
import { REPOSITORIES } from '../../../systems/macos/library.ts';
import { Answer, type Tool } from '../answer.ts';
import type { MacosSession } from '../session.ts';
import { EX_USAGE } from '../sysexits.ts';
import { FoundKexts, type PathStyle } from './facts.ts';
import { COMMAND_PREDICATES, machines, PREDICATES, QueryError, type Test, type Words } from './predicates.ts';
import { readColumns } from './report.ts';

const USAGE =
  'usage: kextfind [options] [directory or extension ...] [query]\n    [-report [-no-header] report_predicate...]\n';

export const kextfind: Tool = {
  name: 'kextfind',
  usage: '[OPTION]... [FOLDER|KEXT]... [QUERY] [-report [-no-header] COLUMN...]',
  summary: 'find kernel extensions by identifier, property, symbol, state ...',
  run: async (session, args) => {
    const answer = new Answer();
    try {
      await new Find(session, args, answer).run();
    } catch (error) {
      if (!(error instanceof QueryError)) throw error;
      answer.complain(error.message);
      answer.complain(USAGE);
      answer.code = EX_USAGE;
    }
    return answer.result();
  },
};

class Find {
  private readonly session: MacosSession;
  private readonly words: readonly string[];
  private readonly answer: Answer;
  private at = 0;
  private insensitive = false;
  private substring = false;
  private nul = false;
  private paths: PathStyle = 'full';
  private readonly searched: string[] = [];
  private commands = false;

  constructor(session: MacosSession, words: readonly string[], answer: Answer) {
    this.session = session;
    this.words = words;
    this.answer = answer;
  }

  async run(): Promise<void> {
    if (this.words.some((word) => word === '-h' || word === '-help' || word === '--help')) {
      this.answer.out = USAGE;
      return;
    }
    this.options();
    const report = this.words.indexOf('-report', this.at);
    const folders = this.searched.length === 0 ? REPOSITORIES : this.searched;
    const found = new FoundKexts(this.session, folders, this.paths);
    const query = this.query(report < 0 ? this.words.length : report, found);
    if (report >= 0) await this.report(query, report + 1, found);
    else for (const kext of found.all) if (await query(kext)) this.printed(found.path(kext));
  }

  private printed(path: string): void {
    if (!this.commands) this.answer.out += path + (this.nul ? '\0' : '\n');
  }

  /** Options, then folders and kexts; the first other word begins the query. */
  private options(): void {
    for (; this.at < this.words.length; this.at++) {
      const word = this.words[this.at];
      if (word === '--') {
        this.at++;
        break;
      }
      if (!this.option(word)) break;
    }
    while (this.at < this.words.length && this.search(this.words[this.at])) this.at++;
  }

  private option(word: string): boolean {
    const name = word.replace(/^--/, '-');
    if (name === '-i' || name === '-case-insensitive') this.insensitive = true;
    else if (name === '-s' || name === '-substring') this.substring = true;
    else if (name === '-0' || name === '-nul') this.nul = true;
    else if (name === '-no-paths') this.paths = 'none';
    else if (name === '-relative-paths') this.paths = 'relative';
    else if (name === '-e' || name === '-system-extensions') this.searched.push(...REPOSITORIES);
    else if (name === '-set-arch') machines(this.words[++this.at] ?? '');
    else if (name === '-f' || name === '-search-item') {
      const path = this.words[++this.at] ?? '';
      if (!this.search(path)) throw new QueryError(`Can't stat ${path} - No such file or directory.`);
    } else return false;
    return true;
  }

  private search(word: string): boolean {
    if (word.startsWith('-') || ['!', '(', ')'].includes(word)) return false;
    const path = this.session.locate(word);
    if (path === undefined || !this.session.tree.isFolder(path)) return false;
    this.searched.push(path);
    return true;
  }

  /** expression := term { -or term }; a query without words is true of every kext. */
  private query(end: number, found: FoundKexts): Test {
    const words: Words = {
      found,
      answer: this.answer,
      insensitive: this.insensitive,
      substring: this.substring,
      nul: this.nul,
      next: () => {
        if (this.at >= end) throw new QueryError(`Missing argument for ${this.words[this.at - 1]}.`);
        return this.words[this.at++];
      },
      take: (...names) => {
        const here = this.at < end && names.includes(this.words[this.at]);
        if (here) this.at++;
        return here;
      },
    };
    if (this.at >= end) return () => true;
    const test = this.either(words, end);
    if (this.at < end) throw new QueryError(`Unexpected '${this.words[this.at]}'.`);
    return test;
  }

  private either(words: Words, end: number): Test {
    let test = this.both(words, end);
    while (words.take('-or')) {
      const [left, right] = [test, this.both(words, end)];
      test = async (kext) => (await left(kext)) || (await right(kext));
    }
    return test;
  }

  private both(words: Words, end: number): Test {
    let test = this.one(words, end);
    while (this.at < end && !['-or', ')'].includes(this.words[this.at])) {
      words.take('-and');
      const [left, right] = [test, this.one(words, end)];
      test = async (kext) => (await left(kext)) && (await right(kext));
    }
    return test;
  }

  private one(words: Words, end: number): Test {
    const word = words.next();
    if (word === '!' || word === '-not') {
      const inner = this.one(words, end);
      return async (kext) => !(await inner(kext));
    }
    if (word === '(') {
      const inner = this.either(words, end);
      if (!words.take(')')) throw new QueryError('Missing ).');
      return inner;
    }
    const command = COMMAND_PREDICATES.get(word);
    if (command !== undefined) this.commands = true;
    const reader = command ?? PREDICATES.get(word);
    if (reader === undefined) throw new QueryError(`Unknown query element '${word}'.`);
    return reader(words);
  }

  private async report(query: Test, from: number, found: FoundKexts): Promise<void> {
    if (this.commands) throw new QueryError("Don't use command predicates with -report.");
    const rest = this.words.slice(from);
    const plain = rest[0] === '-no-header';
    const columns = readColumns(plain ? rest.slice(1) : rest, found);
    if (!plain) this.answer.print(columns.map(({ label }) => label).join('\t'));
    for (const kext of found.all)
      if (await query(kext)) this.answer.print(columns.map(({ cell }) => cell(kext)).join('\t'));
  }
}
