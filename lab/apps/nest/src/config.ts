import { readFileSync } from 'node:fs';

/** The text of the secret file that NAME_FILE names; undefined where the variable is unset. */
function secret(name: string): string | undefined {
  const path = process.env[`${name}_FILE`];
  if (!path) return undefined;
  try {
    return readFileSync(path, 'utf8').trimEnd();
  } catch (error) {
    throw new Error(`Cannot read the secret ${path}: make it readable by uid ${process.getuid?.()}.`, { cause: error });
  }
}

export const config = {
  port: Number(process.env.PORT || 3000),
  shutdownTimeout: Number(process.env.SHUTDOWN_TIMEOUT || 25) * 1000,
  redis: {
    host: process.env.REDIS_HOST || 'redis',
    port: Number(process.env.REDIS_PORT || 6379),
    username: process.env.REDIS_USERNAME || undefined,
    password: secret('REDIS_PASSWORD'),
  },
};

export const identity = {
  app: 'nest',
  version: process.env.APP_VERSION || 'dev',
  colour: process.env.APP_COLOUR || 'none',
};

export const identityHeaders = {
  'x-app-version': identity.version,
  'x-app-colour': identity.colour,
};
