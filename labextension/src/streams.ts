/**
 * What the server half sends of streams. Names of notebooks and what was published may hold anything: they
 * are only ever shown as text.
 */

/** A process that publishes to a stream, or reads it. */
export interface IProcess {
  /** The notebook's file name, or the program; empty when nobody uses a named consumer now. */
  who: string;
  pid: number;
  kernel_id: string | null;
  /** Path of the notebook; null for anything that is no notebook. */
  path: string | null;
}

/** A publisher; it has a lane of its own. */
export interface IPublisher extends IProcess {
  lane: number;
  messages: number;
}

/** A consumer, with its own position. */
export interface IConsumer extends IProcess {
  /** Null for one that keeps no position. */
  name: string | null;
  /** Messages that it has not read. */
  lag: number;
  /** Messages that were gone before it could read them. */
  lost: number;
}

/** One stream. */
export interface IStream {
  name: string;
  form: 'tape' | 'log';
  /** Ever published. */
  messages: number;
  /** Still there. */
  kept: number;
  /** What each publisher may have in memory. */
  retention_bytes: number;
  overflow: string;
  exclusive: boolean;
  /** Counts its schemas, the first being 0. */
  epoch: number;
  /** What the disk has of it; null of a stream that does not outlive the machine. */
  disk: { messages: number; missed: number } | null;
  /** Messages per second; null until the server has looked twice. */
  rate: number | null;
  /** ISO 8601 in UTC. */
  created: string;
  publishers: IPublisher[];
  consumers: IConsumer[];
  /** Of the consumer that is furthest behind. */
  lag: number;
  /** Of all consumers together. */
  lost: number;
  /** Text of a cell that reads it. */
  subscribe: string;
}

/** What was published last. */
export interface INewest {
  sequence: number;
  lane: number;
  /** ISO 8601 in UTC. */
  at: string;
  columns: { name: string; type: string }[];
  /** Columns that are not shown. */
  hidden_columns: number;
  rows: (string | number | boolean | null)[][];
  /** A message without columns. */
  text: string | null;
}

/** Return the new streams, each as the object that it was when nothing of it changed, so that it is not drawn again. */
export function keepUnchanged(
  old: IStream[] | null,
  fresh: IStream[]
): IStream[] {
  const known = new Map((old ?? []).map(stream => [stream.name, stream]));
  return fresh.map(stream => {
    const there = known.get(stream.name);
    return there && JSON.stringify(there) === JSON.stringify(stream)
      ? there
      : stream;
  });
}
