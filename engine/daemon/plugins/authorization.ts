import { forbidden, messageOf, systemError } from '../../errors.ts';
import { fullName } from './names.ts';
import { type ManagedLookup, type Plugin, Plugins } from './plugin.ts';

/** What of a request a plugin is told (https://docs.docker.com/engine/extend/plugins_authorization/). */
export interface AuthorizedRequest {
  readonly method: string;
  readonly uri: string;
  readonly headers: Readonly<Record<string, string>>;
  /** JSON bodies only. */
  readonly body: Buffer | undefined;
  /** Common name of the client's certificate; '' without one. */
  readonly user: string;
}

export interface AuthorizedResponse {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer | undefined;
}

/** `authorization-plugins`: each is asked, in order, before a request is handled and before its answer goes out. One no is a no. */
export class Authorization {
  readonly #names: () => readonly string[];
  readonly #plugins: Plugins;
  /** Managed plugins that were disabled: they aren't asked until the next reload, or nothing could enable them again. */
  readonly #disabled = new Set<string>();

  /** @param names asked each time: a reload may change them */
  constructor(names: () => readonly string[], managed: ManagedLookup) {
    this.#names = () => names().filter((name) => !this.#disabled.has(fullName(name) ?? name));
    this.#plugins = new Plugins('authz', managed);
  }

  get active(): boolean {
    return this.#names().length > 0;
  }

  /** A managed plugin is being disabled. @param name with its tag */
  leaveOut(name: string): void {
    this.#disabled.add(name);
  }

  /** After a reload all that are configured are asked again. */
  askAll(): void {
    this.#disabled.clear();
  }

  /** Throws forbidden when a plugin says no, and a system error when one can't be asked: no answer is no permission. */
  async checkRequest(request: AuthorizedRequest): Promise<void> {
    await this.#ask('AuthZPlugin.AuthZReq', requestFields(request));
  }

  async checkResponse(request: AuthorizedRequest, response: AuthorizedResponse): Promise<void> {
    await this.#ask('AuthZPlugin.AuthZRes', {
      ...requestFields(request),
      ResponseStatusCode: response.status,
      ResponseHeaders: response.headers,
      ResponseBody: response.body?.toString('base64') ?? '',
    });
  }

  #find(name: string): Plugin {
    let plugin: Plugin | undefined;
    try {
      plugin = this.#plugins.find(name);
    } catch (error) {
      throw systemError(messageOf(error), error);
    }
    if (!plugin) throw systemError(`plugin ${JSON.stringify(name)} not found`);
    return plugin;
  }

  async #ask(method: string, fields: object): Promise<void> {
    for (const name of this.#names()) {
      const plugin = this.#find(name);
      const answer = await plugin.call(method, fields).catch((error: unknown) => {
        throw systemError(`plugin ${name} failed with error: ${messageOf(error)}`, error);
      });
      if (answer.Allow !== true) throw forbidden(`authorization denied by plugin ${name}: ${String(answer.Msg ?? '')}`);
    }
  }
}

const requestFields = (request: AuthorizedRequest): object => ({
  User: request.user,
  UserAuthNMethod: request.user ? 'TLS' : '',
  RequestMethod: request.method,
  RequestUri: request.uri,
  RequestHeaders: request.headers,
  RequestBody: request.body?.toString('base64') ?? '',
});
