import { start } from './app.js';
import { config } from './config.js';
import { stop } from './shutdown.js';

const app = await start(config.port);
for (const signal of ['SIGTERM', 'SIGINT'] as const) {
  process.once(signal, async () => process.exit((await stop(app, config.shutdownTimeout)) ? 0 : 1));
}
