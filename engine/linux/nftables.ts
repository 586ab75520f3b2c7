import koffi from 'koffi';

import { systemError } from '../errors.ts';

/**
 * nftables through libnftables: the language of nft(8) without a process per change. A script is one transaction: the
 * kernel takes all of it or none.
 */
interface Nft {
  run(script: string): string;
  free(): void;
}

let instance: Nft | undefined;
let library: ReturnType<typeof load> | undefined;

function load() {
  const library = koffi.load('libnftables.so.1');
  const create = library.func('void *nft_ctx_new(uint32_t flags)');
  const bufferOutput = library.func('int nft_ctx_buffer_output(void *ctx)');
  const bufferError = library.func('int nft_ctx_buffer_error(void *ctx)');
  const output = library.func('const char *nft_ctx_get_output_buffer(void *ctx)');
  const error = library.func('const char *nft_ctx_get_error_buffer(void *ctx)');
  const runCommand = library.func('int nft_run_cmd_from_buffer(void *ctx, const char *buffer)');
  const free = library.func('void nft_ctx_free(void *ctx)');
  return { create, free, bufferOutput, bufferError, output, error, runCommand };
}

/** A context talks to the network namespace in which it was made. */
function open(): Nft {
  library ??= load();
  const { create, free, bufferOutput, bufferError, output, error, runCommand } = library;
  const context = create(0);
  bufferOutput(context);
  bufferError(context);
  return {
    run(script) {
      const failed = runCommand(context, script) !== 0;
      const out = output(context) as string;
      const err = error(context) as string;
      if (failed) throw systemError(`nftables: ${err.trim()}`);
      return out;
    },
    free: () => free(context),
  };
}

/** Runs an nft script in the engine's own network namespace and returns what it printed. */
export function nft(script: string): string {
  instance ??= open();
  return instance.run(script);
}

/** Runs an nft script in the network namespace that the thread is in now. */
export function nftHere(script: string): void {
  const context = open();
  try {
    context.run(script);
  } finally {
    context.free();
  }
}
