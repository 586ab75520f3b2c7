import { setTimeout as delay } from 'node:timers/promises';

import { cancelled } from '../../errors.ts';
import { log } from '../../log.ts';
import { DEFAULT_DOMAIN, type ImageRef, repositoryOf } from '../reference.ts';

import { Authorizer, type Credentials } from './auth.ts';
import { errorFromAnswer, RegistryError } from './errors.ts';
import { isInsecure } from './hosts.ts';
import { type Answer, type RequestOptions, readBody, Transport } from './transport.ts';

/** Read at each use: what a reload of the configuration changes has its effect on the next operation. */
export interface RegistrySettings {
  readonly mirrors?: readonly string[];
  readonly insecureRegistries?: readonly string[];
  readonly certsDir?: string;
  readonly hostLoopback?: string;
  /** Tries in all of one request or download; default 5. */
  readonly maxDownloadAttempts?: number;
  /** The first pause between tries, doubled each time; default a second. */
  readonly retryDelayMs?: number;
  readonly env?: Readonly<Record<string, string | undefined>>;
}

/** Docker's reference default: the registry behind `docker.io`. */
const DEFAULT_REGISTRY = 'registry-1.docker.io';
const ERROR_LIMIT = 1024 * 1024;
const MAX_DELAY_MS = 60_000;

/** One place to speak to: a mirror or the registry itself. */
export interface Endpoint {
  readonly base: URL;
  readonly mirror: boolean;
}

/** What an authorization server is asked for: Docker Hub gives plugins' repositories a class of their own. */
export type RepositoryKind = 'repository' | 'repository(plugin)';

/** All registries: their connections, which of them speak plain HTTP, and how often to try again. */
export class Registries {
  readonly transport: Transport;
  readonly #settings: RegistrySettings;
  readonly #plain = new Set<string>();

  constructor(settings: RegistrySettings = {}) {
    this.#settings = settings;
    this.transport = new Transport({
      get insecureRegistries() {
        return settings.insecureRegistries ?? [];
      },
      certsDir: settings.certsDir ?? '/etc/docker/certs.d',
      hostLoopback: settings.hostLoopback,
      env: settings.env ?? process.env,
    });
  }

  get attempts(): number {
    return this.#settings.maxDownloadAttempts ?? 5;
  }

