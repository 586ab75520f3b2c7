import { invalidParameter } from '../errors.ts';

/**
 * What a JSON document must look like, in the terms of Go's encoding/json, by which dockerd reads it: null is as good as absent,
 * unknown fields are ignored, names of fields match in any case, and a value of a wrong type fails with json's own words.
 */
export interface Shape {
  /** Go's name of the type, for errors. */
  readonly type: string;
  /** What stands in a list or map for null. */
  readonly zero: unknown;
  /** @param at where the value stands: "ContainerConfig.Env" */
  decode(value: unknown, at: string): unknown;
}

const mismatch = (value: unknown, at: string, type: string) =>
  invalidParameter(`invalid JSON: json: cannot unmarshal ${kindOf(value)} into Go struct field ${at} of type ${type}`);

function kindOf(value: unknown): string {
  if (Array.isArray(value)) return 'array';
  if (typeof value === 'boolean') return 'bool';
  return typeof value === 'number' && !Number.isInteger(value) ? `number ${value}` : typeof value;
}

function scalar(type: string, zero: unknown, accepts: (value: unknown) => boolean): Shape {
  return {
    type,
    zero,
    decode(value, at) {
      if (!accepts(value)) throw mismatch(value, at, type);
      return value;
    },
  };
}

const INT64 = 2 ** 63;

export const text = scalar('string', '', (value) => typeof value === 'string');
export const bool = scalar('bool', false, (value) => typeof value === 'boolean');
export const int = scalar(
  'int64',
  0,
  (value) => typeof value === 'number' && Number.isInteger(value) && value >= -INT64 && value < INT64,
);

export function list(of: Shape): Shape {
  const type = `[]${of.type}`;
  return {
    type,
    zero: [],
    decode(value, at) {
      if (!Array.isArray(value)) throw mismatch(value, at, type);
      return value.map((entry) => (entry === null ? of.zero : of.decode(entry, at)));
    },
  };
}

export function map(of: Shape): Shape {
  const type = `map[string]${of.type}`;
  return {
    type,
    zero: {},
    decode(value, at) {
      if (!isObject(value)) throw mismatch(value, at, type);
      // Names that JavaScript gives a meaning are ordinary ones here.
      const result: Record<string, unknown> = Object.create(null);
      for (const [key, entry] of Object.entries(value)) result[key] = entry === null ? of.zero : of.decode(entry, at);
      return { ...result };
    },
  };
}

/** @param type Go's name of the struct */
export function object(type: string, fields: Readonly<Record<string, Shape>>): Shape {
  const byLowerCase = new Map(Object.entries(fields).map(([name, shape]) => [name.toLowerCase(), { name, shape }]));
  return {
    type,
    zero: {},
    decode(value, at) {
      if (!isObject(value)) throw mismatch(value, at, type);
      const result: Record<string, unknown> = {};
      for (const [key, entry] of Object.entries(value)) {
        const field = byLowerCase.get(key.toLowerCase());
        if (field && entry !== null) result[field.name] = field.shape.decode(entry, `${type}.${field.name}`);
      }
      return result;
    },
  };
}

/** moby's StrSlice: a list, or one string for a list of one. */
export const words: Shape = {
  type: 'strslice.StrSlice',
  zero: [],
  decode: (value, at) => (typeof value === 'string' ? [value] : list(text).decode(value, at)),
};

/** Anything in it is taken as it is: what the engine doesn't look into. */
export const anything: Shape = { type: 'interface {}', zero: {}, decode: (value) => value };

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
