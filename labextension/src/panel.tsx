import { TranslationBundle } from '@jupyterlab/translation';
import { ReactWidget } from '@jupyterlab/ui-components';
import { Message } from '@lumino/messaging';
import React from 'react';

import { barsIcon } from './icons';
import { DeskModel } from './model';
import { DeskView, IViewOptions } from './view';

/** The side panel. It owns its model, which follows the desk only while the panel can be seen. */
export class DeskPanel extends ReactWidget {
  constructor(options: IViewOptions) {
    super();
    this._options = options;
    this._model = options.model;
    this.id = 'jupyter-nq-panel';
    this.addClass('jp-nq-Panel');
    this.title.icon = barsIcon;
    this.title.caption = label(options.trans);
    this.node.setAttribute('role', 'region');
    this.node.setAttribute('aria-label', label(options.trans));
    document.addEventListener('visibilitychange', this._look);
  }

  dispose(): void {
    document.removeEventListener('visibilitychange', this._look);
    this._model.dispose();
    super.dispose();
  }

  protected render(): JSX.Element {
    return <DeskView {...this._options} />;
  }

  protected onAfterAttach(msg: Message): void {
    super.onAfterAttach(msg);
    this._look();
  }

  protected onAfterShow(msg: Message): void {
    super.onAfterShow(msg);
    this._look();
  }

  protected onAfterHide(msg: Message): void {
    super.onAfterHide(msg);
    this._look();
  }

  protected onBeforeDetach(msg: Message): void {
    super.onBeforeDetach(msg);
    this._model.watching = false;
  }

  private readonly _look = (): void => {
    this._model.watching = this.isVisible && !document.hidden;
  };

  private _model: DeskModel;
  private _options: IViewOptions;
}

function label(trans: TranslationBundle): string {
  return trans.__('NQ shared datasets');
}
