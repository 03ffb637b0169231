import { ServerConnection } from '@jupyterlab/services';
import { useEffect, useRef, useState } from 'react';

import { fetchStream } from './requests';
import { INewest, IStream } from './streams';

const PAUSE_MS = 1000;

/** What was published last, as last read: undefined before the first answer, null when nothing is kept. */
export interface INewestState {
  newest?: INewest | null;
  /** Why it cannot be read; empty when it can. */
  problem: string;
}

/**
 * Follow the newest message of a stream: read it when the number of messages changed, at most once a second.
 * That number stands still while nobody watches, and so does this.
 */
export function useNewest(
  settings: ServerConnection.ISettings,
  stream: IStream
): INewestState {
  const { created, messages, name } = stream;
  const [state, setState] = useState<INewestState>({ problem: '' });
  const askedMs = useRef(0);
  const mounted = useRef(false);
  useEffect(() => {
    mounted.current = true;
    return () => {
      mounted.current = false;
    };
  }, []);
  useEffect(() => {
    const look = async () => {
      askedMs.current = Date.now();
      const found = await read(settings, name);
      if (mounted.current) {
        setState(found);
      }
    };
    const wait = Math.max(0, askedMs.current + PAUSE_MS - Date.now());
    const timer = window.setTimeout(() => void look(), wait);
    return () => window.clearTimeout(timer);
  }, [settings, name, created, messages]);
  return state;
}

async function read(
  settings: ServerConnection.ISettings,
  name: string
): Promise<INewestState> {
  try {
    return { newest: (await fetchStream(settings, name)).newest, problem: '' };
  } catch (reason) {
    const problem = reason instanceof Error ? reason.message : String(reason);
    return { problem };
  }
}
