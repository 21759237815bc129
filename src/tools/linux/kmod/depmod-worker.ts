/** The second thread of depmod, a program of its own. */
import { type MessagePort, workerData } from 'node:worker_threads';
import { type Board, help } from './depmod-scan.ts';

const { board, port } = workerData as { board: Board; port: MessagePort };
help(board, port);
port.close();
