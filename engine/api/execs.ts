import type { Containers } from '../daemon/containers/containers.ts';
import type { ExecRequest } from '../daemon/containers/execs.ts';
import { createExec, startExec } from './bodies.ts';
import { streamType } from './containers.ts';
import { type Context, queryInt } from './context.ts';
import { type Route, route } from './router.ts';

interface StartRequest {
  readonly Detach?: boolean;
  readonly Tty?: boolean;
  readonly ConsoleSize?: readonly [number, number] | null;
}

/** Operations tagged Exec in the specification. */
export function execRoutes(containers: Containers): Route[] {
  const { execs } = containers;
  return [
    route('POST', '/containers/{name}/exec', async (context) => {
      const request = await context.json<ExecRequest>(createExec);
      const exec = execs.create(containers.get(context.params.name ?? ''), request);
      context.reply(201, { Id: exec.id });
    }),
    route('POST', '/exec/{id}/start', (context) => start(containers, context)),
    route('POST', '/exec/{id}/resize', async (context) => {
      await containers.resizeExec(
        context.params.id ?? '',
        queryInt(context.query, 'h') ?? 0,
        queryInt(context.query, 'w') ?? 0,
      );
      context.empty(200);
    }),
    route('GET', '/exec/{id}/json', (context) => {
      const { id, container, request, state } = execs.get(context.params.id ?? '');
      const [entrypoint = '', ...args] = request.Cmd ?? [];
      context.reply(200, {
        ID: id,
        Running: state.status === 'running',
        ExitCode: state.status === 'exited' ? state.exitCode : null,
        ProcessConfig: {
          tty: request.Tty ?? false,
          entrypoint,
          arguments: args,
          privileged: request.Privileged ?? false,
          ...(request.User ? { user: request.User } : {}),
        },
        OpenStdin: request.AttachStdin ?? false,
        OpenStderr: request.AttachStderr ?? false,
        OpenStdout: request.AttachStdout ?? false,
        CanRemove: false,
        ContainerID: container.id,
        DetachKeys: '',
        Pid: state.status === 'created' ? 0 : state.pid,
      });
    }),
  ];
}

async function start(containers: Containers, context: Context): Promise<void> {
  const body = (await context.optionalJson<StartRequest>(startExec)) ?? {};
  const exec = containers.execs.get(context.params.id ?? '');
  const size = body.ConsoleSize ?? undefined;
  if (body.Detach) {
    await containers.execs.start(exec, size);
    context.empty(200);
    return;
  }
  await containers.startExec(exec, size, () => context.hijack(streamType(context, exec.request.Tty ?? false)));
}
