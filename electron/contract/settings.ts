/** What a change of a setting takes to come into force. */
export type Effect = 'live' | 'restarts-engine' | 'restarts-machine';

export interface Settings {
  /** 0: chosen from the host */
  cpus: number;
  /** 0: chosen from the host */
  memoryMb: number;
  /** logical size of the data disk; it only grows */
  diskGb: number;
  /** absolute folders of this computer that containers may bind; the user's home by default */
  sharedFolders: readonly string[];
  /** start the machine together with the app */
  startMachineWithApp: boolean;
  /** a `docker` command starts a stopped machine */
  wakeOnConnect: boolean;
  /** stop a machine that nobody has used for so many minutes; 0: never */
  idleStopMinutes: number;
  /** look for a newer Skiff once a day */
  updates: 'check' | 'off';
  /** a version that is not to be offered again */
  skippedUpdate: string;
  theme: 'system' | 'light' | 'dark';
  /** empty: the system's */
  language: '' | 'en' | 'zh-CN';
}
