/** The kexts of the repositories, as user space knows them (IOKitUser's OSKext): by identifier and version. */
import { FormatError } from '../../bytes/errors.ts';
import { bundlePaths, KextBundle } from './bundle.ts';
import type { Architecture, KextInfo } from './info.ts';
import type { KextRequest } from './load.ts';
import { authenticate } from './rules/authenticate.ts';
import type { Diagnostics } from './rules/diagnostics.ts';
import { validate } from './rules/validate.ts';
import { baseName, type FileTree, normalPath } from './tree.ts';
import { isCompatible } from './version.ts';

export const REPOSITORIES = ['/System/Library/Extensions', '/Library/Extensions'] as const;

/** A kext on disk. */
export class Kext {
  readonly bundle: KextBundle;
  readonly info: KextInfo;
  readonly architecture: Architecture;
  private checked: { validation: Diagnostics; authentication: Diagnostics } | undefined;

  constructor(bundle: KextBundle, architecture: Architecture) {
    this.bundle = bundle;
    this.architecture = architecture;
    this.info = bundle.info(architecture);
  }

  get path(): string {
    return this.bundle.path;
  }

  get identifier(): string {
    return this.info.identifier ?? '';
  }

  /** Parts of the system itself, to which Apple's own rules apply. */
  get isApple(): boolean {
    return this.identifier.startsWith('com.apple.');
  }

  get inSystem(): boolean {
    return this.path.startsWith('/System/');
  }

  get validation(): Diagnostics {
    return this.results.validation;
  }

  get authentication(): Diagnostics {
    return this.results.authentication;
  }

  private get results(): { validation: Diagnostics; authentication: Diagnostics } {
    this.checked ??= {
      validation: validate(this.bundle, this.architecture),
      authentication: authenticate(this.bundle),
    };
    return this.checked;
  }

  /** The code for this machine; undefined for a codeless kext. */
  get executable(): Uint8Array | undefined {
    return this.info.executable === undefined ? undefined : this.bundle.slice(this.architecture)?.bytes;
  }

  /** What the kernel is handed. */
  get request(): KextRequest {
    return { path: this.path, info: this.info, executable: this.executable };
  }
}

/** Reads the kexts of folders anew each time: files change while the machine runs. */
export class KextLibrary {
  private readonly tree: FileTree;
  private readonly architecture: Architecture;

  constructor(tree: FileTree, architecture: Architecture) {
    this.tree = tree;
    this.architecture = architecture;
  }

  /** The kext at a path. @throws FormatError when it is none */
  open(path: string): Kext {
    return new Kext(new KextBundle(this.tree, path), this.architecture);
  }

  /** Kexts directly in these folders, and their plug-ins; a path that is a kext itself counts too. */
  scan(folders: readonly string[] = REPOSITORIES): Kext[] {
    const found: Kext[] = [];
    const seen = new Set<string>();
    for (const folder of folders) {
      const paths = baseName(folder).endsWith('.kext')
        ? ownPaths(this.tree, folder)
        : bundlePaths(this.tree, folder);
      for (const path of paths) {
        if (seen.has(normalPath(path))) continue;
        seen.add(normalPath(path));
        try {
          found.push(this.open(path));
        } catch (error) {
          if (!(error instanceof FormatError)) throw error;
        }
      }
    }
    return found;
  }

  /** The newest kext of that name whose versions fit, among some. */
  static find(kexts: readonly Kext[], identifier: string, version?: bigint): Kext | undefined {
    const named = kexts.filter(
      (kext) => kext.identifier === identifier && !kext.validation.has('validation'),
    );
    const fitting =
      version === undefined ? named : named.filter(({ info }) => isCompatible(versions(info), version));
    return fitting.sort((a, b) => (a.info.version < b.info.version ? 1 : -1))[0];
  }
}

const versions = (info: KextInfo): { version: bigint; compatible: bigint } => ({
  version: info.version,
  compatible: info.compatibleVersion,
});

function ownPaths(tree: FileTree, path: string): string[] {
  try {
    return [path, ...new KextBundle(tree, path).plugIns];
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    return [path];
  }
}
