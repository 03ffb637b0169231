import { InputDialog, Notification } from '@jupyterlab/apputils';
import { INotebookTracker } from '@jupyterlab/notebook';
import { ServerConnection } from '@jupyterlab/services';
import { TranslationBundle } from '@jupyterlab/translation';
import { addBelowIcon } from '@jupyterlab/ui-components';
import { CommandRegistry } from '@lumino/commands';

import { insertCodeBelow } from './insertion';
import { fetchDataset, fetchNames } from './requests';

const NOTICE = { autoClose: 6000 }; // milliseconds

/** The commands of this extension. */
export namespace CommandIDs {
  export const openPanel = 'jupyter-nq:open-panel';
  export const insertLoadCell = 'jupyter-nq:insert-load-cell';
}

/** What the command that inserts a load cell needs. */
export interface IInsertOptions {
  commands: CommandRegistry;
  notebooks: INotebookTracker;
  serverSettings: ServerConnection.ISettings;
  trans: TranslationBundle;
  /** Bring a widget of the main area to the front. */
  activate: (id: string) => void;
}

/** Add the command that puts the load cell of a dataset into the current notebook. */
export function addInsertLoadCell(options: IInsertOptions): void {
  const { commands, trans } = options;
  commands.addCommand(CommandIDs.insertLoadCell, {
    label: trans.__('Insert a Cell That Loads a Dataset'),
    caption: trans.__(
      'Insert a cell that loads a shared dataset below the active cell'
    ),
    icon: addBelowIcon,
    describedBy: {
      args: {
        type: 'object',
        properties: {
          name: {
            type: 'string',
            description: trans.__('Name of the dataset; asked for when absent')
          }
        }
      }
    },
    execute: async args => {
      try {
        await insertLoadCell(options, args.name);
      } catch (reason) {
        const why = reason instanceof Error ? reason.message : String(reason);
        Notification.error(trans.__('No cell was inserted. %1', why), NOTICE);
      }
    }
  });
}

async function insertLoadCell(
  options: IInsertOptions,
  wanted: unknown
): Promise<void> {
  const { activate, notebooks, serverSettings, trans } = options;
  const panel = notebooks.currentWidget;
  if (!panel) {
    Notification.error(
      trans.__('Open a notebook first; the load cell goes into it.'),
      NOTICE
    );
    return;
  }
  const name = typeof wanted === 'string' ? wanted : await askName(options);
  if (name === null) {
    return;
  }
  const { load } = await fetchDataset(serverSettings, name);
  activate(panel.id);
  await insertCodeBelow(panel.content, load, trans);
}

async function askName(options: IInsertOptions): Promise<string | null> {
  const { serverSettings, trans } = options;
  const names = await fetchNames(serverSettings);
  if (names.length === 0) {
    Notification.info(
      trans.__('No dataset is shared yet. Load one with %nq_load first.'),
      NOTICE
    );
    return null;
  }
  const answer = await InputDialog.getItem({
    title: trans.__('Load a shared dataset'),
    label: trans.__('Dataset'),
    items: names,
    okLabel: trans.__('Insert Cell')
  });
  return answer.button.accept ? answer.value : null;
}
