import { URLExt } from '@jupyterlab/coreutils';
import { ServerConnection } from '@jupyterlab/services';

import { IDataset, IDesk, IStatus } from './desk';

const NAMESPACE = 'jupyter-nq';

/** Return the address of the feed. A token is added only where JupyterLab itself would add one. */
export function feedUrl(settings: ServerConnection.ISettings): string {
  const url = URLExt.join(settings.wsUrl, NAMESPACE, 'feed');
  return settings.appendToken && settings.token !== ''
    ? `${url}?token=${encodeURIComponent(settings.token)}`
    : url;
}

/** Read the desk over REST, for when a proxy lets no WebSocket through. */
export async function fetchDesk(
  settings: ServerConnection.ISettings
): Promise<IDesk> {
  const [status, datasets] = await Promise.all([
    get<IStatus>(settings, 'status'),
    get<IDataset[]>(settings, 'datasets')
  ]);
  return { status, datasets };
}

/** Read one dataset by its name. */
export async function fetchDataset(
  settings: ServerConnection.ISettings,
  name: string
): Promise<IDataset> {
  return get<IDataset>(settings, 'datasets', encodeURIComponent(name));
}

/** Read the names of all datasets. */
export async function fetchNames(
  settings: ServerConnection.ISettings
): Promise<string[]> {
  const datasets = await get<IDataset[]>(settings, 'datasets');
  return datasets.map(dataset => dataset.name);
}

async function get<T>(
  settings: ServerConnection.ISettings,
  ...path: string[]
): Promise<T> {
  const response = await ServerConnection.makeRequest(
    URLExt.join(settings.baseUrl, NAMESPACE, ...path),
    {},
    settings
  );
  if (!response.ok) {
    throw await ServerConnection.ResponseError.create(response);
  }
  return (await response.json()) as T;
}
