import { IHolder } from './desk';

/** The processes that one chip stands for: a notebook, or a program. */
export interface IHolderGroup {
  who: string;
  path: string | null;
  pids: number[];
  /** Held versions, newest first. */
  versions: number[];
}

/** Group holders by notebook, or by program; notebooks come first, each kind by name. */
export function groupHolders(holders: IHolder[]): IHolderGroup[] {
  const groups = new Map<string, IHolderGroup>();
  for (const { who, path, pid, version } of holders) {
    const key = JSON.stringify([path, who]);
    const group = groups.get(key) ?? { who, path, pids: [], versions: [] };
    groups.set(key, group);
    addTo(group.pids, pid);
    addTo(group.versions, version);
    group.versions.sort((a, b) => b - a);
  }
  return [...groups.values()].sort(
    (a, b) =>
      Number(a.path === null) - Number(b.path === null) ||
      a.who.localeCompare(b.who)
  );
}

function addTo(list: number[], value: number): void {
  if (!list.includes(value)) {
    list.push(value);
  }
}
