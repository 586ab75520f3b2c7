import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Ajv, type ValidateFunction } from 'ajv';
import { parse } from 'yaml';

/** Docker's own specification of its API: reference data that lies beside a checkout and isn't ours to copy. */
const PATH = join(import.meta.dirname, '../../../shared/docker-api/swagger.yaml');

export const swaggerMissing = existsSync(PATH) ? undefined : `${PATH} is not there`;

export type Schema = Record<string, unknown>;

export interface Operation {
  readonly method: string;
  /** As the specification writes it: /containers/{id}/json */
  readonly path: string;
  readonly tag: string;
  /** Names of the query's parameters. */
  readonly query: readonly string[];
  /** Schema of the request's body. */
  readonly body: Schema | undefined;
  /** Status → schema of the body; undefined where there is none. */
  readonly responses: ReadonlyMap<number, Schema | undefined>;
}

const METHODS = ['get', 'head', 'post', 'put', 'delete'];

interface Document {
  readonly paths: Record<string, Record<string, RawOperation>>;
  readonly definitions: Record<string, Schema>;
  readonly info: { readonly version: string };
}

interface RawOperation {
  readonly tags?: readonly string[];
  readonly responses: Record<string, { readonly schema?: Schema }>;
  readonly parameters?: readonly { readonly name: string; readonly in: string; readonly schema?: Schema }[];
}

/** Answers that the specification leaves out, and why they are given all the same. */
const DEVIATIONS: ReadonlyMap<string, string> = new Map([
  ['POST /networks/create 409', 'dockerd refuses a second network of one name so'],
  ['POST /plugins/pull 200', 'dockerd streams its progress'],
  ['POST /plugins/{name}/upgrade 200', 'dockerd streams its progress'],
  ['DELETE /plugins/{name} 200', 'dockerd answers without a body'],
  ['POST /swarm/init 501', 'there is no swarm mode'],
  ['POST /swarm/join 501', 'there is no swarm mode'],
]);

/** The operations, and whether a body is what an operation may answer. */
export class Swagger {
  readonly version: string;
  readonly operations: readonly Operation[];
  readonly #ajv = new Ajv({ strict: false, allErrors: true, validateFormats: false, allowUnionTypes: true });
  readonly #definitions: Readonly<Record<string, Schema>>;
  readonly #compiled = new Map<string, ValidateFunction>();

  constructor() {
    const document = parse(readFileSync(PATH, 'utf8')) as Document;
    this.version = document.info.version;
    // As the specification's own example and dockerd have it: `docker.volumedriver/1.0`.
    this.#definitions = { ...document.definitions, PluginInterfaceType: { type: 'string' } };
    this.#ajv.addSchema({ $id: 'docker', definitions: goTolerant(this.#definitions) as Schema });
    this.operations = Object.entries(document.paths).flatMap(([path, methods]) =>
      Object.entries(methods)
        .filter(([method]) => METHODS.includes(method))
        .map(([method, raw]) => operationOf(method, path, raw)),
    );
  }

  find(method: string, path: string): Operation {
    const found = this.operations.find((operation) => operation.method === method && operation.path === path);
    if (!found) throw new Error(`the specification has no ${method} ${path}`);
    return found;
  }

  /** The schema itself where another is referred to. */
  resolve(schema: Schema): Schema {
    const name = typeof schema.$ref === 'string' ? schema.$ref.replace('#/definitions/', '') : undefined;
    return name === undefined ? schema : (this.#definitions[name] ?? {});
  }

  /** What is wrong with an answer; empty when nothing is. @param body parsed JSON, undefined when it isn't JSON */
  problems(operation: Operation, status: number, body: unknown): string[] {
    const name = `${operation.method} ${operation.path} ${status}`;
    if (DEVIATIONS.has(name)) return [];
    if (!operation.responses.has(status)) return [`${name} is no status of this operation`];
    const schema = operation.responses.get(status);
    if (!schema || schema.type === 'string' || schema.format === 'binary' || operation.method === 'HEAD') return [];
    let validate = this.#compiled.get(name);
    if (!validate) {
      validate = this.#ajv.compile(goTolerant(schema, 'docker') as Schema);
      this.#compiled.set(name, validate);
    }
    if (validate(body)) return [];
    return (validate.errors ?? []).map((error) => `${name}${error.instancePath}: ${error.message}`);
  }
}

function operationOf(method: string, path: string, raw: RawOperation): Operation {
  const responses = new Map(Object.entries(raw.responses).map(([status, { schema }]) => [Number(status), schema]));
  const parameters = raw.parameters ?? [];
  return {
    method: method.toUpperCase(),
    path,
    tag: raw.tags?.[0] ?? '',
    query: parameters.filter((parameter) => parameter.in === 'query').map(({ name }) => name),
    body: parameters.find((parameter) => parameter.in === 'body')?.schema,
    responses,
  };
}

/**
 * The specification as JSON Schema, with what Go makes of it: lists, maps and pointers that are nil go out as null, also where the
 * specification doesn't say `x-nullable`. Inline schemas refer to the document by its name.
 */
function goTolerant(value: unknown, document = ''): unknown {
  if (Array.isArray(value)) return value.map((entry) => goTolerant(entry, document));
  if (typeof value !== 'object' || value === null) return value;
  const schema = value as Schema;
  if (typeof schema.$ref === 'string') {
    return { anyOf: [{ $ref: schema.$ref.replace(/^#/, `${document}#`) }, { type: 'null' }] };
  }
  const result: Schema = {};
  for (const [key, entry] of Object.entries(schema)) {
    if (!['example', 'examples', 'default', 'discriminator'].includes(key) || isProperties(schema)) {
      result[key] = goTolerant(entry, document);
    }
  }
  if (typeof result.type === 'string') {
    result.type = [result.type, 'null'];
    if (Array.isArray(result.enum)) result.enum = [...result.enum, null];
  }
  return result;
}

/** A map of properties, some of which may be called `default` or `example`. */
const isProperties = (schema: Schema): boolean =>
  !('type' in schema) && Object.values(schema).every((entry) => typeof entry === 'object');
