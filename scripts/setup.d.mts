/** Types of setup.mjs, which is plain JavaScript because it runs before anything is installed. */
export interface SetupOptions {
  readonly nodeModules?: boolean;
  readonly qemu?: boolean;
  readonly imageTools?: boolean;
  readonly testTools?: boolean;
  readonly log?: (line: string) => void;
}
export function setup(options: SetupOptions): Promise<void>;
/** The docker client program. */
export function dockerCli(): string;

/** Debian's docker-compose to test with, when it is in the cache. */
export function dockerCompose(): string | undefined;

/** docker 20.10 and docker-compose 1.29 to test with, when they are in the cache. */
export function olderDockerClients(): { docker: string; compose: string; pythonPath: string } | undefined;
