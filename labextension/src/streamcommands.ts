import { Dialog, Notification, showDialog } from '@jupyterlab/apputils';
import { ServerConnection } from '@jupyterlab/services';
import { TranslationBundle } from '@jupyterlab/translation';
import { addBelowIcon, deleteIcon } from '@jupyterlab/ui-components';
import { CommandRegistry } from '@lumino/commands';

import {
  askName,
  CommandIDs,
  describeName,
  ICellSource,
  IInsertOptions,
  insertCell,
  NOTICE
} from './commands';
import { dropStream, fetchStream, fetchStreams } from './requests';

/** What the command that drops a stream needs. */
export interface IDropOptions {
  commands: CommandRegistry;
  serverSettings: ServerConnection.ISettings;
  trans: TranslationBundle;
}

/** Add the command that puts the cell that reads a stream into the current notebook. */
export function addInsertSubscribeCell(options: IInsertOptions): void {
  const { commands, serverSettings, trans } = options;
  const source: ICellSource = {
    ...choice(options, trans.__('Read a stream')),
    fetchCell: async name =>
      (await fetchStream(serverSettings, name)).subscribe
  };
  commands.addCommand(CommandIDs.insertSubscribeCell, {
    label: trans.__('Insert a Cell That Reads a Stream'),
    caption: trans.__(
      'Insert a cell that subscribes to a stream below the active cell'
    ),
    icon: addBelowIcon,
    describedBy: describeName(
      trans.__('Name of the stream; asked for when absent')
    ),
    execute: args => insertCell(options, source, args.name)
  });
}

/** Add the command that removes a stream, after it asked. */
export function addDropStream(options: IDropOptions): void {
  const { commands, trans } = options;
  commands.addCommand(CommandIDs.dropStream, {
    label: trans.__('Drop a Stream'),
    caption: trans.__('Remove a stream for everybody, after a question'),
    icon: deleteIcon,
    describedBy: describeName(
      trans.__('Name of the stream; asked for when absent')
    ),
    execute: async args => {
      try {
        await drop(options, args.name);
      } catch (reason) {
        const why = reason instanceof Error ? reason.message : String(reason);
        Notification.error(
          trans.__('The stream was not dropped. %1', why),
          NOTICE
        );
      }
    }
  });
}

async function drop(options: IDropOptions, wanted: unknown): Promise<void> {
  const { serverSettings, trans } = options;
  const name =
    typeof wanted === 'string'
      ? wanted
      : await askName(
          choice(options, trans.__('Drop a stream')),
          trans.__('Drop…')
        );
  if (name !== null && (await confirmDrop(name, trans))) {
    await dropStream(serverSettings, name);
  }
}

async function confirmDrop(
  name: string,
  trans: TranslationBundle
): Promise<boolean> {
  const answer = await showDialog({
    title: trans.__('Drop the stream “%1”?', name),
    body: trans.__(
      'Its messages are removed for everybody; whoever publishes or reads it is told. This cannot be undone.'
    ),
    buttons: [
      Dialog.cancelButton(),
      Dialog.warnButton({ label: trans.__('Drop') })
    ],
    defaultButton: 0
  });
  return answer.button.accept;
}

function choice(
  options: IDropOptions,
  title: string
): Omit<ICellSource, 'fetchCell'> {
  const { serverSettings, trans } = options;
  return {
    fetchNames: async () =>
      (await fetchStreams(serverSettings)).map(stream => stream.name),
    question: { title, label: trans.__('Stream') },
    none: trans.__(
      'There is no stream yet. nq.stream or %nq_publish makes one.'
    )
  };
}
