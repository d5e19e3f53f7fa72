import { Logger } from '@nestjs/common';
import type { NextFunction, Request, Response } from 'express';
import { collectDefaultMetrics, Gauge, Histogram } from 'prom-client';
import { identity, identityHeaders } from './config.js';

const PROBES = new Set(['/health', '/ready', '/metrics']);
const logger = new Logger('request');

collectDefaultMetrics();
new Gauge({ name: 'app_info', help: 'What runs here; always 1', labelNames: Object.keys(identity) }).set(identity, 1);
const duration = new Histogram({
  name: 'http_request_duration_seconds',
  help: 'Time from request to the end of its response',
  labelNames: ['method', 'route', 'status'],
});

/** Middleware that says who answers, measures every request and logs all but the probes. */
export function observe(request: Request, response: Response, next: NextFunction): void {
  const started = process.hrtime.bigint();
  response.set(identityHeaders);
  response.once('close', () => {
    const seconds = Number(process.hrtime.bigint() - started) / 1e9;
    const { method } = request;
    const status = response.statusCode;
    // Paths that nobody declared share one label, or a scanner could grow the metrics without bound.
    duration.observe({ method, route: request.route?.path ?? 'unmatched', status }, seconds);
    if (!PROBES.has(request.path)) {
      logger.log({ method, path: request.path, status, seconds, request_id: request.get('x-request-id') });
    }
  });
  next();
}
