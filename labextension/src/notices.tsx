import { TranslationBundle } from '@jupyterlab/translation';
import React from 'react';

import { DeskModel, Link } from './model';

/** A dot and a word that say how fresh the panel is. */
export function LinkState(props: {
  link: Link;
  trans: TranslationBundle;
}): JSX.Element {
  const { link, trans } = props;
  return (
    <span className="jp-nq-Link" data-link={link} role="status">
      <span className="jp-nq-Link-dot" aria-hidden="true" />
      {linkWord(link, trans)}
    </span>
  );
}

/** What is wrong, if anything: no server half, no connection, or the newest problem at the desk. */
export function Notice(props: {
  model: DeskModel;
  trans: TranslationBundle;
}): JSX.Element | null {
  const { model, trans } = props;
  const text = noticeText(model, trans);
  if (!text) {
    return null;
  }
  const canRetry = model.link !== 'live' && model.link !== 'polling';
  return (
    <div
      className="jp-nq-Notice"
      data-kind={isError(model) ? 'error' : 'warning'}
      role={isError(model) ? 'alert' : 'note'}
    >
      <p>{text}</p>
      {model.link === 'absent' && <pre>jupyter server extension list</pre>}
      {canRetry && (
        <button
          className="jp-mod-styled jp-mod-minimal jp-nq-Notice-retry"
          onClick={() => model.retry()}
        >
          {trans.__('Try again')}
        </button>
      )}
    </div>
  );
}

function isError(model: DeskModel): boolean {
  return model.message !== '' || ['absent', 'refused'].includes(model.link);
}

function noticeText(model: DeskModel, trans: TranslationBundle): string {
  switch (model.link) {
    case 'absent':
      return trans.__(
        'The server half of jupyter-nq is not running. Install jupyter-nq in the environment of the Jupyter server, restart the server, and look for jupyter_nq in the output of:'
      );
    case 'refused':
      return model.message || trans.__('The server refuses access.');
    case 'lost':
      return trans.__(
        'The connection to the server is lost; connecting again. What you see may be old.'
      );
    default:
      return model.message || newestProblem(model);
  }
}

function newestProblem(model: DeskModel): string {
  const problem = model.desk?.status.problem;
  return problem ? `${problem.who}: ${problem.text}` : '';
}

function linkWord(link: Link, trans: TranslationBundle): string {
  switch (link) {
    case 'live':
      return trans.__('Live');
    case 'polling':
      return trans.__('Polling');
    case 'connecting':
      return trans.__('Connecting');
    default:
      return trans.__('Offline');
  }
}
