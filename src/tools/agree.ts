/** The life of one module file of any further system, once for each way to execute machine code: they must not be told apart. */
import { ENGINES, type Engine } from '../cpu/engines.ts';
import { fingerprint } from '../kernel/fingerprint.ts';
import { standingNow } from '../kernel/standing.ts';
import type { NativeSystem, SystemFiles, SystemSession, ToolResult } from './system.ts';

/** A way to execute machine code: an engine, or single instructions, each looked at before it runs. */
export type Way = Engine | 'steps';

/** What can be seen of a module's life. */
export interface Life {
  readonly load: unknown;
  /** What was done with it meanwhile, each with its outcome. */
  readonly uses: readonly unknown[];
  readonly unload: unknown;
  readonly standing: readonly string[];
  readonly log: readonly string[];
  readonly retired: number;
  readonly state: string;
  /** The base kernel itself gave up. */
  readonly internal: string | undefined;
}

export interface LifeOptions {
  readonly system: NativeSystem;
  /** A file, or the folder of a bundle. */
  readonly path: string;
  /** Files for one session: what is found beside the module belongs to it. */
  readonly files: () => SystemFiles;
  readonly seed?: number;
  readonly settings?: ReadonlyMap<string, string>;
  /** Command lines for the session between load and unload; those that take no words are run without being asked for. */
  readonly uses: readonly string[];
}

/** Above this many instructions single steps would take minutes. */
const MOST_STEPPED = 2_000_000;

/** What two lives differ in. */
export function lifeDifferences(a: Life, b: Life): string[] {
  const text = (value: unknown): string => JSON.stringify(value) ?? '';
  return (Object.keys(a) as (keyof Life)[]).filter((key) => text(a[key]) !== text(b[key]));
}

export interface Agreement {
  readonly life: Life;
  readonly ways: readonly Way[];
  readonly differing: readonly { readonly way: Way; readonly what: readonly string[] }[];
}

/** The same file by every engine, and by single steps where that does not take too long. */
export async function agreement(options: LifeOptions): Promise<Agreement> {
  const [first, ...others] = ENGINES;
  const life = await lifeOf(options, first);
  const ways: Way[] = life.retired > MOST_STEPPED ? others : [...others, 'steps'];
  const differing: { way: Way; what: string[] }[] = [];
  for (const way of ways) {
    const what = lifeDifferences(life, await lifeOf(options, way));
    if (what.length > 0) differing.push({ way, what });
  }
  return { life, ways: [first, ...ways], differing };
}

/** What an outcome says, without what it only calls by the way. */
const outcome = ({ code, out, err, note, ...more }: ToolResult): unknown => ({
  code,
  out,
  err,
  note,
  ...more,
});

/** Loads the file, uses it, unloads it. */
export async function lifeOf(options: LifeOptions, way: Way): Promise<Life> {
  const { system, path, seed = 1, settings } = options;
  const files = options.files();
  files.beside?.(path);
  const bytes = files.read(path);
  const engine = way === 'steps' ? 'interpreter' : way;
  let session: SystemSession;
  try {
    session = await system.start({ files, named: [{ path, bytes }], seed, engine, settings });
  } catch (error) {
    return { ...NOTHING, internal: String(error) };
  }
  const { kernel } = session;
  if (way === 'steps') kernel.cpu.trace = () => {};
  const seen = { load: undefined as unknown, uses: [] as unknown[], unload: undefined as unknown };
  let internal: string | undefined;
  try {
    await live(session, options, seen);
  } catch (error) {
    internal = error instanceof Error ? (error.stack ?? error.message) : String(error);
  }
  return {
    ...seen,
    standing: [...standingNow(session.standing?.() ?? [])].map(([key, { name }]) => `${key} ${name}`),
    log: kernel.log.records.map((record) => session.logLine(record)),
    retired: kernel.cpu.retired,
    state: fingerprint(kernel),
    internal,
  };
}

const NOTHING: Life = {
  load: undefined,
  uses: [],
  unload: undefined,
  standing: [],
  log: [],
  retired: 0,
  state: '',
  internal: undefined,
};

async function live(
  session: SystemSession,
  { path, uses }: LifeOptions,
  seen: { load: unknown; uses: unknown[]; unload: unknown },
): Promise<void> {
  const load = await session.load(path, []);
  seen.load = outcome(load);
  if (load.module === undefined) return;
  const plain = session.line === undefined ? session.commands.filter(({ usage }) => usage === '') : [];
  for (const { name } of plain) seen.uses.push([name, outcome(await session.run([name]))]);
  for (const line of uses) {
    const words = line.split(/\s+/).filter((word) => word !== '');
    const ran = session.line === undefined ? session.run(words) : session.line(line);
    seen.uses.push([line, outcome(await ran)]);
  }
  seen.unload = outcome(await session.unload(load.module));
}
