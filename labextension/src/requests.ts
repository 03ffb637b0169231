import { URLExt } from '@jupyterlab/coreutils';
import { ServerConnection } from '@jupyterlab/services';

import { IDataset, IDesk, IStatus } from './desk';
import { INewest, IStream } from './streams';

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

/** Read all streams. */
export async function fetchStreams(
  settings: ServerConnection.ISettings
): Promise<IStream[]> {
  return get<IStream[]>(settings, 'streams');
}

/** Read one stream by its name, with what was published to it last. */
export async function fetchStream(
  settings: ServerConnection.ISettings,
  name: string
): Promise<IStream & { newest: INewest | null }> {
  return get(settings, 'streams', encodeURIComponent(name));
}

/** Remove a stream for everybody. */
export async function dropStream(
  settings: ServerConnection.ISettings,
  name: string
): Promise<void> {
  await send(settings, 'DELETE', 'streams', encodeURIComponent(name));
}

async function get<T>(
  settings: ServerConnection.ISettings,
  ...path: string[]
): Promise<T> {
  return send<T>(settings, 'GET', ...path);
}

async function send<T>(
  settings: ServerConnection.ISettings,
  method: 'GET' | 'DELETE',
  ...path: string[]
): Promise<T> {
  const response = await ServerConnection.makeRequest(
    URLExt.join(settings.baseUrl, NAMESPACE, ...path),
    { method },
    settings
  );
  if (!response.ok) {
    throw await ServerConnection.ResponseError.create(response);
  }
  return (await response.json()) as T;
}
