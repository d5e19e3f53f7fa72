// Loaded before Next.js's server (node --import): what the platform asks of every app and Next.js leaves open.
import { subscribe } from 'node:diagnostics_channel';
import { format, stripVTControlCharacters } from 'node:util';
import prometheus from 'prom-client';

const PATHS = ['/', '/health', '/metrics', '/slow', '/version'];
const PROBES = ['/health', '/metrics'];
const STATIC = '/_next/static/';

const identity = {
  app: 'frontend',
  version: process.env.APP_VERSION || 'dev',
  colour: process.env.APP_COLOUR || 'none',
};
const shutdownTimeout = Number(process.env.SHUTDOWN_TIMEOUT || 25) * 1000;

// One JSON object a line, with the same keys as the other apps.
/** @type {(level: string, message: unknown, context: string) => void} */
function log(level, message, context) {
  process.stdout.write(`${JSON.stringify({ level, timestamp: Date.now(), message, context })}\n`);
}
for (const level of /** @type {const} */ (['log', 'info', 'warn', 'error'])) {
  console[level] = (...values) => {
    const message = stripVTControlCharacters(format(...values)).trim();
    if (message) log(level, message, 'next');
  };
}

prometheus.collectDefaultMetrics();
new prometheus.Gauge({ name: 'app_info', help: 'What runs here; always 1', labelNames: Object.keys(identity) }).set(
  identity,
  1,
);
const duration = new prometheus.Histogram({
  name: 'http_request_duration_seconds',
  help: 'Time from request to the end of its response',
  labelNames: ['method', 'route', 'status'],
});

// Paths that nobody declared share one label, or a scanner could grow the metrics without bound.
/** @type {(path: string) => string} */
function route(path) {
  if (path.startsWith(STATIC)) return STATIC;
  return PATHS.includes(path) ? path : 'unmatched';
}

/** @typedef {import('node:http').ServerResponse} ServerResponse */
/** @typedef {import('node:http').IncomingMessage} IncomingMessage */
/** @typedef {{request: IncomingMessage, response: ServerResponse, server: import('node:http').Server}} HttpEvent */
/** @type {Set<ServerResponse>} */
const inFlight = new Set();
let stopping = false;

subscribe('http.server.request.start', (event) => {
  const { request, response, server } = /** @type {HttpEvent} */ (event);
  const started = performance.now();
  response.setHeader('x-app-version', identity.version);
  response.setHeader('x-app-colour', identity.colour);
  if (stopping) response.setHeader('connection', 'close');
  inFlight.add(response);
  response.once('close', () => {
    inFlight.delete(response);
    // Node.js keeps a connection whose last response was already on its way; Next.js would wait 75 s for it.
    if (stopping) setImmediate(() => server.closeIdleConnections());
    const seconds = (performance.now() - started) / 1000;
    const method = request.method ?? '';
    const path = (request.url ?? '').split('?')[0];
    const status = response.statusCode;
    duration.observe({ method, route: route(path), status }, seconds);
    if (!PROBES.includes(path)) {
      log('log', { method, path, status, seconds, request_id: request.headers['x-request-id'] }, 'request');
    }
  });
});

// Next.js itself stops accepting and waits for what is in flight. It sets that no limit, and then exits as if killed.
for (const signal of ['SIGTERM', 'SIGINT']) {
  process.once(signal, () => {
    log('log', `Stopping: ${inFlight.size} in flight, at most ${shutdownTimeout / 1000} s.`, 'shutdown');
    stopping = true;
    for (const response of inFlight) if (!response.headersSent) response.setHeader('connection', 'close');
    setTimeout(() => {
      log('error', `Stopped: ${inFlight.size} requests were cut.`, 'shutdown');
      process.exit(1);
    }, shutdownTimeout).unref();
  });
}
process.on('exit', (code) => {
  if (stopping && code > 128) process.exitCode = 0;
});
