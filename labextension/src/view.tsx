/**
 * The panel's content: functions of the model, and nothing that changes it.
 */

import { TranslationBundle } from '@jupyterlab/translation';
import { UseSignal } from '@jupyterlab/ui-components';
import React, { useEffect, useState } from 'react';

import { IDesk, IStatus } from './desk';
import { DeskModel } from './model';
import { LinkNotice, LinkState, ProblemNotice } from './notices';
import { PoolLine } from './pool';
import { StreamSection } from './streamtable';
import { DatasetTable } from './table';

const TICK_MS = 1000;

/** What every part of the view needs. */
export interface IViewOptions {
  model: DeskModel;
  trans: TranslationBundle;
  /** Insert the load cell of a dataset. */
  insert: (name: string) => void;
  /** Insert the cell that reads a stream. */
  insertStream: (name: string) => void;
  /** Remove a stream, after a question. */
  dropStream: (name: string) => void;
  /** Whether there are notebooks to insert into, in this application. */
  canInsert: () => boolean;
}

/** The whole panel. */
export function DeskView(props: IViewOptions): JSX.Element {
  const { model, trans } = props;
  return (
    <UseSignal signal={model.changed}>
      {() => (
        <div className="jp-nq-Panel-content">
          <header className="jp-nq-Panel-header">
            <h2>{trans.__('Shared datasets')}</h2>
            <LinkState link={model.link} trans={trans} />
          </header>
          <LinkNotice model={model} trans={trans} />
          <ProblemNotice model={model} trans={trans} />
          {model.desk && <DeskContent desk={model.desk} {...props} />}
          {model.streams && (
            <StreamSection
              actions={{
                insert: props.canInsert() ? props.insertStream : null,
                drop: props.dropStream
              }}
              serverSettings={model.serverSettings}
              streams={model.streams}
              trans={trans}
            />
          )}
          {model.desk && <StoreLine status={model.desk.status} trans={trans} />}
        </div>
      )}
    </UseSignal>
  );
}

function DeskContent(props: IViewOptions & { desk: IDesk }): JSX.Element {
  const { canInsert, desk, insert, trans } = props;
  const nowMs = useNow();
  return (
    <>
      <PoolLine pool={desk.status.pool} trans={trans} />
      {desk.datasets.length > 0 ? (
        <DatasetTable
          datasets={desk.datasets}
          insert={canInsert() ? insert : null}
          nowMs={nowMs}
          trans={trans}
        />
      ) : (
        <EmptyDesk trans={trans} />
      )}
    </>
  );
}

function StoreLine(props: {
  status: IStatus;
  trans: TranslationBundle;
}): JSX.Element {
  const { status, trans } = props;
  return (
    <footer
      className="jp-nq-Panel-footer"
      title={`${status.host.program} (pid ${status.host.pid})`}
    >
      {trans.__('Store')}{' '}
      <span className="jp-nq-Panel-path">{status.store}</span>
    </footer>
  );
}

function EmptyDesk({ trans }: { trans: TranslationBundle }): JSX.Element {
  return (
    <section className="jp-nq-Empty">
      <p className="jp-nq-Empty-title">{trans.__('No dataset is shared yet')}</p>
      <p>{trans.__('Type this in a notebook cell and run it:')}</p>
      <pre tabIndex={0}>{'%load_ext jupyter_nq\n%nq_load NQ 30min'}</pre>
      <p>
        {trans.__(
          'The first notebook reads the file; all others map the same memory.'
        )}
      </p>
    </section>
  );
}

/** The current time, so that ages advance while nothing else changes. */
function useNow(): number {
  const [nowMs, setNowMs] = useState(Date.now);
  useEffect(() => {
    const timer = window.setInterval(() => setNowMs(Date.now()), TICK_MS);
    return () => window.clearInterval(timer);
  }, []);
  return nowMs;
}
