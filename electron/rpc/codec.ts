/** Messages as text: JSON in which a Uint8Array is `{"$bytes": base64}`. For transports that can't clone objects. */
export function encode(message: unknown): string {
  return JSON.stringify(message, (_, value: unknown) =>
    value instanceof Uint8Array ? { $bytes: toBase64(value) } : value,
  );
}

/** Throws SyntaxError for what is not JSON. */
export function decode(text: string): unknown {
  return JSON.parse(text, (_, value: unknown) => {
    const bytes = (value as { $bytes?: unknown } | null)?.$bytes;
    return typeof bytes === 'string' ? fromBase64(bytes) : value;
  });
}

function toBase64(bytes: Uint8Array): string {
  let text = '';
  for (let at = 0; at < bytes.length; at += 0x8000) text += String.fromCharCode(...bytes.subarray(at, at + 0x8000));
  return btoa(text);
}

function fromBase64(text: string): Uint8Array {
  return Uint8Array.from(atob(text), (char) => char.charCodeAt(0));
}
