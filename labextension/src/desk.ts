/**
 * What the server half sends: the desk, with every dataset, its holders and the state of the store.
 *
 * The text that loads a dataset (`load`) is written by the server, which quotes names for Python. It is
 * inserted as it is and never put together here.
 */

import { IStream } from './streams';

/** A process that holds a view of a dataset. */
export interface IHolder {
  /** Short name: the notebook's file name, or the program of a script. */
  who: string;
  pid: number;
  kernel_id: string | null;
  /** Path of the notebook; null for anything that is no notebook. */
  path: string | null;
  version: number;
}

/** The newest version of one shared dataset. */
export interface IDataset {
  name: string;
  version: number;
  rows: number;
  /** Of memory; 0 when it is on the disk alone. */
  bytes: number;
  /** Its copy on the disk; null without one. */
  disk: { bytes: number; durable: boolean; version: number } | null;
  /** It stays in memory, whatever needs room. */
  pinned: boolean;
  /** ISO 8601 in UTC. */
  created: string;
  holders: IHolder[];
  /** Text of the cell that loads it. */
  load: string;
}

/** The store and the process that coordinates it. */
export interface IStatus {
  store: string;
  host: { pid: number; role: string; program: string };
  /** Bytes. */
  pool: { limit: number; used: number; free: number; spare: number };
  /** The newest one that anybody met; `at` is ISO 8601, UTC. */
  problem: { text: string; who: string; at: string } | null;
}

/** All that the panel shows. */
export interface IDesk {
  status: IStatus;
  datasets: IDataset[];
}

/** The coordinator cannot be reached; `message` says why and what to do. */
export interface IProblem {
  kind: 'problem';
  message: string;
}

/** All streams, by name. */
export interface IStreams {
  kind: 'streams';
  streams: IStream[];
}

/** A message of the feed. */
export type FeedMessage = ({ kind: 'desk' } & IDesk) | IStreams | IProblem;

/** Read a message of the feed; null for one of a kind that this version does not know. */
export function readMessage(text: string): FeedMessage | null {
  const message = JSON.parse(text) as Partial<FeedMessage>;
  switch (message.kind) {
    case 'desk':
    case 'streams':
    case 'problem':
      return message as FeedMessage;
    default:
      return null;
  }
}
