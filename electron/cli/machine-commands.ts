/** `skiff disk`, `snapshot`, `reset`, `update-image`, `diagnose`. */
import { resolve } from 'node:path';
import { type Command, DONE, group, positional, UsageError, withAnyApp, withApp } from './command.ts';
import { bytes } from './words.ts';

export const disk = group('disk', {
  compact: (context) =>
    withApp(context, async (client) => {
      positional(context.args);
      const change = await client.machine.compact();
      context.answer(change, `${bytes(change.beforeBytes)} before, ${bytes(change.afterBytes)} now`);
      return DONE;
    }),
  resize: (context) => {
    const [text = ''] = positional(context.args, 'size');
    const size = /^(\d+)\s*(?:g|gb|gib)?$/i.exec(text)?.[1];
    if (!size) throw new UsageError(`“${text}” is not a size in GB`);
    return withAnyApp(context.home, async (client) => {
      await client.machine.grow(Number(size));
      context.answer({ diskGb: Number(size) }, `The data disk has ${size} GB.`);
      return DONE;
    });
  },
  move: (context) => {
    const [folder = ''] = positional(context.args, 'dir');
    return withAnyApp(context.home, async (client) => {
      await client.machine.moveDisk(resolve(folder));
      context.answer({ folder: resolve(folder) }, `The data disk is in ${resolve(folder)}.`);
      return DONE;
    });
  },
});

const changed = (action: 'create' | 'restore' | 'remove', words: string): Command => {
  return (context) => {
    const [name = ''] = positional(context.args, 'name');
    return withAnyApp(context.home, async (client) => {
      await client.snapshots[action](name);
      context.answer({ name }, `Snapshot ${name} ${words}.`);
      return DONE;
    });
  };
};

export const snapshot = group('snapshot', {
  create: changed('create', 'made'),
  list: (context) =>
    withAnyApp(context.home, async (client) => {
      positional(context.args);
      const rows = await client.snapshots.list();
      const width = Math.max(...rows.map(({ name }) => name.length), 4);
      context.answer(
        rows,
        rows.map(({ name, created }) => `${name.padEnd(width)}  ${new Date(created).toLocaleString()}`),
      );
      return DONE;
    }),
  restore: changed('restore', 'restored'),
  delete: changed('remove', 'removed'),
});

export const reset: Command = (context) => {
  const keepImages = context.args.includes('--keep-images');
  positional(context.args.filter((arg) => arg !== '--keep-images'));
  return withAnyApp(context.home, async (client) => {
    await client.machine.reset({ keepImages });
    context.answer({ keepImages }, keepImages ? 'All but the images was removed.' : 'Everything was removed.');
    return DONE;
  });
};

export const updateImage: Command = (context) => {
  positional(context.args);
  return withAnyApp(context.home, async (client) => {
    const result = await client.machine.updateImage();
    const words = result.changed ? 'is used from now on' : 'is in use already';
    context.answer(result, `VM image ${result.version} ${words}.`);
    return DONE;
  });
};

export const diagnose: Command = (context) => {
  positional(context.args);
  return withAnyApp(context.home, async (client) => {
    const { path } = await client.app.diagnose();
    context.answer({ path }, path);
    return DONE;
  });
};
