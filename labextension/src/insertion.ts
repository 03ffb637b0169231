import { Notebook, NotebookActions } from '@jupyterlab/notebook';
import { TranslationBundle } from '@jupyterlab/translation';

/** Insert a code cell below the active cell, activate it, and do not run it. One undo removes it. */
export async function insertCodeBelow(
  notebook: Notebook,
  source: string,
  trans: TranslationBundle
): Promise<void> {
  const model = notebook.model;
  if (!model || model.readOnly) {
    throw new Error(trans.__('The notebook is read-only or still loading.'));
  }
  const index = notebook.activeCell ? notebook.activeCellIndex + 1 : 0;
  model.sharedModel.insertCell(index, {
    cell_type: 'code',
    source,
    metadata: { trusted: true }
  });
  notebook.activeCellIndex = index;
  notebook.deselectAll();
  notebook.mode = 'command';
  await notebook.scrollToItem(index);
  await NotebookActions.focusActiveCell(notebook);
}
