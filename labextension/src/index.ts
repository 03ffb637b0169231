import {
  ILayoutRestorer,
  JupyterFrontEnd,
  JupyterFrontEndPlugin
} from '@jupyterlab/application';
import { ICommandPalette } from '@jupyterlab/apputils';
import { INotebookTracker } from '@jupyterlab/notebook';
import {
  ITranslator,
  nullTranslator,
  TranslationBundle
} from '@jupyterlab/translation';

import { addInsertLoadCell, CommandIDs } from './commands';
import { barsIcon } from './icons';
import { DeskModel } from './model';
import { DeskPanel } from './panel';
import { addDropStream, addInsertSubscribeCell } from './streamcommands';

const PANEL_RANK = 350; // below the file browser, the running sessions and the table of contents

/** The commands that insert cells, wherever there are notebooks. */
const insertion: JupyterFrontEndPlugin<void> = {
  id: 'jupyter-nq:insertion',
  description: 'Inserts cells that load a shared dataset or read a stream.',
  autoStart: true,
  requires: [INotebookTracker],
  optional: [ITranslator],
  activate: (
    app: JupyterFrontEnd,
    notebooks: INotebookTracker,
    translator: ITranslator | null
  ) => {
    const options = {
      commands: app.commands,
      notebooks,
      serverSettings: app.serviceManager.serverSettings,
      trans: bundle(translator),
      activate: (id: string) => app.shell.activateById(id)
    };
    addInsertLoadCell(options);
    addInsertSubscribeCell(options);
  }
};

/** The side panel, the command that opens it, and the one that drops a stream. */
const panel: JupyterFrontEndPlugin<void> = {
  id: 'jupyter-nq:panel',
  description:
    'Lists the shared datasets and who holds them, and the streams with who publishes and reads.',
  autoStart: true,
  optional: [ILayoutRestorer, ITranslator],
  activate: (
    app: JupyterFrontEnd,
    restorer: ILayoutRestorer | null,
    translator: ITranslator | null
  ) => {
    const trans = bundle(translator);
    const { commands } = app;
    const { serverSettings } = app.serviceManager;
    addDropStream({ commands, serverSettings, trans });
    const widget = new DeskPanel({
      model: new DeskModel(serverSettings),
      trans,
      insert: name => void commands.execute(CommandIDs.insertLoadCell, { name }),
      insertStream: name =>
        void commands.execute(CommandIDs.insertSubscribeCell, { name }),
      dropStream: name => void commands.execute(CommandIDs.dropStream, { name }),
      canInsert: () => commands.hasCommand(CommandIDs.insertLoadCell)
    });
    app.shell.add(widget, 'left', { rank: PANEL_RANK });
    restorer?.add(widget, widget.id);
    commands.addCommand(CommandIDs.openPanel, {
      label: trans.__('Show Shared Datasets'),
      caption: trans.__('Show the shared datasets and who holds them'),
      icon: barsIcon,
      describedBy: { args: { type: 'object', properties: {} } },
      execute: () => app.shell.activateById(widget.id)
    });
  }
};

/** The commands in the command palette. */
const palette: JupyterFrontEndPlugin<void> = {
  id: 'jupyter-nq:palette',
  description: 'Lists the commands of jupyter-nq in the command palette.',
  autoStart: true,
  requires: [ICommandPalette],
  optional: [ITranslator],
  activate: (
    _: JupyterFrontEnd,
    commands: ICommandPalette,
    translator: ITranslator | null
  ) => {
    const category = bundle(translator).__('NQ');
    for (const command of Object.values(CommandIDs)) {
      commands.addItem({ command, category });
    }
  }
};

function bundle(translator: ITranslator | null): TranslationBundle {
  return (translator ?? nullTranslator).load('jupyter_nq');
}

export default [insertion, panel, palette];
