import type { BeforeApplicationShutdown } from '@nestjs/common';
import { type OnGatewayConnection, type OnGatewayInit, WebSocketGateway, WebSocketServer } from '@nestjs/websockets';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { Gauge } from 'prom-client';
import type { RawData, Server, WebSocket } from 'ws';
import { identity, identityHeaders } from './config.js';

const GOING_AWAY = 1001;
const CLOSE_TIMEOUT = 2000;
const clients = new Gauge({ name: 'websocket_clients', help: 'Open WebSockets' });

/** Sends a tick a second, and every text message back. */
@WebSocketGateway({ path: '/ws', maxPayload: 64 * 1024 })
export class SocketGateway implements OnGatewayInit, OnGatewayConnection, BeforeApplicationShutdown {
  @WebSocketServer()
  private readonly server!: Server;

  afterInit(server: Server): void {
    server.on('headers', (headers) => {
      headers.push(...Object.entries(identityHeaders).map(([name, value]) => `${name}: ${value}`));
    });
  }

  handleConnection(client: WebSocket): void {
    clients.inc();
    let tick = 0;
    const timer = setInterval(() => send(client, 'tick', { tick: tick++, ...identity }), 1000);
    client.on('message', (message: RawData) => send(client, 'echo', message.toString()));
    client.once('close', () => {
      clearInterval(timer);
      clients.dec();
    });
  }

  /** Says goodbye; who has not answered in time is cut when the server closes. */
  async beforeApplicationShutdown(): Promise<void> {
    const goodbyes = [...this.server.clients].map((client) => {
      client.close(GOING_AWAY, 'restarting');
      return once(client, 'close');
    });
    await Promise.race([Promise.allSettled(goodbyes), sleep(CLOSE_TIMEOUT, undefined, { ref: false })]);
  }
}

function send(client: WebSocket, event: string, data: unknown): void {
  client.send(JSON.stringify({ event, data }));
}
