/** A datagram socket as a system's logger has it at /dev/log: Node has none of that kind. */
import { Buffer } from 'node:buffer';
import koffi from 'koffi';

const [AF_UNIX, SOCK_DGRAM, MSG_DONTWAIT] = [1, 2, 0x40];
const PATH_BYTES = 108;
const MOST = 8192;

export class LogSocket {
  private readonly fd: number;
  private readonly library = koffi.load(null);

  constructor(path: string) {
    this.fd = this.library.func('int socket(int, int, int)')(AF_UNIX, SOCK_DGRAM, 0);
    const address = Buffer.alloc(2 + PATH_BYTES);
    address.writeUInt16LE(AF_UNIX, 0);
    if (path.length >= PATH_BYTES) throw new RangeError(`${path} is too long for a socket`);
    address.write(path, 2, 'latin1');
    const bound: number = this.library.func('int bind(int, void *, uint)')(this.fd, address, address.length);
    if (this.fd < 0 || bound !== 0) throw new Error(`no socket at ${path}`);
  }

  /** Datagrams that have come, without the time in them. */
  take(): string[] {
    const receive = this.library.func('long recv(int, void *, ulong, int)');
    const found: string[] = [];
    const room = Buffer.alloc(MOST);
    for (
      let n = Number(receive(this.fd, room, MOST, MSG_DONTWAIT));
      n >= 0;
      n = Number(receive(this.fd, room, MOST, MSG_DONTWAIT))
    )
      found.push(room.toString('latin1', 0, n).replace(/^(<\d+>)\w{3} [ \d]\d \d\d:\d\d:\d\d /, '$1'));
    return found;
  }

  close(): void {
    this.library.func('int close(int)')(this.fd);
  }
}
