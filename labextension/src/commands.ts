import { InputDialog, Notification } from '@jupyterlab/apputils';
import { INotebookTracker } from '@jupyterlab/notebook';
import { ServerConnection } from '@jupyterlab/services';
import { TranslationBundle } from '@jupyterlab/translation';
import { addBelowIcon } from '@jupyterlab/ui-components';
import { CommandRegistry } from '@lumino/commands';

import { insertCodeBelow } from './insertion';
import { fetchDataset, fetchNames } from './requests';

/** How long a notice stays. */
export const NOTICE = { autoClose: 6000 }; // milliseconds

/** The commands of this extension. */
export namespace CommandIDs {
  export const openPanel = 'jupyter-nq:open-panel';
  export const insertLoadCell = 'jupyter-nq:insert-load-cell';
  export const insertSubscribeCell = 'jupyter-nq:insert-subscribe-cell';
  export const dropStream = 'jupyter-nq:drop-stream';
}

/** What a command that inserts a cell needs. */
export interface IInsertOptions {
  commands: CommandRegistry;
  notebooks: INotebookTracker;
  serverSettings: ServerConnection.ISettings;
  trans: TranslationBundle;
  /** Bring a widget of the main area to the front. */
  activate: (id: string) => void;
}

/** Things of which the server half has a cell to insert. */
export interface ICellSource {
  fetchNames: () => Promise<string[]>;
  fetchCell: (name: string) => Promise<string>;
  /** Title of the question for a name, and the label of its field. */
  question: { title: string; label: string };
  /** What to say when there are none. */
  none: string;
}

/** Add the command that puts the load cell of a dataset into the current notebook. */
export function addInsertLoadCell(options: IInsertOptions): void {
  const { commands, serverSettings, trans } = options;
  const source: ICellSource = {
    fetchNames: () => fetchNames(serverSettings),
    fetchCell: async name => (await fetchDataset(serverSettings, name)).load,
    question: {
      title: trans.__('Load a shared dataset'),
      label: trans.__('Dataset')
    },
    none: trans.__('No dataset is shared yet. Load one with %nq_load first.')
  };
  commands.addCommand(CommandIDs.insertLoadCell, {
    label: trans.__('Insert a Cell That Loads a Dataset'),
    caption: trans.__(
      'Insert a cell that loads a shared dataset below the active cell'
    ),
    icon: addBelowIcon,
    describedBy: describeName(
      trans.__('Name of the dataset; asked for when absent')
    ),
    execute: args => insertCell(options, source, args.name)
  });
}

/** Describe the arguments of a command that takes a name. */
export function describeName(
  description: string
): CommandRegistry.ICommandOptions['describedBy'] {
  const name = { type: 'string', description };
  return { args: { type: 'object', properties: { name } } };
}

/** Insert the cell of what is wanted, or asked for, below the active cell; what goes wrong is shown. */
export async function insertCell(
  options: IInsertOptions,
  source: ICellSource,
  wanted: unknown
): Promise<void> {
  const { trans } = options;
  try {
    await insert(options, source, wanted);
  } catch (reason) {
    const why = reason instanceof Error ? reason.message : String(reason);
    Notification.error(trans.__('No cell was inserted. %1', why), NOTICE);
  }
}

async function insert(
  options: IInsertOptions,
  source: ICellSource,
  wanted: unknown
): Promise<void> {
  const { activate, notebooks, trans } = options;
  const panel = notebooks.currentWidget;
  if (!panel) {
    Notification.error(
      trans.__('Open a notebook first; the cell goes into it.'),
      NOTICE
    );
    return;
  }
  const ok = trans.__('Insert Cell');
  const name =
    typeof wanted === 'string' ? wanted : await askName(source, ok);
  if (name === null) {
    return;
  }
  const cell = await source.fetchCell(name);
  activate(panel.id);
  await insertCodeBelow(panel.content, cell, trans);
}

/** Ask for one of the names; null when there are none, which is said, or the user thinks better of it. */
export async function askName(
  source: Omit<ICellSource, 'fetchCell'>,
  okLabel: string
): Promise<string | null> {
  const names = await source.fetchNames();
  if (names.length === 0) {
    Notification.info(source.none, NOTICE);
    return null;
  }
  const answer = await InputDialog.getItem({
    ...source.question,
    items: names,
    okLabel
  });
  return answer.button.accept ? answer.value : null;
}
