import type { Socket } from 'node:net';
import type { ClientChannel } from 'ssh2';

/**
 * Joins a local client to a channel until both directions have ended. Each direction ends by itself (half-close), is slowed
 * down by its reader (backpressure), and is cut when the other end is gone. Bytes are not looked at, so `Upgrade: tcp`
 * needs nothing special. Resolves when the client is gone.
 */
export function splice(local: Socket, channel: ClientChannel): Promise<void> {
  return new Promise((done) => {
    let channelClosed = false;
    local.setNoDelay(true);
    local.pipe(channel);
    channel.pipe(local);

    channel.on('error', () => local.destroy());
    channel.once('close', () => {
      channelClosed = true;
      // After a proper end the last bytes may still be on their way to the client; without one the connection was lost.
      if (channel.readableEnded) local.destroySoon();
      else local.destroy();
    });
    local.on('error', () => local.destroy());
    local.once('close', () => {
      if (!channelClosed) {
        channel.unpipe(local);
        // What still arrives must be read away, or the channel's own close would wait behind it.
        channel.resume();
        channel.destroy();
      }
      done();
    });
  });
}
