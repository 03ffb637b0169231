/**
 * Follows the desk and the streams while somebody looks at them.
 *
 * One poll drives everything. A tick opens the feed and lasts as long as the connection; the server then
 * sends the desk and the streams at once and after each change. When nothing comes through the feed, the
 * tick reads both over REST, which also tells a missing server half (404) from a lost network. Failing ticks back off.
 * Nothing runs while `watching` is false.
 */

import { ServerConnection } from '@jupyterlab/services';
import { IDisposable } from '@lumino/disposable';
import { Poll } from '@lumino/polling';
import { ISignal, Signal } from '@lumino/signaling';

import { IDesk, readMessage } from './desk';
import { feedUrl, fetchDesk, fetchStreams } from './requests';
import { IStream, keepUnchanged } from './streams';

/**
 * How the panel reaches the server: `live` through the feed, `polling` over REST because the feed is
 * blocked, `absent` when the server half is not there, `refused` without permission, else `lost`.
 */
export type Link =
  | 'connecting'
  | 'live'
  | 'polling'
  | 'absent'
  | 'refused'
  | 'lost';

const RETRY_MS = 2000;
const LONGEST_RETRY_MS = 30_000;
const SILENCE_MS = 5000; // a proxy may accept the feed and let nothing through

/** The desk and the streams as last heard of, and how they are reached. */
export class DeskModel implements IDisposable {
  constructor(readonly serverSettings: ServerConnection.ISettings) {
    this._poll = new Poll({
      auto: false,
      name: 'jupyter-nq:desk',
      factory: () => this._follow(),
      frequency: { interval: RETRY_MS, backoff: true, max: LONGEST_RETRY_MS },
      standby: 'never'
    });
  }

  /** Emitted after every change. */
  get changed(): ISignal<this, void> {
    return this._changed;
  }

  /** The newest desk; null until the first one came. */
  get desk(): IDesk | null {
    return this._desk;
  }

  /** The newest streams, by name; null until they came. They are known also while no coordinator is. */
  get streams(): IStream[] | null {
    return this._streams;
  }

  get link(): Link {
    return this._link;
  }

  /** Why the coordinator cannot be reached or the server refuses; empty when all is well. */
  get message(): string {
    return this._message;
  }

  get isDisposed(): boolean {
    return this._poll.isDisposed;
  }

  /** Whether somebody looks. Setting it connects or disconnects. */
  get watching(): boolean {
    return this._watching;
  }
  set watching(watching: boolean) {
    if (this.isDisposed || watching === this._watching) {
      return;
    }
    this._watching = watching;
    if (watching) {
      void this._poll.start();
    } else {
      void this._poll.stop();
      this._hangUp();
    }
  }

  /** Connect now instead of at the end of the current pause. */
  retry(): void {
    if (this._watching) {
      void this._poll.refresh();
    }
  }

  dispose(): void {
    if (this.isDisposed) {
      return;
    }
    this._poll.dispose();
    this._hangUp();
    Signal.clearData(this);
  }

  private async _follow(): Promise<void> {
    if (await this._listen()) {
      return; // it worked for a while: connect again without backing off
    }
    try {
      const [desk, streams] = await Promise.all([
        fetchDesk(this.serverSettings),
        fetchStreams(this.serverSettings)
      ]);
      this._streams = keepUnchanged(this._streams, streams);
      this._set('polling', '', desk);
    } catch (reason) {
      this._fail(reason);
      throw reason;
    }
  }

  /** Follow the feed until it closes; false when nothing came through it. */
  private _listen(): Promise<boolean> {
    this._hangUp();
    const { WebSocket } = this.serverSettings;
    const socket = new WebSocket(feedUrl(this.serverSettings));
    this._socket = socket;
    return new Promise(resolve => {
      let heard = false;
      const silence = window.setTimeout(() => {
        socket.close();
        resolve(false);
      }, SILENCE_MS);
      socket.onmessage = event => {
        heard = true;
        window.clearTimeout(silence);
        this._receive(String(event.data));
      };
      socket.onclose = () => {
        window.clearTimeout(silence);
        if (heard && this._socket === socket) {
          this._set('lost', '', this._desk);
        }
        resolve(heard);
      };
    });
  }

  private _receive(text: string): void {
    const message = readMessage(text);
    if (message?.kind === 'desk') {
      this._set('live', '', message);
    } else if (message?.kind === 'streams') {
      this._streams = keepUnchanged(this._streams, message.streams);
      this._set('live', this._message, this._desk);
    } else if (message?.kind === 'problem') {
      this._set('live', message.message, this._desk);
    }
  }

  private _fail(reason: unknown): void {
    if (!(reason instanceof ServerConnection.ResponseError)) {
      this._set('lost', '', this._desk);
      return;
    }
    const { status } = reason.response;
    if (status === 404) {
      this._streams = null;
      this._set('absent', '', null);
    } else if (status === 401 || status === 403) {
      this._streams = null;
      this._set('refused', reason.message, null);
    } else {
      this._set('polling', reason.message, this._desk);
    }
  }

  private _set(link: Link, message: string, desk: IDesk | null): void {
    if (this._watching && !this.isDisposed) {
      this._link = link;
      this._message = message;
      this._desk = desk;
      this._changed.emit();
    }
  }

  private _hangUp(): void {
    const socket = this._socket;
    this._socket = null;
    socket?.close();
  }

  private _changed = new Signal<this, void>(this);
  private _desk: IDesk | null = null;
  private _link: Link = 'connecting';
  private _message = '';
  private _poll: Poll;
  private _socket: WebSocket | null = null;
  private _streams: IStream[] | null = null;
  private _watching = false;
}