  /** Where to ask for a repository of this domain, in order. */
  endpoints(domain: string, write: boolean): Endpoint[] {
    if (domain !== DEFAULT_DOMAIN) return [{ base: new URL(`https://${domain}`), mirror: false }];
    const mirrors = write ? [] : (this.#settings.mirrors ?? []);
    return [
      ...mirrors.map((mirror) => ({ base: new URL(mirror), mirror: true })),
      { base: new URL(`https://${DEFAULT_REGISTRY}`), mirror: false },
    ];
  }

  /**
   * HTTPS; for insecure registries plain HTTP when HTTPS fails, remembered while the engine runs (moby: insecure
   * registries try HTTPS unverified, then HTTP).
   */
  async request(url: URL, options: RequestOptions): Promise<Answer> {
    const insecure = url.protocol === 'https:' && isInsecure(url.host, this.#settings.insecureRegistries ?? []);
    if (!insecure) return this.transport.request(url, options);
    const plain = new URL(url.href.replace(/^https:/, 'http:'));
    if (this.#plain.has(url.host)) return this.transport.request(plain, options);
    try {
      return await this.transport.request(url, options);
    } catch (error) {
      if (!(error instanceof RegistryError)) throw error;
      const answer = await this.transport.request(plain, options);
      this.#plain.add(url.host);
      return answer;
    }
  }

  /** Waits before try number `attempt` (from 1): exponential, or what the registry asked for. */
  async pause(attempt: number, error: unknown, signal: AbortSignal): Promise<void> {
    const asked = error instanceof RegistryError ? error.retryAfter : undefined;
    const backoff = (this.#settings.retryDelayMs ?? 1000) * 2 ** (attempt - 1);
    const wait = Math.min(MAX_DELAY_MS, asked === undefined ? backoff : asked * 1000);
    try {
      await delay(wait, undefined, { signal });
    } catch {
      throw cancelled();
    }
  }

  /** Tries again what failed for a passing reason. */
  async retrying<T>(signal: AbortSignal, work: () => Promise<T>): Promise<T> {
    for (let attempt = 1; ; attempt++) {
      try {
        return await work();
      } catch (error) {
        if (!(error instanceof RegistryError) || !error.temporary || attempt >= this.attempts) throw error;
        // Nobody listens there: it will not have changed a second from now, and people wait for the answer.
        if (error.status === 0 && /no such host|connection refused|x509/.test(error.message)) throw error;
        log.debug('registry request failed, trying again', { attempt, error });
        await this.pause(attempt, error, signal);
      }
    }
  }

  repository(
    endpoint: Endpoint,
    ref: Pick<ImageRef, 'domain' | 'path'>,
    credentials: Credentials,
    kind: RepositoryKind = 'repository',
  ): Repository {
    // Credentials are the registry's, not a mirror's.
    return new Repository(this, endpoint, ref, endpoint.mirror ? {} : credentials, kind);
  }

  close(): void {
    this.transport.close();
  }
}

/** One repository at one endpoint, with the credentials for it. */
export class Repository {
  readonly registries: Registries;
  readonly endpoint: Endpoint;
  /** `host/path`, what is remembered of where a blob is. */
  readonly key: string;
  readonly path: string;
  readonly #authorizer: Authorizer;
  readonly #kind: RepositoryKind;

  constructor(
    registries: Registries,
    endpoint: Endpoint,
    ref: Pick<ImageRef, 'domain' | 'path'>,
    credentials: Credentials,
    kind: RepositoryKind,
  ) {
    this.#kind = kind;
    this.registries = registries;
    this.endpoint = endpoint;
    this.path = ref.path;
    this.key = repositoryOf(ref);
    this.#authorizer = new Authorizer(registries.transport, credentials);
  }

  url(rest: string): URL {
    return new URL(`/v2/${this.path}/${rest}`, this.endpoint.base);
  }

  scopes(actions: 'pull' | 'pull,push', from?: string): string[] {
    const own = `${this.#kind}:${this.path}:${actions}`;
    return from === undefined ? [own] : [own, `${this.#kind}:${from}:pull`];
  }

  /**
   * A request with authorization; answers one challenge, and one more when a token had expired meanwhile.
   * @param accepted statuses that the caller handles; all others are thrown as RegistryError
   */
  async request(
    url: URL,
    options: RequestOptions & { readonly scopes: readonly string[]; readonly accepted: readonly number[] },
  ): Promise<Answer> {
    const { scopes, accepted, signal } = options;
    for (let round = 0; ; round++) {
      const authorization = await this.#authorizer.header(scopes, signal);
      const headers = { ...options.headers, ...(authorization ? { authorization } : {}) };
      const answer = await this.registries.request(url, { ...options, headers });
      if (accepted.includes(answer.status)) return answer;
      if (answer.status === 401 && round < 2) {
        const again = this.#learn(answer, scopes, authorization !== undefined, options.method ?? 'GET', url);
        if (again) {
          answer.body.resume();
          continue;
        }
      }
      const body = (await readBody(answer, ERROR_LIMIT)).toString('utf8');
      throw errorFromAnswer(answer.status, answer.headers, body, `${options.method ?? 'GET'} ${url.href}`);
    }
  }

  #learn(answer: Answer, scopes: readonly string[], had: boolean, method: string, url: URL): boolean {
    try {
      return this.#authorizer.learn(answer.headers['www-authenticate'], scopes, had);
    } catch (error) {
      answer.body.resume();
      if (error instanceof RegistryError && error.code === 'NO_CREDENTIALS') {
        const verb = method.charAt(0) + method.slice(1).toLowerCase();
        throw new RegistryError(`${verb} ${JSON.stringify(url.href)}: ${error.message}`, {
          status: 401,
          code: error.code,
        });
      }
      throw error;
    }
  }
}
