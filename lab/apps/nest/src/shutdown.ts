import type { INestApplication } from '@nestjs/common';
import { Logger } from '@nestjs/common';
import type { NextFunction, Request, Response } from 'express';
import type { Server } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { ReplaySubject } from 'rxjs';

const logger = new Logger('shutdown');
const inFlight = new Set<Response>();
const announced = new ReplaySubject<void>(1);
let stopping = false;

/** Emits once the shutdown has begun, also to those who ask later: streams end on it. */
export const stopping$ = announced.asObservable();
export const isStopping = () => stopping;

/** Middleware that knows the requests in flight: a shutdown tells their clients not to reuse the connection. */
export function drainable(_request: Request, response: Response, next: NextFunction): void {
  inFlight.add(response);
  response.once('close', () => inFlight.delete(response));
  if (stopping) response.setHeader('connection', 'close');
  next();
}

/** Stops accepting, lets requests in flight finish, and says whether all of them did within the timeout (ms). */
export async function stop(app: INestApplication, timeout: number): Promise<boolean> {
  const server: Server = app.getHttpServer();
  logger.log(`Stopping: ${inFlight.size} in flight, at most ${timeout / 1000} s.`);
  stopping = true;
  for (const response of inFlight) {
    if (!response.headersSent) response.setHeader('connection', 'close');
    // A stream sent its headers long ago, so its connection stays open when it ends, unless it is closed here.
    response.once('close', () => setImmediate(() => server.closeIdleConnections()));
  }
  announced.next();
  server.close();

  const closed = app.close().then(() => true);
  const drained = await Promise.race([closed, sleep(timeout, false, { ref: false })]);
  if (drained) logger.log('Stopped: every request was finished.');
  else logger.error(`Stopped after ${timeout / 1000} s: ${inFlight.size} requests were cut.`);
  return drained;
}
