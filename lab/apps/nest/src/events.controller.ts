import { Controller, type MessageEvent, Sse } from '@nestjs/common';
import { Gauge } from 'prom-client';
import { defer, finalize, map, type Observable, takeUntil, timer } from 'rxjs';
import { identity } from './config.js';
import { stopping$ } from './shutdown.js';

const clients = new Gauge({ name: 'sse_clients', help: 'Open server-sent event streams' });

@Controller('events')
export class EventsController {
  /** A tick a second, until the client goes or the app stops; EventSource then reconnects on its own. */
  @Sse()
  events(): Observable<MessageEvent> {
    return defer(() => {
      clients.inc();
      return timer(0, 1000);
    }).pipe(
      map((tick) => ({ id: String(tick), retry: 1000, data: { tick, ...identity } })),
      takeUntil(stopping$),
      finalize(() => clients.dec()),
    );
  }
}
