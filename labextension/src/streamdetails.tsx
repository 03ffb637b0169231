import { ServerConnection } from '@jupyterlab/services';
import { TranslationBundle } from '@jupyterlab/translation';
import { consoleIcon, notebookIcon } from '@jupyterlab/ui-components';
import React from 'react';

import { formatBytes, formatCount } from './format';
import { INewestState, useNewest } from './newest';
import { IConsumer, INewest, IProcess, IStream } from './streams';

/** Who publishes to a stream and who reads it, by notebook, and what was published last. */
export function StreamDetails(props: {
  serverSettings: ServerConnection.ISettings;
  stream: IStream;
  trans: TranslationBundle;
}): JSX.Element {
  const { serverSettings, stream, trans } = props;
  const state = useNewest(serverSettings, stream);
  return (
    <>
      <h3>{trans.__('Published by')}</h3>
      <Publishers stream={stream} trans={trans} />
      <h3>{trans.__('Read by')}</h3>
      <Consumers consumers={stream.consumers} trans={trans} />
      <h3>{trans.__('Newest')}</h3>
      <Newest state={state} trans={trans} />
      <p className="jp-nq-Details-kept">
        {trans.__(
          '%1 of %2 messages kept, at most %3 for each publisher',
          formatCount(stream.kept),
          formatCount(stream.messages),
          formatBytes(stream.retention_bytes)
        )}
      </p>
      {stream.disk !== null && <Disk stream={stream} trans={trans} />}
      {stream.epoch > 0 && (
        <p className="jp-nq-Details-kept">
          {trans.__(
            'Its schema changed, for the last time in epoch %1',
            formatCount(stream.epoch)
          )}
        </p>
      )}
    </>
  );
}

function Disk(props: {
  stream: IStream;
  trans: TranslationBundle;
}): JSX.Element {
  const { stream, trans } = props;
  const { messages, missed } = stream.disk!;
  return (
    <p className="jp-nq-Details-kept" data-lost={missed > 0}>
      {trans.__(
        'Durable: the disk has %1 of %2 messages',
        formatCount(messages),
        formatCount(stream.messages)
      )}
      {missed > 0 && trans.__(', and never got %1', formatCount(missed))}
    </p>
  );
}

function Publishers(props: {
  stream: IStream;
  trans: TranslationBundle;
}): JSX.Element {
  const { stream, trans } = props;
  if (stream.publishers.length === 0) {
    return <p className="jp-nq-Table-free">{trans.__('Nobody')}</p>;
  }
  return (
    <ul className="jp-nq-Details-people">
      {stream.publishers.map(publisher => (
        <li key={publisher.lane} title={place(publisher, trans)}>
          <Who process={publisher} />
          <span className="jp-nq-Details-figure">
            {trans.__('%1 sent', formatCount(publisher.messages))}
          </span>
        </li>
      ))}
    </ul>
  );
}

function Consumers(props: {
  consumers: IConsumer[];
  trans: TranslationBundle;
}): JSX.Element {
  const { consumers, trans } = props;
  if (consumers.length === 0) {
    return <p className="jp-nq-Table-free">{trans.__('Nobody')}</p>;
  }
  return (
    <ul className="jp-nq-Details-people">
      {consumers.map((consumer, index) => (
        <li
          key={consumer.name ?? `${consumer.pid}:${index}`}
          title={place(consumer, trans)}
        >
          <Who process={consumer} name={consumer.name} />
          <span className="jp-nq-Details-figure">
            {trans.__('lag %1', formatCount(consumer.lag))}
          </span>
          {consumer.lost > 0 && (
            <span className="jp-nq-Details-figure" data-lost={true}>
              {trans.__('lost %1', formatCount(consumer.lost))}
            </span>
          )}
        </li>
      ))}
    </ul>
  );
}

function Who(props: { process: IProcess; name?: string | null }): JSX.Element {
  const { name, process } = props;
  const Icon = process.path === null ? consoleIcon : notebookIcon;
  const who = [name, process.who].filter(Boolean).join(', ');
  return (
    <>
      <Icon.react tag="span" width="12px" height="12px" aria-hidden="true" />
      <span className="jp-nq-Details-who">{who}</span>
    </>
  );
}

function Newest(props: {
  state: INewestState;
  trans: TranslationBundle;
}): JSX.Element {
  const { newest, problem } = props.state;
  const { trans } = props;
  if (problem) {
    return <p className="jp-nq-Table-free">{problem}</p>;
  }
  if (newest === undefined) {
    return <p className="jp-nq-Table-free">{trans.__('Reading…')}</p>;
  }
  if (newest === null) {
    return <p className="jp-nq-Table-free">{trans.__('Nothing yet')}</p>;
  }
  return (
    <div className="jp-nq-Newest">
      {newest.text === null ? (
        <NewestRow newest={newest} trans={trans} />
      ) : (
        <pre tabIndex={0}>{newest.text}</pre>
      )}
      <p
        className="jp-nq-Newest-at"
        title={new Date(newest.at).toLocaleString()}
      >
        {trans.__('Message %1', newest.sequence.toLocaleString('en-US'))},{' '}
        <time dateTime={newest.at}>
          {new Date(newest.at).toLocaleTimeString()}
        </time>
      </p>
    </div>
  );
}

function NewestRow(props: {
  newest: INewest;
  trans: TranslationBundle;
}): JSX.Element {
  const { newest, trans } = props;
  const row = newest.rows[newest.rows.length - 1];
  if (!row) {
    return <p className="jp-nq-Table-free">{trans.__('No rows')}</p>;
  }
  return (
    <dl>
      {newest.columns.map((column, index) => (
        <React.Fragment key={index}>
          <dt title={`${column.name}: ${column.type}`}>{column.name}</dt>
          <dd title={String(row[index])}>{String(row[index])}</dd>
        </React.Fragment>
      ))}
      {newest.hidden_columns > 0 && (
        <dt>
          {trans._n('%1 more column', '%1 more columns', newest.hidden_columns)}
        </dt>
      )}
    </dl>
  );
}

function place(process: IProcess, trans: TranslationBundle): string {
  return process.pid === 0
    ? trans.__('Nobody uses this name now')
    : trans.__('%1 (pid %2)', process.path ?? process.who, process.pid);
}
