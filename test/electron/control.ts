import { standInBrowser } from './chromium.ts';

export interface MenuRecord {
  label: string;
  enabled: boolean;
  /** of its submenu */
  items: MenuRecord[];
}

/** What the app has done that only a person at the desk would see. */
export const records = {
  paths: {} as Record<string, string>,
  schemes: [] as string[],
  opened: [] as string[],
  errors: [] as { title: string; text: string }[],
  tray: { image: '', toolTip: '', items: [] as MenuRecord[] },
};

export type Records = typeof records;

export interface ControlMessage {
  id: number;
  action: string;
  args: string[];
}

/** Does what the test process asks for (launch.ts is the other end), and answers with the records or the result. */
export function listenForTest(actions: Record<string, (...args: string[]) => unknown>): void {
  process.on('message', async ({ id, action, args }: ControlMessage) => {
    try {
      let value: unknown;
      if (action === 'records') value = records;
      else if (action === 'cdp') value = (await standInBrowser()).cdp;
      else value = actions[action]?.(...args);
      process.send?.({ id, value });
    } catch (error) {
      process.send?.({ id, error: String(error) });
    }
  });
}
