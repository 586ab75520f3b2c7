/** The kinds of error that cross to the window. `words.ts` of the window has a sentence for each. */
export type ErrorKind =
  | 'not-found'
  | 'conflict'
  | 'invalid'
  | 'not-modified'
  | 'forbidden'
  | 'unavailable' // machine or engine is not up
  | 'failed' // it was tried and did not work
  | 'cancelled'
  | 'lost'; // the connection to the app itself is gone

/** An error as data. `message` is for people, `hint` says what to do, `detail` is the raw text. */
export interface WireError {
  kind: ErrorKind;
  message: string;
  hint: string;
  detail: string;
}
