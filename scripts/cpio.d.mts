export class Archive {
  directory(path: string): void;
  file(path: string, data: Uint8Array | string, mode?: number): void;
  link(path: string, target: string): void;
  finish(): Buffer;
}
