/** `node --import register.ts main.js`: main gets the stand-in when it imports `electron`. */
import { registerHooks } from 'node:module';

registerHooks({
  resolve: (specifier, context, next) =>
    specifier === 'electron'
      ? { url: new URL('stand-in.ts', import.meta.url).href, shortCircuit: true }
      : next(specifier, context),
});
