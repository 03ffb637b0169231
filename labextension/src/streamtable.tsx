import { ServerConnection } from '@jupyterlab/services';
import { TranslationBundle } from '@jupyterlab/translation';
import {
  addBelowIcon,
  caretDownIcon,
  caretRightIcon,
  deleteIcon,
  LabIcon
} from '@jupyterlab/ui-components';
import React, { useCallback, useState } from 'react';

import { formatCount, formatRate } from './format';
import { StreamDetails } from './streamdetails';
import { IStream } from './streams';

/** What the buttons of a stream do. */
export interface IStreamActions {
  /** Insert the cell that reads it; null where there are no notebooks. */
  insert: ((name: string) => void) | null;
  /** Remove it, after a question. */
  drop: (name: string) => void;
}

interface ISectionProps {
  actions: IStreamActions;
  serverSettings: ServerConnection.ISettings;
  streams: IStream[];
  trans: TranslationBundle;
}

/** The section of the streams, or how to make one. */
export function StreamSection(props: ISectionProps): JSX.Element {
  const { streams, trans } = props;
  return (
    <section className="jp-nq-Streams" aria-label={trans.__('Streams')}>
      <h2 className="jp-nq-Streams-title">{trans.__('Streams')}</h2>
      {streams.length > 0 ? (
        <StreamTable {...props} />
      ) : (
        <EmptyStreams trans={trans} />
      )}
    </section>
  );
}

/**
 * All streams, each as a group of rows: its name, its figures, and, when it is open, who publishes and reads it
 * and what came last. The columns have fixed widths, so that nothing moves while the figures do.
 */
function StreamTable(props: ISectionProps): JSX.Element {
  const { actions, serverSettings, streams, trans } = props;
  const [open, toggle] = useOpen();
  return (
    <table className="jp-nq-Table jp-nq-StreamTable">
      <caption>{trans.__('Streams, who reads them, and how far behind')}</caption>
      <colgroup>
        <col className="jp-nq-StreamTable-rate" />
        <col className="jp-nq-StreamTable-readers" />
        <col className="jp-nq-StreamTable-lag" />
        <col className="jp-nq-StreamTable-lost" />
      </colgroup>
      <thead>
        <tr>
          <th scope="col">{trans.__('Messages per second')}</th>
          <th scope="col">{trans.__('Consumers')}</th>
          <th scope="col">{trans.__('Lag')}</th>
          <th scope="col">{trans.__('Lost')}</th>
        </tr>
      </thead>
      {streams.map(stream => (
        <StreamRows
          key={stream.name}
          drop={actions.drop}
          insert={actions.insert}
          isOpen={open.has(stream.name)}
          serverSettings={serverSettings}
          stream={stream}
          toggle={toggle}
          trans={trans}
        />
      ))}
    </table>
  );
}

interface IRowProps extends IStreamActions {
  isOpen: boolean;
  serverSettings: ServerConnection.ISettings;
  stream: IStream;
  toggle: (name: string) => void;
  trans: TranslationBundle;
}

/** Drawn again only when the stream changed, or is opened or closed. */
const StreamRows = React.memo((props: IRowProps): JSX.Element => {
  const { drop, insert, isOpen, serverSettings, stream, toggle, trans } = props;
  const { name } = stream;
  return (
    <tbody data-stream={name}>
      <tr>
        <th scope="rowgroup" colSpan={3}>
          <OpenButton {...{ isOpen, stream, toggle, trans }} />
        </th>
        <td>
          {insert && (
            <ActionButton
              icon={addBelowIcon}
              label={trans.__('Insert a cell that reads %1', name)}
              onClick={() => insert(name)}
            />
          )}
          <ActionButton
            icon={deleteIcon}
            label={trans.__('Drop %1', name)}
            onClick={() => drop(name)}
          />
        </td>
      </tr>
      <Figures stream={stream} trans={trans} />
      {isOpen && (
        <tr className="jp-nq-StreamTable-details" id={detailsId(name)}>
          <td colSpan={4}>
            <StreamDetails
              serverSettings={serverSettings}
              stream={stream}
              trans={trans}
            />
          </td>
        </tr>
      )}
    </tbody>
  );
});
StreamRows.displayName = 'StreamRows';

function Figures(props: {
  stream: IStream;
  trans: TranslationBundle;
}): JSX.Element {
  const { stream, trans } = props;
  const { consumers, lag, lost, messages, rate } = stream;
  const exact = (count: number) => count.toLocaleString('en-US');
  return (
    <tr className="jp-nq-Table-figures">
      <td title={trans.__('%1 messages so far', exact(messages))}>
        {trans.__('%1/s', formatRate(rate))}
      </td>
      <td>
        {trans._n('%1 consumer', '%1 consumers', consumers.length)}
      </td>
      <td
        title={trans.__(
          'The slowest consumer has not read %1 messages',
          exact(lag)
        )}
      >
        {trans.__('lag %1', formatCount(lag))}
      </td>
      <td
        data-lost={lost > 0}
        title={trans.__('Consumers missed %1 messages', exact(lost))}
      >
        {trans.__('lost %1', formatCount(lost))}
      </td>
    </tr>
  );
}

function OpenButton(props: {
  isOpen: boolean;
  stream: IStream;
  toggle: (name: string) => void;
  trans: TranslationBundle;
}): JSX.Element {
  const { isOpen, stream, toggle, trans } = props;
  const Caret = isOpen ? caretDownIcon : caretRightIcon;
  return (
    <button
      type="button"
      className="jp-nq-Open"
      aria-expanded={isOpen}
      aria-controls={isOpen ? detailsId(stream.name) : undefined}
      title={trans.__('Who publishes and reads %1', stream.name)}
      onClick={() => toggle(stream.name)}
    >
      <Caret.react tag="span" width="16px" height="16px" aria-hidden="true" />
      <span className="jp-nq-Open-name">{stream.name}</span>{' '}
      <span className="jp-nq-Table-version">{stream.form}</span>
    </button>
  );
}

function ActionButton(props: {
  icon: LabIcon;
  label: string;
  onClick: () => void;
}): JSX.Element {
  const { icon: Icon, label, onClick } = props;
  return (
    <button
      type="button"
      className="jp-nq-Insert"
      aria-label={label}
      title={label}
      onClick={onClick}
    >
      <Icon.react tag="span" width="16px" height="16px" />
    </button>
  );
}

function EmptyStreams({ trans }: { trans: TranslationBundle }): JSX.Element {
  return (
    <div className="jp-nq-Empty">
      <p className="jp-nq-Empty-title">{trans.__('There is no stream yet')}</p>
      <p>{trans.__('Publish something from any notebook:')}</p>
      <pre tabIndex={0}>{'%load_ext jupyter_nq\n%nq_publish signals my_frame'}</pre>
      <p>
        {trans.__(
          'Every notebook that reads the stream gets it from shared memory.'
        )}
      </p>
    </div>
  );
}

/** Which streams are open, and what opens or closes one. */
function useOpen(): [Set<string>, (name: string) => void] {
  const [open, setOpen] = useState<Set<string>>(new Set());
  const toggle = useCallback((name: string) => {
    setOpen(before => {
      const after = new Set(before);
      if (!after.delete(name)) {
        after.add(name);
      }
      return after;
    });
  }, []);
  return [open, toggle];
}

function detailsId(name: string): string {
  return `jupyter-nq-stream-${name}`;
}
