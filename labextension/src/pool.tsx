import { TranslationBundle } from '@jupyterlab/translation';
import React from 'react';

import { IStatus } from './desk';
import { formatBytes } from './format';

const WARN_SHARE = 0.8;
const FULL_SHARE = 0.95;

/** How much of the pool is used, as words and as a bar. */
export function PoolLine(props: {
  pool: IStatus['pool'];
  trans: TranslationBundle;
}): JSX.Element {
  const { pool, trans } = props;
  const share = pool.limit > 0 ? Math.min(1, pool.used / pool.limit) : 0;
  const level = share >= FULL_SHARE ? 'full' : share >= WARN_SHARE ? 'warn' : 'ok';
  const words = trans.__(
    '%1 of %2 used',
    formatBytes(pool.used),
    formatBytes(pool.limit)
  );
  return (
    <div className="jp-nq-Pool" data-level={level}>
      <div className="jp-nq-Pool-words">
        <span>{trans.__('Memory pool')}</span>
        <span>{words}</span>
      </div>
      <div
        className="jp-nq-Pool-track"
        role="meter"
        aria-label={trans.__('Memory pool')}
        aria-valuemin={0}
        aria-valuemax={100}
        aria-valuenow={Math.round(100 * share)}
        aria-valuetext={words}
      >
        <div className="jp-nq-Pool-bar" style={{ width: `${100 * share}%` }} />
      </div>
    </div>
  );
}
