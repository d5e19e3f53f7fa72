import 'reflect-metadata';
import { ConsoleLogger, Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import type { NestExpressApplication } from '@nestjs/platform-express';
import { WsAdapter } from '@nestjs/platform-ws';
import { identity } from './config.js';
import { EventsController } from './events.controller.js';
import { HealthController } from './health.controller.js';
import { JobsController } from './jobs.controller.js';
import { MetricsController } from './metrics.controller.js';
import { QueueService } from './queue.service.js';
import { observe } from './requests.js';
import { drainable } from './shutdown.js';
import { SocketGateway } from './socket.gateway.js';

@Module({
  controllers: [HealthController, MetricsController, JobsController, EventsController],
  providers: [QueueService, SocketGateway],
})
class AppModule {}

/** The application, listening on the port. */
export async function start(port: number): Promise<NestExpressApplication> {
  const logger = new ConsoleLogger(identity.app, { json: true, colors: false });
  const app = await NestFactory.create<NestExpressApplication>(AppModule, { logger });
  app.disable('x-powered-by');
  app.useWebSocketAdapter(new WsAdapter(app));
  app.use(drainable, observe);

  const server = await app.listen(port, '0.0.0.0');
  // Longer than the idle time of nginx's upstream connections (60 s): the side that sends requests must close first,
  // or a request meets a connection that is just being closed.
  server.keepAliveTimeout = 75_000;
  return app;
}
