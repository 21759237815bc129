export class MirrorIndex {
  constructor(sources: readonly (readonly [string, string, string])[], architecture: string, folder: string);
  find(name: string): Map<string, string>[];
  download(name: string, folder: string): string;
}
