import { TranslationBundle } from '@jupyterlab/translation';
import React, { useState } from 'react';

import { DeskModel, Link } from './model';

interface IModelProps {
  model: DeskModel;
  trans: TranslationBundle;
}

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

/** Why the desk cannot be followed: no server half, no connection, no permission, no coordinator. */
export function LinkNotice({ model, trans }: IModelProps): JSX.Element | null {
  const text = linkText(model, trans);
  if (!text) {
    return null;
  }
  return (
    <div
      className="jp-nq-Notice"
      data-kind={model.link === 'lost' ? 'warning' : 'error'}
      role="alert"
    >
      <p>{text}</p>
      {model.link === 'absent' && <pre>jupyter server extension list</pre>}
      {model.link !== 'live' && (
        <NoticeButton
          label={trans.__('Try again')}
          onClick={() => model.retry()}
        />
      )}
    </div>
  );
}

/** The newest problem that anybody at the desk reported, until it is dismissed. */
export function ProblemNotice({
  model,
  trans
}: IModelProps): JSX.Element | null {
  const [dismissed, setDismissed] = useState('');
  const problem = model.desk?.status.problem;
  if (!problem || problem.at === dismissed) {
    return null;
  }
  const at = new Date(problem.at).toLocaleString();
  return (
    <div className="jp-nq-Notice" data-kind="warning" role="note">
      <p className="jp-nq-Notice-origin">
        {problem.who}, {at}
      </p>
      <p>{problem.text}</p>
      <NoticeButton
        label={trans.__('Dismiss')}
        onClick={() => setDismissed(problem.at)}
      />
    </div>
  );
}

function NoticeButton(props: {
  label: string;
  onClick: () => void;
}): JSX.Element {
  return (
    <button
      type="button"
      className="jp-nq-Notice-button"
      onClick={props.onClick}
    >
      {props.label}
    </button>
  );
}

function linkText(model: DeskModel, trans: TranslationBundle): string {
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
      return model.message;
  }
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
