import {
  JupyterFrontEnd,
  JupyterFrontEndPlugin
} from '@jupyterlab/application';
import { Widget } from '@lumino/widgets';

const panel: JupyterFrontEndPlugin<void> = {
  id: 'jupyter-nq:panel',
  description: 'Lists the shared datasets and who holds them.',
  autoStart: true,
  activate: (app: JupyterFrontEnd) => {
    const widget = new Widget();
    widget.id = 'jupyter-nq-panel';
    widget.title.label = 'NQ';
    widget.addClass('jp-nq-Panel');
    app.shell.add(widget, 'left', { rank: 700 });
  }
};

export default [panel];
