import { TranslationBundle } from '@jupyterlab/translation';
import {
  addBelowIcon,
  consoleIcon,
  notebookIcon
} from '@jupyterlab/ui-components';
import React from 'react';

import { IDataset } from './desk';
import { formatAge, formatBytes, formatRows } from './format';
import { groupHolders, IHolderGroup } from './holders';

interface ITableProps {
  datasets: IDataset[];
  insert: ((name: string) => void) | null;
  nowMs: number;
  trans: TranslationBundle;
}

/**
 * All datasets, each as a group of three rows: its name, its figures, and who holds it. So the narrow
 * default width of a side panel has room for all; the column heads are for screen readers.
 */
export function DatasetTable(props: ITableProps): JSX.Element {
  const { datasets, insert, nowMs, trans } = props;
  return (
    <table className="jp-nq-Table">
      <caption>{trans.__('Shared datasets and who holds them')}</caption>
      <colgroup>
        <col className="jp-nq-Table-rows" />
        <col className="jp-nq-Table-bytes" />
        <col className="jp-nq-Table-age" />
      </colgroup>
      <thead>
        <tr>
          <th scope="col">{trans.__('Rows')}</th>
          <th scope="col">{trans.__('Size')}</th>
          <th scope="col">{trans.__('Age')}</th>
        </tr>
      </thead>
      {datasets.map(dataset => (
        <DatasetRows
          key={dataset.name}
          age={formatAge(dataset.created, nowMs)}
          dataset={dataset}
          insert={insert}
          trans={trans}
        />
      ))}
    </table>
  );
}

interface IRowProps {
  age: string;
  dataset: IDataset;
  insert: ((name: string) => void) | null;
  trans: TranslationBundle;
}

/** Drawn again only when the dataset or the words of its age changed. */
const DatasetRows = React.memo((props: IRowProps): JSX.Element => {
  const { age, dataset, insert, trans } = props;
  const created = new Date(dataset.created).toLocaleString();
  return (
    <tbody data-dataset={dataset.name}>
      <tr>
        <th scope="rowgroup" colSpan={2}>
          {dataset.name}{' '}
          <span
            className="jp-nq-Table-version"
            title={trans.__('Version %1', dataset.version)}
          >
            v{dataset.version}
          </span>
        </th>
        <td>
          {insert && (
            <InsertButton insert={insert} name={dataset.name} trans={trans} />
          )}
        </td>
      </tr>
      <tr className="jp-nq-Table-figures">
        <td title={dataset.rows.toLocaleString('en-US')}>
          {trans.__('%1 rows', formatRows(dataset.rows))}
        </td>
        <td title={trans.__('%1 bytes', dataset.bytes.toLocaleString('en-US'))}>
          {dataset.bytes === 0 && dataset.disk
            ? trans.__('%1 on disk', formatBytes(dataset.disk.bytes))
            : formatBytes(dataset.bytes)}
        </td>
        <td title={created}>
          <time dateTime={dataset.created}>
            {age ? trans.__('%1 ago', age) : trans.__('just now')}
          </time>
        </td>
      </tr>
      <tr className="jp-nq-Table-holders">
        <td colSpan={3}>
          <Holders dataset={dataset} trans={trans} />
        </td>
      </tr>
    </tbody>
  );
});
DatasetRows.displayName = 'DatasetRows';

function InsertButton(props: {
  insert: (name: string) => void;
  name: string;
  trans: TranslationBundle;
}): JSX.Element {
  const label = props.trans.__('Insert a cell that loads %1', props.name);
  return (
    <button
      type="button"
      className="jp-nq-Insert"
      aria-label={label}
      title={label}
      onClick={() => props.insert(props.name)}
    >
      <addBelowIcon.react tag="span" width="16px" height="16px" />
    </button>
  );
}

function Holders(props: {
  dataset: IDataset;
  trans: TranslationBundle;
}): JSX.Element {
  const { dataset, trans } = props;
  if (dataset.holders.length === 0) {
    return <span className="jp-nq-Table-free">{trans.__('Not in use')}</span>;
  }
  return (
    <ul aria-label={trans.__('%1 is held by', dataset.name)}>
      {groupHolders(dataset.holders).map(group => (
        <Chip
          key={`${group.path}:${group.who}`}
          group={group}
          newest={dataset.version}
          trans={trans}
        />
      ))}
    </ul>
  );
}

function Chip(props: {
  group: IHolderGroup;
  newest: number;
  trans: TranslationBundle;
}): JSX.Element {
  const { group, newest, trans } = props;
  const old = group.versions.filter(version => version < newest);
  const Icon = group.path === null ? consoleIcon : notebookIcon;
  const where = trans.__(
    '%1 (pid %2), version %3',
    group.path ?? group.who,
    group.pids.join(', '),
    group.versions.join(', ')
  );
  return (
    <li
      className="jp-nq-Chip"
      data-old={old.length > 0}
      title={old.length > 0 ? trans.__('%1; newest is %2', where, newest) : where}
    >
      <Icon.react tag="span" width="12px" height="12px" aria-hidden="true" />
      <span className="jp-nq-Chip-who">{group.who}</span>
      {group.pids.length > 1 && <span>×{group.pids.length}</span>}
      {old.length > 0 && <span>v{old.join(', v')}</span>}
    </li>
  );
}
